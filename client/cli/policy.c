/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "client/cli/command.h"
#include "client/cli/host.h"
#include "daemon/kernel/conffiles.h"
#include "policy/macro.h"

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

static int run(const Arguments *arguments)
{
        ExitCode worst = EXITCODE_DONE;

        if (strcmp(arguments->operands[0], "check") != 0)
                return input_refuse("policy %s: no such command; did you mean `daxtier policy "
                                    "check`?",
                                    arguments->operands[0]);
        if (arguments->n_operands == 1)
                return check_installed();

        for (int i = 1; i < arguments->n_operands; i++) {
                ExitCode code = check_file(arguments->operands[i]);

                if (code != EXITCODE_DONE && worst == EXITCODE_DONE)
                        worst = code;
        }
        return worst;
}

const Command policy_command = {
        .name = "policy",
        .synopsis = "check [FILE…]",
        .summary = "what is wrong with policy files, by file and line",
        .about =
                "With FILEs, checks each as a policy. Without, checks what daxtierd would read:\n"
                "/etc/daxtierd/daxtierd.conf with its drop-ins, and policy.d. Needs no daemon. Exits\n"
                "with 1 if anything is wrong.\n"
                "\n"
                "Examples:\n"
                "  daxtier policy check\n"
                "  daxtier policy check my-new.conf && sudo cp my-new.conf /etc/daxtierd/policy.d/\n",
        .min_operands = 1,
        .max_operands = -1,
        .run = run,
};
