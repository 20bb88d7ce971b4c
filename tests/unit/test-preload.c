/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Runs preload-child, an ordinary program, under the shim with node 0 as the tier, and looks at the
 * policy which the kernel shows for its mappings. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/macro.h"

#define ANY "DAXTIER_NODES=0 DAXTIER_FILE=any"

static char file_path[] = "/tmp/daxtier-preload-XXXXXX";

static void file_make(void)
{
        int fd = mkstemp(file_path);

        cr_assert_geq(fd, 0);
        cr_assert_eq(ftruncate(fd, 8L * 4096), 0);
        close(fd);
}

static void file_remove(void)
{
        unlink(file_path);
}

TestSuite(preload, .init = file_make, .fini = file_remove, .timeout = 60);

static const char *environment(const char *name)
{
        const char *value = getenv(name);

        cr_assert_not_null(value, "%s is not set: run by meson test", name);
        return value;
}

/* What the child prints. @preload: a second object to preload, or NULL. */
static const char *child_says(const char *settings, const char *scenario, const char *object,
                              const char *preload)
{
        static char line[128];
        char command[4096];
        FILE *child;
        int status;

        snprintf(
                command, sizeof(command),
                "unset LD_LIBRARY_PATH; %s PLUGIN_MAPS='%s' LD_PRELOAD='%s%s%s' exec '%s' %s '%s' '%s'",
                settings, file_path, environment("PRELOAD"), preload ? ":" : "",
                preload ? preload : "", environment("PRELOAD_CHILD"), scenario, file_path,
                object ? object : "");
        child = popen(command, "re"); /* NOLINT(cert-env33-c) */
        cr_assert_not_null(child);
        if (!fgets(line, sizeof(line), child))
                line[0] = '\0';
        line[strcspn(line, "\n")] = '\0';

        status = pclose(child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %d", scenario, status);
        return line;
}

#define expect(settings, scenario, wanted)                                                         \
        cr_expect_str_eq(child_says(settings, scenario, NULL, NULL), wanted, "%s with '%s'",       \
                         scenario, settings)

Test(preload, places_private_file_mappings)
{
        static const char *const scenarios[] = { "map", "map64", "read-only", "locale", "fork" };

        for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
                expect(ANY, scenarios[i], "prefer:0");
}

Test(preload, leaves_the_rest_alone)
{
        static const char *const scenarios[] = { "code", "shared", "anonymous" };

        for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
                expect(ANY, scenarios[i], "default");
}

Test(preload, binds_when_strict)
{
        expect(ANY " DAXTIER_STRICT=1", "map", "bind:0");
        expect(ANY " DAXTIER_STRICT=0", "map", "prefer:0");
}

Test(preload, takes_the_files_that_it_is_told)
{
        expect("DAXTIER_NODES=0", "map", "default"); /* page cache, and only DAX was asked for */
        expect("DAXTIER_NODES=0 DAXTIER_FILE=dax", "map", "default");
        expect("DAXTIER_NODES=0 DAXTIER_FILE='glob:/tmp/daxtier-*'", "map", "prefer:0");
        expect("DAXTIER_NODES=0 DAXTIER_FILE='glob:/tmp/daxtier-*'", "locale", "prefer:0");
        expect("DAXTIER_NODES=0 DAXTIER_FILE='glob:/tmp/other-*'", "map", "default");
}

Test(preload, does_nothing_without_sense_in_its_settings)
{
        static const char *const settings[] = {
                "DAXTIER_FILE=any",
                "DAXTIER_NODES= DAXTIER_FILE=any",
                "DAXTIER_NODES=x DAXTIER_FILE=any",
                "DAXTIER_NODES=1023 DAXTIER_FILE=any", /* no such node here */
                "DAXTIER_NODES=0 DAXTIER_FILE=some",
        };

        for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
                expect(settings[i], "map", "default");
                expect(settings[i], "errors", "same");
        }
}

Test(preload, changes_no_result_and_no_errno)
{
        expect(ANY, "errors", "same");
}

Test(preload, policy_follows_mremap)
{
        expect(ANY, "mremap", "prefer:0");
}

Test(preload, serves_threads_and_signal_handlers)
{
        expect(ANY, "threads", "placed");
        expect(ANY, "signals", "prefer:0");
        expect("DAXTIER_NODES=0 DAXTIER_FILE='glob:/tmp/daxtier-*'", "signals", "prefer:0");
}

Test(preload, places_writable_segments_of_loaded_objects)
{
        const char *plugin = environment("PRELOAD_PLUGIN");

        cr_expect_str_eq(child_says(ANY, "dlopen", plugin, NULL), "prefer:0");
        cr_expect_str_eq(child_says("DAXTIER_NODES=0", "dlopen", plugin, NULL), "default");
        /* Preloaded, thus there before the shim's constructor. */
        cr_expect_str_eq(child_says(ANY, "dlopen", plugin, plugin), "prefer:0");
}

Test(preload, hides_no_caller_from_dlopen)
{
        cr_expect_str_eq(child_says(ANY, "dlopen-runpath", environment("PRELOAD_PLUGIN"), NULL),
                         "found");
}

Test(preload, works_before_its_own_constructor)
{
        cr_expect_str_eq(child_says(ANY, "early", NULL, environment("PRELOAD_PLUGIN")), "prefer:0");
}
