/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "daemon/bus.h"
#include "daemon/log.h"
#include "daemon/manager.h"
#include "daemon/report.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

static Scratch root;
static Manager *manager;
static sd_bus *client;

static void conf_write(const char *text)
{
        scratch_write(&root, "etc/daxtierd/daxtierd.conf", text, strlen(text));
}

static void setup(void)
{
        static char tiers[128];
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        cr_assert_eq(sigprocmask(SIG_BLOCK, &mask, NULL), 0);

        root = scratch_new();
        cr_assert_eq(mkdirat(root.fd, "etc", 0755), 0);
        cr_assert_eq(mkdirat(root.fd, "etc/daxtierd", 0755), 0);
        conf_write("[Device dax9.9]\n");
        snprintf(tiers, sizeof(tiers), "%s/tiers", root.path);
        cr_assert_eq(manager_new(root.fd, &manager), 0);
        manager->tiers_path = tiers;
}

static void teardown(void)
{
        sd_bus_close_unref(client);
        manager_free(manager);
        scratch_freep(&root);
}

/* A client on a socket pair, as user @uid. */
static void connect_as(uid_t uid)
{
        int fds[2];

        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        cr_assert_eq(server_add_client(manager, fds[0], uid), 0);
        cr_assert_geq(sd_bus_new(&client), 0);
        cr_assert_geq(sd_bus_set_fd(client, fds[1], fds[1]), 0);
        cr_assert_geq(sd_bus_start(client), 0);
        cr_assert_geq(sd_bus_attach_event(client, manager->event, 0), 0);
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        *(sd_bus_message **)userdata = sd_bus_message_ref(reply);
        return 0;
}

/* Runs the loop until the call is answered. */
static sd_bus_message *call(sd_bus_message *message)
{
        sd_bus_message *reply = NULL;

        cr_assert_geq(sd_bus_call_async(client, NULL, message, on_reply, &reply, 0), 0);
        sd_bus_message_unref(message);
        while (!reply)
                cr_assert_geq(sd_event_run(manager->event, UINT64_MAX), 0);
        return reply;
}

static sd_bus_message *method(const char *interface, const char *name)
{
        sd_bus_message *message;

        cr_assert_geq(
                sd_bus_message_new_method_call(client, &message, NULL, BUS_PATH, interface, name),
                0);
        return message;
}

static sd_bus_message *device_method(const char *name, const char *device)
{
        sd_bus_message *message = method(BUS_INTERFACE, name);

        cr_assert_geq(sd_bus_message_append(message, "sb", device, false), 0);
        return message;
}

static void expect_error(sd_bus_message *reply, const char *name)
{
        cr_assert(sd_bus_message_is_method_error(reply, NULL), "no error");
        cr_assert_str_eq(sd_bus_message_get_error(reply)->name, name);
        sd_bus_message_unref(reply);
}

static int one_step(const Job *job, online_step_fn step, void *userdata)
{
        return step(&(OnlineStep){ .object = "dax1.0", .action = "bind kmem" }, userdata);
}

static int no_device(const Job *job, online_step_fn step, void *userdata)
{
        return -ENODEV;
}

TestSuite(manager, .init = setup, .fini = teardown, .timeout = 60);

Test(manager, waits_for_a_device_that_is_not_there)
{
        _cleanup_(freep) Problem *problems = NULL;
        _cleanup_(freep) char *status = NULL;
        ConfigError error = {};
        size_t n_problems;

        cr_assert_str_eq(report_state(manager), "starting");
        cr_assert_eq(manager_configure(manager, &error), 0);
        manager->ready = true;
        cr_assert_eq(manager_reconcile(manager), 0);
        cr_assert_str_eq(report_state(manager), "waiting");

        cr_assert_eq(report_status(manager, &status), 0);
        cr_assert_not_null(strstr(status, "dax9.9 awaited: not present"), "%s", status);
        cr_assert_eq(report_problems(manager, &problems, &n_problems), 0);
        cr_assert_eq(n_problems, 1);
        cr_assert_not_null(strstr(problems[0].mend, "`daxtier devices` lists"));
        cr_assert_eq(faccessat(root.fd, "tiers", F_OK, 0), 0, "the tiers are published");
}

Test(manager, bad_configuration_is_refused_and_the_old_one_stays)
{
        _cleanup_(freep) char *why = NULL;
        ConfigError error = {};

        cr_assert_eq(manager_configure(manager, &error), 0);
        manager->ready = true;
        conf_write("[Device dax1.0]\nOnlin=yes\n");
        cr_assert_eq(manager_reload(manager, &why), -EBADMSG);
        cr_assert_not_null(strstr(why, "daxtierd.conf:2: "), "%s", why);
        cr_assert_str_eq(manager->managed[0].name, "dax9.9");
        cr_assert_str_eq(report_state(manager), "degraded");

        conf_write("[Device dax1.0]\nOnline=yes\n");
        cr_assert_eq(manager_reload(manager, &why), 0);
        cr_assert_str_eq(manager->managed[0].name, "dax1.0");
        cr_assert_neq(strcmp(report_state(manager), "degraded"), 0);
}

Test(manager, answers_everybody_but_obeys_root)
{
        const char *state;
        sd_bus_message *message, *reply;

        manager->ready = true;
        connect_as(1000);
        message = method("org.freedesktop.DBus.Properties", "Get");
        cr_assert_geq(sd_bus_message_append(message, "ss", BUS_INTERFACE, "State"), 0);
        reply = call(message);
        cr_assert_geq(sd_bus_message_read(reply, "v", "s", &state), 0);
        cr_assert_str_eq(state, "running");
        sd_bus_message_unref(reply);

        expect_error(call(device_method("Online", "dax1.0")), SD_BUS_ERROR_ACCESS_DENIED);
        expect_error(call(device_method("Offline", "dax1.0")), SD_BUS_ERROR_ACCESS_DENIED);
        expect_error(call(method(BUS_INTERFACE, "Reload")), SD_BUS_ERROR_ACCESS_DENIED);
        cr_assert_null(manager->jobs);
}

Test(manager, sender_that_a_client_claims_to_be_is_worth_nothing)
{
        sd_bus_message *message;

        connect_as(1000);
        message = device_method("Online", "dax1.0");
        cr_assert_geq(sd_bus_message_set_sender(message, "org.freedesktop.DBus"), 0);
        expect_error(call(message), SD_BUS_ERROR_ACCESS_DENIED);
}

Test(manager, online_is_answered_with_its_steps)
{
        const char *object, *action, *result;
        sd_bus_message *reply;
        int error;

        manager->run = one_step;
        connect_as(0);
        reply = call(device_method("Online", "dax1.0"));
        cr_assert_geq(sd_bus_message_enter_container(reply, 'a', "(sssi)"), 0);
        cr_assert_gt(sd_bus_message_read(reply, "(sssi)", &object, &action, &result, &error), 0);
        cr_assert_str_eq(object, "dax1.0");
        cr_assert_str_eq(action, "bind kmem");
        cr_assert_str_eq(result, "done");
        cr_assert_eq(sd_bus_message_read(reply, "(sssi)", &object, &action, &result, &error), 0);
        sd_bus_message_unref(reply);
        cr_assert_null(manager->jobs);
}

Test(manager, unknown_device_has_its_own_error)
{
        manager->run = no_device;
        connect_as(0);
        expect_error(call(device_method("Online", "dax9.9")), BUS_ERROR_NO_DEVICE);
        expect_error(call(device_method("Online", "sda")), BUS_ERROR_NO_DEVICE);
}

Test(manager, bad_configuration_has_its_own_error)
{
        sd_bus_message *reply;

        conf_write("[Devise dax1.0]\n");
        connect_as(0);
        reply = call(method(BUS_INTERFACE, "Reload"));
        cr_assert_not_null(strstr(sd_bus_message_get_error(reply)->message, "daxtierd.conf:1: "));
        expect_error(reply, BUS_ERROR_CONFIG);
}

Test(manager, client_that_leaves_is_forgotten)
{
        connect_as(0);
        sd_bus_message_unref(call(method("org.freedesktop.DBus.Peer", "Ping")));
        cr_assert_eq(manager->server.n_direct, 1);
        sd_bus_close(client);
        while (manager->server.n_direct > 0)
                cr_assert_geq(sd_event_run(manager->event, UINT64_MAX), 0);
        cr_assert_null(manager->server.connections);
}

/* A stranger who connects and says nothing, or does not read what is told to him, must not keep the
 * service from stopping. */
Test(manager, silent_stranger_does_not_hold_up_the_end, .timeout = 30)
{
        int fds[2];

        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        cr_assert_eq(server_add_client(manager, fds[0], 1000), 0);
        server_deinit(&manager->server);
        cr_assert_null(manager->server.connections);
        close(fds[1]);
}

Test(manager, client_that_asks_and_does_not_read_is_dropped)
{
        connect_as(1000);
        sd_bus_message_unref(call(method("org.freedesktop.DBus.Peer", "Ping")));
        cr_assert_geq(sd_bus_detach_event(client), 0);

        for (unsigned i = 0; manager->server.connections; i++) {
                sd_bus_message *message = method("org.freedesktop.DBus.Properties", "GetAll");
                uint64_t cookie;

                cr_assert_lt(i, 20000, "still served");
                cr_assert_geq(sd_bus_message_append(message, "s", BUS_INTERFACE), 0);
                sd_bus_send(client, message, &cookie); /* without one, no answer is asked for */
                sd_bus_message_unref(message);
                cr_assert_geq(sd_event_run(manager->event, 0), 0);
        }
        cr_assert_eq(manager->server.n_direct, 0);
}

Test(manager, last_places_are_for_root)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        static char path[100];
        char byte;
        int fd;

        snprintf(path, sizeof(path), "%s/bus", root.path);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        cr_assert_geq(server_listen(manager, path), 0);
        manager->server.n_direct = SERVER_CONNECTIONS_MAX;

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
        cr_assert_gt(sd_event_run(manager->event, UINT64_MAX), 0);
        if (geteuid() == 0)
                cr_assert_not_null(manager->server.connections, "root is locked out");
        else
                cr_assert_eq(read(fd, &byte, 1), 0, "not refused");
        close(fd);
}

Test(manager, jobs_wait_for_each_other)
{
        Job *first, *second;

        manager->run = one_step;
        cr_assert_eq(job_new(JOB_ONLINE, "dax1.0", ZONE_MOVABLE, false, &first), 0);
        cr_assert_eq(job_new(JOB_ONLINE, "dax2.0", ZONE_MOVABLE, false, &second), 0);
        manager_job_queue(manager, first);
        manager_job_queue(manager, second);
        cr_assert(job_is_running(first));
        cr_assert_not(job_is_running(second));
        while (manager->jobs)
                cr_assert_geq(sd_event_run(manager->event, UINT64_MAX), 0);
}

static int until_canceled(const Job *job, online_step_fn step, void *userdata)
{
        sigset_t mask;
        int number;

        if (job->kind == JOB_OFFLINE)
                return step(&(OnlineStep){ .object = "dax1.0", .action = "offline" }, userdata);

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGALRM);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        step(&(OnlineStep){ .object = "dax1.0" }, userdata);
        sigwait(&mask, &number);
        return -EINTR;
}

Test(manager, request_ends_our_own_try_at_the_opposite)
{
        sd_bus_message *reply;
        Job *own;

        manager->run = until_canceled;
        connect_as(0);
        cr_assert_eq(job_new(JOB_ONLINE, "dax1.0", ZONE_MOVABLE, false, &own), 0);
        manager_job_queue(manager, own);
        while (own->n_steps == 0)
                cr_assert_geq(sd_event_run(manager->event, UINT64_MAX), 0);

        reply = call(device_method("Offline", "dax1.0"));
        cr_assert_not(sd_bus_message_is_method_error(reply, NULL));
        sd_bus_message_unref(reply);
        cr_assert_null(manager->jobs);
}

Test(manager, log_line_has_its_priority)
{
        char text[128] = {};
        int fds[2];

        cr_assert_eq(unsetenv("JOURNAL_STREAM"), 0);
        cr_assert_eq(pipe(fds), 0);
        cr_assert_geq(dup2(fds[1], STDERR_FILENO), 0);
        log_event(LOG_WARNING, LOG_ID_PARTIAL, "dax1.0", -EBUSY, "%s: partly", "dax1.0");
        cr_assert_gt(read(fds[0], text, sizeof(text) - 1), 0);
        cr_assert_str_eq(text, "<4>dax1.0: partly\n");
}
