/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>

#include "client/cli/daemonbus.h"
#include "client/cli/daemononline.h"
#include "client/cli/daemonstate.h"
#include "daemon/bus.h"
#include "policy/macro.h"
#include "tests/unit/fake-daemon.h"

static int answer_state(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        sd_bus_message *reply;

        if (!sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "GetAll"))
                return 0;
        /* With a property and a member that are newer than we are. */
        if (sd_bus_message_new_method_return(call, &reply) < 0 ||
            sd_bus_message_append(reply, "a{sv}", 6, "Version", "s", "9.1", "Status", "s", "Fine.",
                                  "State", "s", "degraded", "Later", "a(ii)", 1, 2, 3, "Problems",
                                  "a(ss)", 1, "It rains.", "Take an umbrella.", "Devices", "aa{sv}",
                                  2, 5, "name", "s", "path:x", "chardev", "s", "dax1.0", "state",
                                  "s", "online", "total_memblocks", "u", 7, "reason", "s", "", 3,
                                  "name", "s", "dax2.0", "state", "s", "absent", "chardev", "s",
                                  "") < 0)
                _exit(3);
        sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return 1;
}

Test(daemonbus, reads_a_state_and_passes_over_what_it_does_not_know)
{
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        _cleanup_(daemon_state_deinit) DaemonState state = {};
        _cleanup_(stage_deinit) Stage stage;

        stage_init(&stage, answer_state);
        cr_assert_eq(daemon_connect(stage.socket, &bus), 0);
        cr_assert_eq(daemon_read(bus, &state), 0);
        cr_assert_str_eq(state.version, "9.1");
        cr_assert_str_eq(state.state, "degraded");
        cr_assert_str_eq(state.status, "Fine.");
        cr_assert_eq(state.n_problems, 1);
        cr_assert_str_eq(state.problems[0].mend, "Take an umbrella.");
        cr_assert_eq(state.n_devices, 2);
        cr_assert_eq(daemon_device_find(&state, "dax1.0"), &state.devices[0]);
        cr_assert_str_eq(state.devices[1].state, "absent");
        cr_assert_null(daemon_device_find(&state, "dax2.0"), "no such chardev");
        cr_assert_not(state.has_totals, "an older daemon has none");
}

static int answer_totals(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        if (!sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "GetAll"))
                return 0;
        /* Each value another one, a key that is newer than we are, and no "moved_bytes". */
        return sd_bus_reply_method_return(
                call, "a{sv}", 4, "Version", "s", "1", "Status", "s", "", "State", "s", "running",
                "Totals", "a{st}", 15, "processes", UINT64_C(1), "mappings", UINT64_C(2), "placed",
                UINT64_C(3), "placing", UINT64_C(4), "partial", UINT64_C(5), "skipped", UINT64_C(6),
                "failed", UINT64_C(7), "cow_bytes", UINT64_C(8), "cow_cheap_bytes", UINT64_C(9),
                "later", UINT64_C(77), "cow_fast_bytes", UINT64_C(10), "anon_bytes", UINT64_C(11),
                "anon_cheap_bytes", UINT64_C(12), "anon_fast_bytes", UINT64_C(13), "re_moved_bytes",
                UINT64_C(14));
}

Test(daemonbus, reads_the_totals_that_the_daemon_counts)
{
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        _cleanup_(daemon_state_deinit) DaemonState state = {};
        _cleanup_(stage_deinit) Stage stage;

        stage_init(&stage, answer_totals);
        cr_assert_eq(daemon_connect(stage.socket, &bus), 0);
        cr_assert_eq(daemon_read(bus, &state), 0);
        cr_assert(state.has_totals);
        cr_expect_eq(state.totals.processes, 1);
        cr_expect_eq(state.totals.mappings, 2);
        cr_expect_eq(state.totals.placed, 3);
        cr_expect_eq(state.totals.placing, 4);
        cr_expect_eq(state.totals.partial, 5);
        cr_expect_eq(state.totals.skipped, 6);
        cr_expect_eq(state.totals.failed, 7);
        cr_expect_eq(state.totals.cow_bytes, 8);
        cr_expect_eq(state.totals.cow_cheap_bytes, 9);
        cr_expect_eq(state.totals.cow_fast_bytes, 10);
        cr_expect_eq(state.totals.moved_bytes, UINT64_MAX, "unknown");
        cr_expect_eq(state.totals.anon_bytes, 11);
        cr_expect_eq(state.totals.anon_cheap_bytes, 12);
        cr_expect_eq(state.totals.anon_fast_bytes, 13);
        cr_expect_eq(state.totals.re_moved_bytes, 14);
}

static int answer_steps(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        const char *device;
        int dry_run;

        if (sd_bus_message_read(call, "sb", &device, &dry_run) < 0)
                return 0;
        if (strcmp(device, "dax9.9") == 0)
                return sd_bus_reply_method_errorf(call, BUS_ERROR_NO_DEVICE, "Never heard of it.");
        if (strcmp(device, "dax8.8") == 0)
                return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_ACCESS_DENIED, "Root only.");
        if (strcmp(device, "dax7.7") == 0)
                return sd_bus_reply_method_errorf(call, BUS_ERROR_IN_PROGRESS, "At it.");
        if (strcmp(device, "dax6.6") == 0)
                _exit(0); /* amid the call */
        if (dry_run)
                return sd_bus_reply_method_return(call, "a(sssi)", 1, device, "offline", "would",
                                                  0);
        return sd_bus_reply_method_return(call, "a(sssi)", 3, "memory7", "offline", "done", 0,
                                          "memory8", "offline", "failed", -EBUSY, "memory9",
                                          "offline", "done", 0);
}

typedef struct Seen {
        OnlineStep steps[8];
        size_t n;
} Seen;

static int step_note(const OnlineStep *step, void *userdata)
{
        Seen *seen = userdata;

        seen->steps[seen->n++] = *step;
        return 0;
}

static int call_offline(const char *device, bool dry_run, Seen *seen, char **ret_message)
{
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        _cleanup_(stage_deinit) Stage stage;

        stage_init(&stage, answer_steps);
        cr_assert_eq(daemon_connect(stage.socket, &bus), 0);
        return daemon_online(bus, "Offline", device, dry_run, step_note, seen, ret_message);
}

Test(daemonbus, hands_on_every_step_and_calls_a_failure_amid_them_partial)
{
        char *message = NULL;
        Seen seen = {};

        cr_assert_eq(call_offline("dax1.0", false, &seen, &message), -EUCLEAN);
        cr_assert_null(message);
        cr_assert_eq(seen.n, 3);
        cr_assert_str_eq(seen.steps[1].object, "memory8");
        cr_assert_eq(seen.steps[1].result, ONLINE_FAILED);
        cr_assert_eq(seen.steps[1].error, -EBUSY);
        cr_assert_eq(seen.steps[2].result, ONLINE_DONE);
}

Test(daemonbus, tells_the_daemon_of_a_dry_run)
{
        char *message = NULL;
        Seen seen = {};

        cr_assert_eq(call_offline("dax1.0", true, &seen, &message), 0);
        cr_assert_eq(seen.n, 1);
        cr_assert_str_eq(seen.steps[0].object, "dax1.0");
        cr_assert_eq(seen.steps[0].result, ONLINE_WOULD);
}

Test(daemonbus, maps_the_daemons_errors)
{
        static const struct {
                const char *device;
                int error;
                const char *message;
        } rows[] = {
                { "dax9.9", -ENODEV, "Never heard of it." },
                { "dax7.7", -EINPROGRESS, "At it." },
                { "dax8.8", -EACCES, NULL },
                { "dax6.6", -ECONNRESET, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(freep) char *message = NULL;
                Seen seen = {};

                cr_assert_eq(call_offline(rows[i].device, false, &seen, &message), rows[i].error,
                             "%s", rows[i].device);
                if (rows[i].message)
                        cr_assert_str_eq(message, rows[i].message);
                else
                        cr_assert_null(message);
                cr_assert_eq(seen.n, 0);
        }
}

Test(daemonbus, a_daemon_that_is_not_there_refuses)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char path[128];
        sd_bus *bus;
        int fd;

        snprintf(path, sizeof(path), "%s/bus", scratch.path);
        cr_assert_eq(daemon_connect(path, &bus), -ECONNREFUSED, "no socket");

        /* What a killed daemon leaves behind. */
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        strcpy(address.sun_path, path);
        cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        close(fd);
        cr_assert_eq(daemon_connect(path, &bus), -ECONNREFUSED, "a stale socket");
}
