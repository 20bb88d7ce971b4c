/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/manager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "daemon/bus.h"
#include "daemon/heat.h"
#include "daemon/injection.h"
#include "daemon/kernel/cgroup.h"
#include "daemon/kernel/conffiles.h"
#include "daemon/log.h"
#include "daemon/recall.h"
#include "daemon/report.h"
#include "daemon/timer.h"
#include "policy/macro.h"
#include "policy/published.h"

/* A burst of memory block events (a device has thousands) is looked at once. */
#define SETTLE_USEC UINT64_C(500000)

static int placement_add(Manager *manager)
{
        _cleanup_(closep) int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                              sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                              cgroup_fd = -1,
                              run_fd = open("/run/daxtierd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        PlacementHost host = { .injector_path = INJECTION_SOCKET, .relocate = relocation_run };
        int r;

        if (proc_fd < 0 || sys_fd < 0)
                return -errno;
        r = cgroup_root_open(&cgroup_fd);
        if (r < 0 && r != -EOPNOTSUPP)
                return r;

        host.proc_fd = proc_fd;
        host.sys_fd = sys_fd;
        host.cgroup_fd = cgroup_fd;
        host.run_fd = run_fd;
        r = placement_new(manager->event, &host, &manager->placement);
        if (r < 0)
                return r;

        proc_fd = sys_fd = cgroup_fd = run_fd = -1; /* the placement's now */
        return 0;
}

int manager_new(int root_fd, Manager **ret_manager)
{
        _cleanup_(manager_freep) Manager *manager = NULL;
        int r;

        manager = calloc(1, sizeof(*manager));
        if (!manager)
                return -ENOMEM;

        manager->root_fd = root_fd;
        manager->tiers_path = PUBLISHED_PATH;
        manager->run = job_run;
        manager->server.listen_fd = -1;
        config_init(&manager->config);

        r = sd_event_new(&manager->event);
        if (r >= 0)
                r = placement_add(manager);
        if (r < 0)
                return r;

        *ret_manager = TAKE_PTR(manager);
        return 0;
}

void manager_free(Manager *manager)
{
        if (!manager)
                return;

        manager_jobs_free(manager);
        placement_free(manager->placement);
        rules_free(manager->rules, manager->n_rules);
        server_deinit(&manager->server);
        sd_device_monitor_unref(manager->monitor);
        for (size_t i = 0; i < ARRAY_SIZE(manager->signal_sources); i++)
                sd_event_source_disable_unref(manager->signal_sources[i]);
        sd_event_source_disable_unref(manager->reconcile_timer);
        sd_event_source_disable_unref(manager->settle_timer);
        sd_event_unref(manager->event);
        topology_deinit(&manager->topology);
        managed_free(manager->managed, manager->n_managed);
        config_deinit(&manager->config);
        free(manager->config_problem);
        free(manager->status);
        free(manager);
}

void manager_freep(Manager **manager)
{
        manager_free(*manager);
}

/* Policies come into force when the daemon starts, and from then on at once. */
static void rules_take(Manager *manager, Rule *rules, size_t n_rules)
{
        if (manager->ready) {
                placement_set_rules(manager->placement, rules, n_rules);
                return;
        }

        rules_free(manager->rules, manager->n_rules);
        manager->rules = rules;
        manager->n_rules = n_rules;
}

int manager_configure(Manager *manager, ConfigError *ret_error)
{
        size_t n_managed, n_rules;
        Managed *managed;
        Config config;
        Rule *rules;
        int r;

        r = config_load(manager->root_fd, &config, ret_error);
        if (r < 0)
                return r;

        r = rules_load(manager->root_fd, &rules, &n_rules, ret_error);
        if (r >= 0) {
                r = managed_build(&config, manager->managed, manager->n_managed, &managed,
                                  &n_managed);
                if (r < 0)
                        rules_free(rules, n_rules);
        }
        if (r < 0) {
                config_deinit(&config);
                return r;
        }

        rules_take(manager, rules, n_rules);
        config_deinit(&manager->config);
        managed_free(manager->managed, manager->n_managed);
        manager->config = config;
        heat_set_take(manager->placement->heat, config.damon_take);
        manager->managed = managed;
        manager->n_managed = n_managed;
        return 0;
}

void manager_announce(Manager *manager)
{
        _cleanup_(freep) char *status = NULL;

        if (report_status(manager, &status) < 0)
                return;
        if (manager->status && strcmp(manager->status, status) == 0)
                return;

        sd_notifyf(false, "STATUS=%s", status);
        free(manager->status);
        manager->status = TAKE_PTR(status);
        server_announce(&manager->server);
}

static int on_settled(sd_event_source *source, uint64_t usec, void *userdata)
{
        return manager_reconcile(userdata);
}

static int on_reconcile(sd_event_source *source, uint64_t usec, void *userdata)
{
        Manager *manager = userdata;

        if (manager->server.system_lost && !manager->stopping)
                server_connect_system(manager);
        if (!manager->stopping)
                placement_reconcile(manager->placement);
        return manager_reconcile(manager);
}

/* Every dax, memory or node event; the first of a burst sets the time. */
static int on_device(sd_device_monitor *monitor, sd_device *device, void *userdata)
{
        Manager *manager = userdata;
        int r;

        r = timer_is_set(manager->settle_timer);
        if (r != 0)
                return r < 0 ? r : 0;

        r = sd_event_source_set_time_relative(manager->settle_timer, SETTLE_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(manager->settle_timer, SD_EVENT_ONESHOT);
        return r;
}

static int timers_add(Manager *manager)
{
        int r;

        r = sd_event_add_time_relative(manager->event, &manager->settle_timer, CLOCK_MONOTONIC, 0,
                                       0, on_settled, manager);
        if (r >= 0)
                r = sd_event_source_set_enabled(manager->settle_timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_description(manager->settle_timer, "devices-settled");
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(manager->settle_timer, true);
        if (r >= 0)
                r = sd_event_add_time_relative(manager->event, &manager->reconcile_timer,
                                               CLOCK_MONOTONIC, manager->config.reconcile_usec, 0,
                                               on_reconcile, manager);
        if (r >= 0)
                r = sd_event_source_set_description(manager->reconcile_timer, "reconcile");
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(manager->reconcile_timer, true);
        return r;
}

static int monitor_add(Manager *manager)
{
        static const char *const subsystems[] = { "dax", "memory", "node" };
        int r;

        r = sd_device_monitor_new(&manager->monitor);
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(subsystems); i++)
                r = sd_device_monitor_filter_add_match_subsystem_devtype(manager->monitor,
                                                                         subsystems[i], NULL);
        if (r >= 0)
                r = sd_device_monitor_attach_event(manager->monitor, manager->event);
        if (r >= 0)
                r = sd_device_monitor_start(manager->monitor, on_device, manager);
        if (r >= 0)
                r = sd_event_source_set_description(
                        sd_device_monitor_get_event_source(manager->monitor), "device-events");
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(
                        sd_device_monitor_get_event_source(manager->monitor), true);
        return r;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
        Manager *manager = userdata;
        _cleanup_(freep) char *why = NULL;

        if (info->ssi_signo == SIGHUP) {
                manager_reload(manager, &why); /* has said why not */
                return 0;
        }
        return manager_stop(manager);
}

static int signals_add(Manager *manager)
{
        static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(numbers); i++) {
                sd_event_source **source = &manager->signal_sources[i];

                r = sd_event_add_signal(manager->event, source, numbers[i], on_signal, manager);
                if (r >= 0)
                        r = sd_event_source_set_description(*source, strsignal(numbers[i]));
                if (r >= 0)
                        r = sd_event_source_set_exit_on_failure(*source, true);
        }
        return r;
}

int manager_start(Manager *manager)
{
        int r;

        r = signals_add(manager);
        if (r >= 0)
                r = timers_add(manager);
        /* Before the first look, so that nothing slips between. */
        if (r >= 0)
                r = monitor_add(manager);
        if (r >= 0)
                r = sd_event_set_watchdog(manager->event, true);
        if (r >= 0)
                r = server_listen(manager, BUS_SOCKET_PATH);
        if (r < 0)
                return r;

        r = server_connect_system(manager);
        if (r < 0)
                log_event(LOG_NOTICE, NULL, NULL, r, "No system bus (%s): clients still have %s",
                          strerror(-r), BUS_SOCKET_PATH);

        manager->ready = true;
        manager->placement->dry_run = manager->dry_run;
        r = manager_reconcile(manager);
        if (r < 0)
                return r;
        placement_set_rules(manager->placement, TAKE_PTR(manager->rules), manager->n_rules);
        manager->n_rules = 0;
        recall_all(manager->placement);

        sd_notify(false, "READY=1");
        return 0;
}

/* Type=notify-reload wants the time; older service managers pass over what they do not know. */
static void notify_reloading(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reading the configuration",
                   (unsigned long long)now.tv_sec * 1000000u +
                           (unsigned long long)now.tv_nsec / 1000u);
}

int manager_reload(Manager *manager, char **ret_text)
{
        _cleanup_(config_error_deinit) ConfigError error = {};
        _cleanup_(freep) char *why = NULL;
        int r;

        notify_reloading();
        free(manager->status);
        manager->status = NULL; /* told again in any case */
        free(manager->config_problem);
        manager->config_problem = NULL;

        r = manager_configure(manager, &error);
        if (r < 0) {
                if (!error.message || config_error_format(&error, &why) < 0)
                        why = strdup(strerror(-r));
                log_event(LOG_ERR, LOG_ID_BAD_CONFIG, NULL, r,
                          "Reload refused, the old configuration stays in force: %s",
                          why ? why : "out of memory");
                manager->config_problem = why ? strdup(why) : NULL;
        } else {
                log_event(LOG_INFO, NULL, NULL, 0,
                          "Configuration reloaded: %zu devices named, %zu policies",
                          manager->n_managed, manager->placement->n_rules);
        }

        if (!manager->stopping)
                manager_reconcile(manager);
        manager_announce(manager);
        sd_notify(false, "READY=1");
        if (r < 0)
                *ret_text = TAKE_PTR(why);
        return r;
}
