/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "client/cli/exitcode.h"

typedef struct Arguments Arguments;
typedef struct Command Command;

/* Options a subcommand takes, as bits of Command.options. --help goes without saying. */
typedef enum CommandOption {
        COMMAND_JSON = 1 << 0,
        COMMAND_BYTES = 1 << 1,
        COMMAND_ALL = 1 << 2,
        COMMAND_DRY_RUN = 1 << 3,
        COMMAND_ZONE = 1 << 4,
        COMMAND_TIER = 1 << 5,
        COMMAND_POLICY = 1 << 6,
        COMMAND_FILE = 1 << 7,
        COMMAND_STRICT = 1 << 8,
        COMMAND_CGROUP = 1 << 9,
        COMMAND_PID = 1 << 10,
        COMMAND_GLOB = 1 << 11,
} CommandOption;

/* A command line, read. Texts belong to argv; NULL: not given. */
struct Arguments {
        bool json;
        bool bytes;
        bool all;
        bool dry_run;
        bool strict;
        const char *zone;
        const char *tier;
        const char *policy;
        const char *file;
        const char *cgroup;
        const char *pid;
        char **operands; /* ends with NULL */
        int n_operands;
};

/* A subcommand. */
struct Command {
        const char *name;
        const char *synopsis; /* its operands, "PID [ADDR]" */
        const char *summary;  /* one line */
        const char *about;    /* what it does, examples, limits; ends with a newline */
        unsigned options;     /* CommandOption */
        int min_operands;
        int max_operands; /* -1: any number */
        bool wraps;       /* its operands are a command with options of its own */
        int (*run)(const Arguments *arguments); /* an ExitCode; `run` has env(1)'s 126, 127, too */
};

extern const Command status_command;
extern const Command devices_command;
extern const Command nodes_command;
extern const Command online_command;
extern const Command offline_command;
extern const Command query_command;
extern const Command list_command;
extern const Command metrics_command;
extern const Command run_command;
extern const Command doctor_command;
extern const Command policy_command;

/* Reads argv[1…] of the subcommand argv[0]. False: nothing is left to do but to exit with
 * *ret_code, after --help or after a complaint; @ret_arguments is untouched then. */
bool command_parse(const Command *command, int argc, char **argv, Arguments *ret_arguments,
                   ExitCode *ret_code);

void command_help(const Command *command);

/* A cgroup's path as the kernel spells it, from an argument that was @option or, "", an operand:
 * less the slash that a shell's completion ends it with. The caller frees. -EINVAL, after a
 * complaint: none; -ENOMEM. */
int cgroup_argument_parse(const char *option, const char *text, char **ret_cgroup);
