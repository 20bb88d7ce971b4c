/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/command.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>

#include "policy/macro.h"

typedef struct OptionRow {
        CommandOption option;
        const char *name;
        const char *value; /* NULL: takes none */
        const char *summary;
} OptionRow;

static const OptionRow rows[] = {
        { COMMAND_JSON, "json", NULL, "print JSON; sizes are in bytes, what is unknown is null" },
        { COMMAND_BYTES, "bytes", NULL, "print sizes in bytes, not as 1.5G" },
        { COMMAND_ALL, "all", NULL, "every mapping, also those that no tier matters to" },
        { COMMAND_DRY_RUN, "dry-run", NULL, "show each step, do none" },
        { COMMAND_ZONE, "zone", "ZONE",
          "movable (default) or normal; only while daxtierd is not running" },
        { COMMAND_TIER, "tier", "TIER", "cheap (default), fast, default, node:2, node:2-3" },
        { COMMAND_POLICY, "policy", "FILE", "take tier, file and strict from a policy file" },
        { COMMAND_FILE, "file", "WHICH", "dax (default), any, or a glob on the file's path" },
        { COMMAND_STRICT, "strict", NULL, "bind to the tier: no fallback to DRAM when it is full" },
        { COMMAND_CGROUP, "cgroup", "CGROUP",
          "only this cgroup, from the cgroup2 root, and below" },
        { COMMAND_PID, "pid", "PID", "only this process" },
        { COMMAND_GLOB, "file", "GLOB", "only files whose path fits; * matches a / too" },
};

/* getopt_long()'s values: beyond any character. */
#define OPTION_BASE 256
#define OPTION_HELP (OPTION_BASE + (int)ARRAY_SIZE(rows))

void command_help(const Command *command)
{
        printf("Usage: daxtier %s%s%s%s\n\n%s.\n\n%s\nOptions:\n", command->name,
               command->options ? " [OPTION…]" : "", *command->synopsis ? " " : "",
               command->synopsis, command->summary, command->about);

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char text[32];

                if (!(command->options & rows[i].option))
                        continue;
                snprintf(text, sizeof(text), "--%s%s%s", rows[i].name, rows[i].value ? "=" : "",
                         rows[i].value ? rows[i].value : "");
                printf("  %-15s %s\n", text, rows[i].summary);
        }
        printf("  %-15s %s\n\nThe whole manual: man daxtier\n", "--help", "this text");
}

static void arguments_set(Arguments *arguments, CommandOption option, const char *value)
{
        switch (option) {
        case COMMAND_JSON:
                arguments->json = true;
                break;
        case COMMAND_BYTES:
                arguments->bytes = true;
                break;
        case COMMAND_ALL:
                arguments->all = true;
                break;
        case COMMAND_DRY_RUN:
                arguments->dry_run = true;
                break;
        case COMMAND_ZONE:
                arguments->zone = value;
                break;
        case COMMAND_TIER:
                arguments->tier = value;
                break;
        case COMMAND_POLICY:
                arguments->policy = value;
                break;
        case COMMAND_FILE:
        case COMMAND_GLOB:
                arguments->file = value;
                break;
        case COMMAND_CGROUP:
                arguments->cgroup = value;
                break;
        case COMMAND_PID:
                arguments->pid = value;
                break;
        case COMMAND_STRICT:
                arguments->strict = true;
                break;
        }
}

/* What getopt_long() may accept for this command; ends with a zero row. */
static void options_list(const Command *command, struct option options[ARRAY_SIZE(rows) + 2])
{
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (command->options & rows[i].option)
                        options[n++] = (struct option){
                                .name = rows[i].name,
                                .has_arg = rows[i].value ? required_argument : no_argument,
                                .val = OPTION_BASE + (int)i,
                        };
        options[n++] = (struct option){ .name = "help", .val = OPTION_HELP };
        options[n] = (struct option){};
}

static bool operands_complain(const Command *command, int n_operands)
{
        const char *complaint;

        if (n_operands < command->min_operands)
                complaint = "something is missing";
        else if (command->max_operands >= 0 && n_operands > command->max_operands)
                complaint = "too many arguments";
        else
                return false;

        input_refuse("%s: %s\nUsage: daxtier %s%s%s%s", command->name, complaint, command->name,
                     command->options ? " [OPTION…]" : "", *command->synopsis ? " " : "",
                     command->synopsis);
        return true;
}

bool command_parse(const Command *command, int argc, char **argv, Arguments *ret_arguments,
                   ExitCode *ret_code)
{
        struct option options[ARRAY_SIZE(rows) + 2];
        Arguments arguments = {};
        int option;

        options_list(command, options);
        argv[0] = program_invocation_short_name; /* what getopt_long() complains as */
        optind = 0; /* GNU: begin anew, main() has scanned its own part */

        while ((option = getopt_long(argc, argv, command->wraps ? "+h" : "h", options, NULL)) >=
               0) {
                if (option == OPTION_HELP || option == 'h') {
                        command_help(command);
                        *ret_code = EXITCODE_DONE;
                        return false;
                }
                if (option == '?') {
                        fprintf(stderr, "Its options: daxtier %s --help\n", command->name);
                        *ret_code = EXITCODE_INPUT;
                        return false;
                }
                arguments_set(&arguments, rows[option - OPTION_BASE].option, optarg);
        }

        arguments.operands = argv + optind;
        arguments.n_operands = argc - optind;
        if (operands_complain(command, arguments.n_operands)) {
                *ret_code = EXITCODE_INPUT;
                return false;
        }

        *ret_arguments = arguments;
        return true;
}

int cgroup_argument_parse(const char *option, const char *text, char **ret_cgroup)
{
        size_t length = strlen(text);
        char *cgroup;

        if (*text != '/' || length >= PATH_MAX) {
                input_refuse("%s%s: expected a cgroup's path from the cgroup2 root, such as "
                             "/machine.slice",
                             option, text);
                return -EINVAL;
        }
        while (length > 1 && text[length - 1] == '/')
                length--;

        cgroup = strndup(text, length);
        if (!cgroup)
                return -ENOMEM;
        *ret_cgroup = cgroup;
        return 0;
}
