/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "client/cli/command.h"
#include "client/cli/host.h"
#include "client/cli/program.h"
#include "daemon/kernel/conffiles.h"
#include "policy/macro.h"
#include "policy/rule.h"

/* As env(1) and the shells. */
#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND      127

/* What the shim is told: the tier is resolved here, once, so that it need not look at /sys. */
typedef struct Placement {
        Tier tier;
        bool strict;
        char *file; /* "dax", "any" or "glob:PATTERN" */
} Placement;

static void placement_deinit(Placement *placement)
{
        free(placement->file);
}

static int filter_format(FileFilter filter, const char *pattern, char **ret_text)
{
        char *text = NULL;

        switch (filter) {
        case FILE_FILTER_DAX:
                text = strdup("dax");
                break;
        case FILE_FILTER_ANY:
                text = strdup("any");
                break;
        case FILE_FILTER_GLOB:
                if (asprintf(&text, "glob:%s", pattern) < 0)
                        return -ENOMEM;
                break;
        }
        if (!text)
                return -ENOMEM;

        *ret_text = text;
        return 0;
}

static ExitCode placement_from_policy(const char *path, Placement *ret_placement)
{
        _cleanup_(config_error_deinit) ConfigError error = {};
        _cleanup_(rule_deinit) Rule rule = {};
        int r;

        r = rule_load(AT_FDCWD, path, &rule, &error);
        if (r < 0)
                return config_error_report(r, path, &error);

        r = filter_format(rule.cow.filter, rule.cow.file, &ret_placement->file);
        if (r < 0)
                return error_report(r, path);
        ret_placement->tier = rule.cow.tier;
        ret_placement->strict = rule.cow.strict;
        return EXITCODE_DONE;
}

static ExitCode placement_from_options(const Arguments *arguments, Placement *ret_placement)
{
        const char *tier = arguments->tier ? arguments->tier : "cheap";
        const char *file = arguments->file ? arguments->file : "dax";
        FileFilter filter = FILE_FILTER_GLOB;
        int r;

        if (tier_parse(tier, &ret_placement->tier) < 0)
                return error_report(-EDOM, tier);

        if (!*file)
                return input_refuse("--file=: expected dax, any, or a glob on the file's path");
        if (strcmp(file, "dax") == 0)
                filter = FILE_FILTER_DAX;
        else if (strcmp(file, "any") == 0)
                filter = FILE_FILTER_ANY;
        r = filter_format(filter, file, &ret_placement->file);
        if (r < 0)
                return error_report(r, "run");

        ret_placement->strict = arguments->strict;
        return EXITCODE_DONE;
}

/* Puts the shim before what is preloaded already: ours is the mmap() that must see the call. */
static int preload_set(const char *shim)
{
        const char *already = getenv("LD_PRELOAD");
        _cleanup_(freep) char *list = NULL;
        int r;

        if (!already || !*already)
                return setenv("LD_PRELOAD", shim, 1) < 0 ? -errno : 0;

        r = asprintf(&list, "%s:%s", shim, already);
        if (r < 0) {
                list = NULL;
                return -ENOMEM;
        }
        return setenv("LD_PRELOAD", list, 1) < 0 ? -errno : 0;
}

static int environment_set(const Placement *placement, const NodeSet *nodes, const char *shim)
{
        char text[NODESET_TEXT_MAX];
        int r = nodeset_format(nodes, text, sizeof(text));

        if (r < 0)
                return r;
        if (setenv("DAXTIER_NODES", text, 1) < 0 ||
            setenv("DAXTIER_FILE", placement->file, 1) < 0 ||
            setenv("DAXTIER_STRICT", placement->strict ? "1" : "0", 1) < 0)
                return -errno;
        return preload_set(shim);
}

static ExitCode refuse(ProgramFit fit, const char *culprit)
{
        static const char *const reasons[] = {
                [PROGRAM_STATIC] = "is statically linked",
                [PROGRAM_PRIVILEGED] = "is set-uid, set-gid or has file capabilities",
                [PROGRAM_FOREIGN] = "is of another architecture than the shim",
        };

        fprintf(stderr,
                "daxtier: %s %s: the dynamic linker would not load the shim that places its "
                "copies. Nothing was run.\n",
                culprit, reasons[fit]);
        return EXITCODE_IMPOSSIBLE;
}

static int program_check(char **command, const char *shim)
{
        _cleanup_(freep) char *path = NULL, *culprit = NULL;
        ProgramFit fit;
        int r;

        if (access(shim, R_OK) < 0) {
                fprintf(stderr,
                        "daxtier: the shim %s cannot be read: %m. It comes with this command: "
                        "reinstall daxtier.\n",
                        shim);
                return EXITCODE_IMPOSSIBLE;
        }

        r = program_find(command[0], &path);
        if (r < 0) {
                fprintf(stderr, "daxtier: %s: %s\n", command[0], strerrordesc_np(-r));
                return r == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
        }

        r = program_inspect(path, shim, &fit, &culprit);
        if (r < 0) {
                fprintf(stderr, "daxtier: %s: cannot tell whether the shim would be loaded: %s\n",
                        path, strerrordesc_np(-r));
                return EXIT_CANNOT_EXECUTE;
        }
        return fit == PROGRAM_FITS ? EXITCODE_DONE : refuse(fit, culprit);
}

static int execute(char **command)
{
        execvp(command[0], command);
        fprintf(stderr, "daxtier: %s: %m\n", command[0]);
        return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}

static int run(const Arguments *arguments)
{
        const char *override = getenv("DAXTIER_PRELOAD");
        const char *shim = override ? override : PRELOAD_PATH;
        _cleanup_(placement_deinit) Placement placement = {};
        NodeSet nodes;
        int code, r;

        if (arguments->policy && (arguments->tier || arguments->file || arguments->strict))
                return input_refuse("--policy says tier, file and strict itself: leave out --tier, "
                                    "--file and --strict");
        code = arguments->policy ? placement_from_policy(arguments->policy, &placement)
                                 : placement_from_options(arguments, &placement);
        if (code != EXITCODE_DONE)
                return code;
        if (placement.tier.kind == TIER_DEFAULT)
                return execute(arguments->operands);

        r = host_tier_resolve(&placement.tier, &nodes);
        if (r < 0)
                return error_report(r, arguments->policy ? arguments->policy
                                       : arguments->tier ? arguments->tier
                                                         : "cheap");
        code = program_check(arguments->operands, shim);
        if (code != EXITCODE_DONE)
                return code;

        r = environment_set(&placement, &nodes, shim);
        if (r < 0)
                return error_report(r, "run");
        return execute(arguments->operands);
}

const Command run_command = {
        .name = "run",
        .synopsis = "[--] CMD…",
        .summary = "a program whose copies of DAX files live on a tier; no root needed",
        .about =
                "The private mappings that CMD and its children make get their copy-on-write copies\n"
                "from the tier: on pmem, not in DRAM. What the program sees does not change.\n"
                "\n"
                "It cannot reach static and set-uid executables, nor programs that make system calls\n"
                "without the C library; the first two are refused. A tier that is full falls back to\n"
                "DRAM unless --strict.\n"
                "\n"
                "Exits as CMD does; with 126 if CMD cannot be executed, 127 if it is not found, 2 if it\n"
                "cannot be placed.\n"
                "\n"
                "Examples:\n"
                "  daxtier run -- python3 job.py\n"
                "  daxtier run --tier=node:2 --file='/srv/images/*' -- qemu-system-x86_64 …\n",
        .options = COMMAND_TIER | COMMAND_POLICY | COMMAND_FILE | COMMAND_STRICT,
        .min_operands = 1,
        .max_operands = -1,
        .wraps = true,
        .run = run,
};
