/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "client/cli/command.h"
#include "client/cli/daemonbus.h"
#include "client/cli/report.h"
#include "daemon/bus.h"
#include "daemon/kernel/conffiles.h"
#include "policy/macro.h"
#include "policy/name.h"

/* What the daemon would read at its start. */
static ExitCode check_installed(void)
{
        _cleanup_(config_error_deinit) ConfigError config_error = {}, rules_error = {};
        _cleanup_(closep) int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(config_deinit) Config config = {};
        ExitCode code = EXITCODE_DONE;
        size_t n_rules;
        Rule *rules;
        int r;

        if (root_fd < 0)
                return error_report(-errno, "/");

        r = config_load(root_fd, &config, &config_error);
        if (r < 0)
                code = config_error_report(r, "daxtierd.conf", &config_error);

        r = rules_load(root_fd, &rules, &n_rules, &rules_error);
        if (r < 0)
                return config_error_report(r, "policy.d", &rules_error);

        if (code == EXITCODE_DONE)
                printf("The configuration is right: %zu device%s named, %zu polic%s.\n",
                       config.n_devices, config.n_devices == 1 ? "" : "s", n_rules,
                       n_rules == 1 ? "y" : "ies");
        rules_free(rules, n_rules);
        return code;
}

static ExitCode check_file(const char *path)
{
        _cleanup_(config_error_deinit) ConfigError error = {};
        _cleanup_(rule_deinit) Rule rule = {};
        int r = rule_load(AT_FDCWD, path, &rule, &error);

        if (r < 0)
                return config_error_report(r, path, &error);
        printf("%s: right\n", path);
        return EXITCODE_DONE;
}

static ExitCode run_check(const Arguments *arguments)
{
        ExitCode worst = EXITCODE_DONE;

        if (arguments->n_operands == 1)
                return check_installed();

        for (int i = 1; i < arguments->n_operands; i++) {
                ExitCode code = check_file(arguments->operands[i]);

                if (code != EXITCODE_DONE && worst == EXITCODE_DONE)
                        worst = code;
        }
        return worst;
}

static ExitCode run_show(const Arguments *arguments)
{
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        _cleanup_(freep) char *cgroup = NULL;
        int r;

        if (arguments->n_operands > 1) {
                r = cgroup_argument_parse("", arguments->operands[1], &cgroup);
                if (r < 0)
                        return exitcode_of(r);
        }
        r = daemon_connect(BUS_SOCKET_PATH, &bus);
        return r < 0 ? daemon_error_report(r, "policy show", NULL)
                     : policy_show(bus, cgroup, arguments->json);
}

ExitCode policy_reload(sd_bus *bus)
{
        _cleanup_(daemon_messagep) sd_bus_message *reply = NULL;
        _cleanup_(freep) char *message = NULL;
        int r = daemon_call(bus, BUS_INTERFACE, "Reload", DAEMON_SCAN_USEC, &message, &reply, "");

        if (r < 0) {
                if (r == -EBADMSG && message) {
                        fprintf(stderr, "daxtier: %s\nThe old configuration stays in force.\n",
                                message);
                        return EXITCODE_INPUT;
                }
                return daemon_error_report(r, "policy reload", message);
        }

        puts("The new configuration is in force.");
        return EXITCODE_DONE;
}

static ExitCode run_reload(const Arguments *arguments)
{
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        int r = daemon_connect(BUS_SOCKET_PATH, &bus);

        return r < 0 ? daemon_error_report(r, "policy reload", NULL) : policy_reload(bus);
}

/* What follows `policy`. */
static const struct Verb {
        const char *name;
        int max_operands; /* -1: any number */
        bool has_json;
        ExitCode (*run)(const Arguments *arguments);
} verbs[] = {
        { "check", -1, false, run_check },
        { "show", 1, true, run_show },
        { "reload", 0, false, run_reload },
};

static ExitCode refuse_verb(const char *name)
{
        const char *nearest = NULL;
        unsigned smallest = 4; /* more edits than this are another word */

        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
                unsigned edits = name_distance(name, verbs[i].name);

                if (edits < smallest) {
                        smallest = edits;
                        nearest = verbs[i].name;
                }
        }
        if (nearest)
                return input_refuse("policy %s: no such command; did you mean `daxtier policy %s`?",
                                    name, nearest);
        return input_refuse("policy %s: no such command; expected check, show or reload", name);
}

static int run(const Arguments *arguments)
{
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
                if (strcmp(arguments->operands[0], verbs[i].name) != 0)
                        continue;
                if (verbs[i].max_operands >= 0 && arguments->n_operands - 1 > verbs[i].max_operands)
                        return input_refuse("policy %s: too many arguments", verbs[i].name);
                if (arguments->json && !verbs[i].has_json)
                        return input_refuse("policy %s: --json is for `daxtier policy show`",
                                            verbs[i].name);
                return verbs[i].run(arguments);
        }
        return refuse_verb(arguments->operands[0]);
}

const Command policy_command = {
        .name = "policy",
        .synopsis = "check|show|reload",
        .summary = "policy files: what is wrong, what is in force, and read them again",
        .about =
                "check [FILE…]  Checks each FILE as a policy; without, what daxtierd would read:\n"
                "               /etc/daxtierd/daxtierd.conf with its drop-ins, and policy.d. Says file\n"
                "               and line, and exits with 1 if anything is wrong. Needs no daemon.\n"
                "show [CGROUP]  The policies in force, in the order in which they are tried, with what\n"
                "               they set other than the default; then which one each cgroup goes by.\n"
                "               With CGROUP, only those that processes there may go by, were there any:\n"
                "               the first of which Exe= and User= fit.\n"
                "reload         Makes daxtierd read its configuration again (root). One that is wrong is\n"
                "               refused as a whole, with file and line; the old one stays.\n"
                "\n"
                "Examples:\n"
                "  daxtier policy check my-new.conf && sudo cp my-new.conf /etc/daxtierd/policy.d/\n"
                "  sudo daxtier policy reload\n"
                "  daxtier policy show --json | jq '.policies[] | {file, tier: .cow.tier}'\n",
        .options = COMMAND_JSON,
        .min_operands = 1,
        .max_operands = -1,
        .run = run,
};
