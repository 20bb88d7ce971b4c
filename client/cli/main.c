/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <locale.h>
#include <stdio.h>

#include "client/cli/command.h"
#include "policy/macro.h"
#include "policy/name.h"

static const Command *const commands[] = {
        &status_command,  &devices_command, &nodes_command,  &online_command,
        &offline_command, &query_command,   &list_command,   &run_command,
        &policy_command,  &metrics_command, &doctor_command,
};

static void help(void)
{
        printf("Usage: daxtier COMMAND [OPTION…] [ARGUMENT…]\n\n"
               "Copy-on-write copies of pmem-backed mappings that live on pmem, not in DRAM: what "
               "there\nis, how it is doing, and programs run that way.\n\nCommands:\n");
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                printf("  %-8s %-18s %s\n", commands[i]->name, commands[i]->synopsis,
                       commands[i]->summary);

        printf("\n  daxtier COMMAND --help   its options, and examples\n"
               "  daxtier --version\n\n"
               "Exit codes:\n"
               "  0  done\n"
               "  1  wrong input\n"
               "  2  not possible here, or only in part; the text says why\n"
               "  3  daxtierd cannot be reached\n"
               "  4  denied\n\n"
               "Begin with: daxtier doctor\n");
}

static ExitCode refuse_command(const char *name)
{
        const char *nearest = NULL;
        unsigned smallest = 4; /* more edits than this are another word */

        for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
                unsigned edits = name_distance(name, commands[i]->name);

                if (edits < smallest) {
                        smallest = edits;
                        nearest = commands[i]->name;
                }
        }

        if (nearest)
                return input_refuse("%s: no such command; did you mean `daxtier %s`?", name,
                                    nearest);
        return input_refuse("%s: no such command; `daxtier --help` lists them", name);
}

static int command_run(int argc, char **argv)
{
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
                Arguments arguments;
                ExitCode code;

                if (strcmp(argv[0], commands[i]->name) != 0)
                        continue;
                if (!command_parse(commands[i], argc, argv, &arguments, &code))
                        return code;
                return commands[i]->run(&arguments);
        }

        return refuse_command(argv[0]);
}

static int run(int argc, char **argv)
{
        static const struct option options[] = {
                { .name = "help", .val = 'h' },
                { .name = "version", .val = 'V' },
                {},
        };
        int option;

        /* "+": what follows the command belongs to the command. */
        option = getopt_long(argc, argv, "+hV", options, NULL);
        if (option == 'h') {
                help();
                return EXITCODE_DONE;
        }
        if (option == 'V') {
                puts("daxtier " PROJECT_VERSION);
                return EXITCODE_DONE;
        }
        if (option == '?')
                return EXITCODE_INPUT;

        if (optind >= argc)
                return input_refuse("which command? `daxtier --help` lists them");
        return command_run(argc - optind, argv + optind);
}

int main(int argc, char **argv)
{
        int code;

        setlocale(LC_ALL, "");
        code = run(argc, argv);

        /* A full disk or a closed pipe is found here at the latest. */
        if (fflush(stdout) != 0 || ferror(stdout)) {
                fprintf(stderr, "daxtier: cannot write to standard output: %m\n");
                return EXITCODE_IMPOSSIBLE;
        }
        return code;
}
