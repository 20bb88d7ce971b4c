/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#include "daemon/heat.h"
#include "daemon/log.h"
#include "daemon/manager.h"
#include "daemon/online.h"
#include "daemon/relocate.h"
#include "policy/macro.h"

/* 1: go on. 0: done. Negative: a wrong command line. */
static int parse_arguments(int argc, char **argv, bool *ret_dry_run)
{
        static const struct option options[] = {
                { "dry-run", no_argument, NULL, 'n' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                {},
        };
        int option;

        while ((option = getopt_long(argc, argv, "hn", options, NULL)) >= 0)
                switch (option) {
                case 'n':
                        *ret_dry_run = true;
                        break;
                case 'h':
                        printf("Usage: daxtierd [--dry-run]\n\n"
                               "Onlines the dax devices that /etc/daxtierd/daxtierd.conf names, as\n"
                               "NUMA nodes of cheap memory, and has the copies of private mappings\n"
                               "live there for the cgroups that /etc/daxtierd/policy.d/*.conf name.\n"
                               "Started by: systemctl start daxtierd\n\n"
                               "  -n, --dry-run  change nothing; log what would be done\n"
                               "  -h, --help     this text\n"
                               "      --version  %s\n\n"
                               "See daxtierd(8), daxtierd.conf(5), daxtier(1).\n",
                               PROJECT_VERSION);
                        return 0;
                case 'V':
                        printf("daxtierd %s\n", PROJECT_VERSION);
                        return 0;
                default:
                        return -EINVAL;
                }

        if (optind < argc) {
                fprintf(stderr, "daxtierd: takes no arguments; see --help\n");
                return -EINVAL;
        }
        return 1;
}

/* Signals come through the event loop, and a job's end too. */
static int signals_block(void)
{
        static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
        sigset_t mask;

        sigemptyset(&mask);
        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                sigaddset(&mask, numbers[i]);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        return signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -errno : 0;
}

/* Ends the start with a sentence for systemctl status. */
static int start_failed(const char *what, int error)
{
        log_event(LOG_ERR, NULL, NULL, error, "%s: %s", what, strerror(-error));
        sd_notifyf(false, "STATUS=%s: %s\nERRNO=%d", what, strerror(-error), -error);
        return EXIT_FAILURE;
}

static int configuration_failed(const ConfigError *error, int r)
{
        _cleanup_(freep) char *why = NULL;

        if (!error->message || config_error_format(error, &why) < 0)
                return start_failed("Cannot read the configuration", r);

        log_event(LOG_ERR, LOG_ID_BAD_CONFIG, NULL, r, "%s", why);
        sd_notifyf(false, "STATUS=Bad configuration, not started: %s\nERRNO=%d", why, -r);
        return EX_CONFIG; /* the unit does not restart on this */
}

/* Puts back what a killed run has changed for a while. */
static void recover(void)
{
        int r;

        r = relocate_recover();
        if (r < 0)
                log_event(LOG_WARNING, NULL, NULL, r,
                          "Cannot undo what a killed run left in DAMON or in numa/demotion_enabled "
                          "(%s); see /run/daxtierd",
                          strerror(-r));
        r = heat_recover();
        if (r < 0)
                log_event(
                        LOG_WARNING, NULL, NULL, r,
                        "Cannot switch damon_stat on again, which a killed run switched off (%s); "
                        "see /run/daxtierd/damon-stat",
                        strerror(-r));
        r = online_recover();
        if (r < 0)
                log_event(
                        LOG_WARNING, NULL, NULL, r,
                        "Cannot put back auto_online_blocks, which a killed run changed (%s): see "
                        "/run/daxtierd/auto-online for what it was",
                        strerror(-r));
}

static int run(bool dry_run)
{
        _cleanup_(config_error_deinit) ConfigError error = {};
        _cleanup_(manager_freep) Manager *manager = NULL;
        _cleanup_(closep) int root_fd = -1;
        int r;

        r = signals_block();
        if (r < 0)
                return start_failed("Cannot block signals", r);
        root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (root_fd < 0)
                return start_failed("Cannot open /", -errno);

        r = manager_new(root_fd, &manager);
        if (r < 0)
                return start_failed("Cannot set up the event loop", r);
        manager->dry_run = dry_run;
        r = manager_configure(manager, &error);
        if (r < 0)
                return configuration_failed(&error, r);

        if (!dry_run)
                recover();
        r = manager_start(manager);
        if (r < 0)
                return start_failed("Cannot start", r);
        r = sd_event_loop(manager->event);
        if (r < 0)
                return start_failed("The event loop failed", r);
        return r;
}

int main(int argc, char **argv)
{
        bool dry_run = false;
        int r;

        r = parse_arguments(argc, argv, &dry_run);
        if (r < 0)
                return EX_USAGE;
        return r == 0 ? EXIT_SUCCESS : run(dry_run);
}
