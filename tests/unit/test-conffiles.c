/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/kernel/conffiles.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

#define SECOND UINT64_C(1000000)

/* A root without any file of ours. */
static Scratch root_new(void)
{
        static const char *const directories[] = {
                "etc",
                "etc/daxtierd",
                "etc/daxtierd/daxtierd.conf.d",
                "run",
                "run/daxtierd",
                "run/daxtierd/daxtierd.conf.d",
                "usr",
                "usr/lib",
                "usr/lib/daxtierd",
                "usr/lib/daxtierd/daxtierd.conf.d",
                "etc/daxtierd/policy.d",
                "usr/lib/daxtierd/policy.d",
        };
        Scratch root = scratch_new();

        for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
                cr_assert_eq(mkdirat(root.fd, directories[i], 0755), 0, "%s: %m", directories[i]);

        return root;
}

static void put(const Scratch *root, const char *path, const char *text)
{
        scratch_write(root, path, text, strlen(text));
}

static void assert_loads(const Scratch *root, Config *ret_config)
{
        ConfigError error = {};
        int r = config_load(root->fd, ret_config, &error);

        cr_assert_eq(r, 0, "%d %s:%u: %s", r, error.file, error.line, error.message);
}

static void expect_reconcile(const Scratch *root, uint64_t seconds)
{
        _cleanup_(config_deinit) Config config = {};

        assert_loads(root, &config);
        cr_expect_eq(config.reconcile_usec, seconds * SECOND, "%ju us",
                     (uintmax_t)config.reconcile_usec);
}

static void expect_config_error(const Scratch *root, int result, const char *file, unsigned line,
                                const char *message)
{
        _cleanup_(config_error_deinit) ConfigError error = {};
        Config config = { .n_devices = 77 };

        cr_assert_eq(config_load(root->fd, &config, &error), result);
        cr_expect_str_eq(error.file, file);
        cr_expect_eq(error.line, line);
        cr_expect_str_eq(error.message, message);
        cr_expect_eq(config.n_devices, 77, "the output is touched on failure");
}

Test(conffiles, no_file_is_the_defaults)
{
        _cleanup_(scratch_freep) Scratch bare = scratch_new();
        _cleanup_(scratch_freep) Scratch root = root_new();
        Rule *rules;
        size_t n_rules = 77;

        expect_reconcile(&bare, 30);
        expect_reconcile(&root, 30);
        cr_assert_eq(rules_load(bare.fd, &rules, &n_rules, NULL), 0);
        cr_expect_eq(n_rules, 0);
        rules_free(rules, n_rules);
}

Test(conffiles, the_main_file_of_the_first_place_counts)
{
        _cleanup_(scratch_freep) Scratch root = root_new();

        put(&root, "usr/lib/daxtierd/daxtierd.conf", "[Daemon]\nReconcileSec=3\n");
        expect_reconcile(&root, 3);
        put(&root, "run/daxtierd/daxtierd.conf", "[Daemon]\nReconcileSec=2\n");
        expect_reconcile(&root, 2);
        put(&root, "etc/daxtierd/daxtierd.conf", "[Daemon]\nReconcileSec=1\n");
        expect_reconcile(&root, 1);
        put(&root, "etc/daxtierd/daxtierd.conf", "");
        expect_reconcile(&root, 30);
}

Test(conffiles, a_main_file_that_is_dev_null_hides_the_others)
{
        _cleanup_(scratch_freep) Scratch root = root_new();

        put(&root, "usr/lib/daxtierd/daxtierd.conf", "[Daemon]\nReconcileSec=3\n");
        cr_assert_eq(symlinkat("/dev/null", root.fd, "etc/daxtierd/daxtierd.conf"), 0);
        expect_reconcile(&root, 30);
        put(&root, "usr/lib/daxtierd/daxtierd.conf.d/a.conf", "[Daemon]\nReconcileSec=4\n");
        expect_reconcile(&root, 4);
}

Test(conffiles, drop_ins_come_after_the_main_file_by_name_whatever_their_place)
{
        _cleanup_(scratch_freep) Scratch root = root_new();

        put(&root, "etc/daxtierd/daxtierd.conf", "[Daemon]\nReconcileSec=1\n");
        put(&root, "etc/daxtierd/daxtierd.conf.d/10-a.conf", "[Daemon]\nReconcileSec=10\n");
        expect_reconcile(&root, 10);
        put(&root, "usr/lib/daxtierd/daxtierd.conf.d/20-b.conf", "[Daemon]\nReconcileSec=20\n");
        expect_reconcile(&root, 20);
        put(&root, "run/daxtierd/daxtierd.conf.d/15-c.conf", "[Daemon]\nReconcileSec=15\n");
        expect_reconcile(&root, 20);
}

Test(conffiles, a_drop_in_hides_those_of_its_name_in_later_places)
{
        _cleanup_(scratch_freep) Scratch root = root_new();

        put(&root, "usr/lib/daxtierd/daxtierd.conf.d/a.conf", "[Daemon]\nReconcileSec=3\n");
        put(&root, "run/daxtierd/daxtierd.conf.d/a.conf", "[Device dax1.0]\n");
        expect_reconcile(&root, 30);
        cr_assert_eq(symlinkat("/dev/null", root.fd, "etc/daxtierd/daxtierd.conf.d/a.conf"), 0);

        _cleanup_(config_deinit) Config config = {};
        assert_loads(&root, &config);
        cr_expect_eq(config.n_devices, 0);
}

Test(conffiles, other_names_in_the_directory_are_not_ours)
{
        _cleanup_(scratch_freep) Scratch root = root_new();

        put(&root, "etc/daxtierd/daxtierd.conf.d/a.conf~", "nonsense");
        put(&root, "etc/daxtierd/daxtierd.conf.d/.a.conf", "nonsense");
        put(&root, "etc/daxtierd/daxtierd.conf.d/.conf", "nonsense");
        put(&root, "etc/daxtierd/daxtierd.conf.d/a.conf.dpkg-new", "nonsense");
        put(&root, "etc/daxtierd/daxtierd.conf.d/README", "nonsense");
        expect_reconcile(&root, 30);
}

Test(conffiles, an_error_names_the_drop_in_and_its_line)
{
        _cleanup_(scratch_freep) Scratch root = root_new();

        put(&root, "etc/daxtierd/daxtierd.conf", "[Daemon]\nReconcileSec=1\n");
        put(&root, "run/daxtierd/daxtierd.conf.d/a.conf", "[Device dax1.0]\n\nZoen=normal\n");
        expect_config_error(&root, -EBADMSG, "/run/daxtierd/daxtierd.conf.d/a.conf", 3,
                            "unknown key Zoen= in [Device]; did you mean Zone=?");
}

Test(conffiles, a_node_in_both_tiers_is_found_across_files)
{
        _cleanup_(scratch_freep) Scratch root = root_new();

        put(&root, "etc/daxtierd/daxtierd.conf", "[Tier cheap]\nNodes=1\n");
        put(&root, "etc/daxtierd/daxtierd.conf.d/a.conf", "[Tier fast]\nNodes=0-1\n");
        expect_config_error(&root, -EBADMSG, "/etc/daxtierd/daxtierd.conf.d/a.conf", 2,
                            "node 1 is in [Tier fast] and, by /etc/daxtierd/daxtierd.conf:2, in "
                            "[Tier cheap]: expected every node in one tier at most");
}

Test(conffiles, what_is_no_text_is_refused)
{
        static const char text[] = "[Daemon]\n\nRec\0oncileSec=1\n";
        _cleanup_(scratch_freep) Scratch root = root_new();

        scratch_write(&root, "etc/daxtierd/daxtierd.conf", text, sizeof(text) - 1);
        expect_config_error(&root, -EBADMSG, "/etc/daxtierd/daxtierd.conf", 3,
                            "a null byte: expected text");
}

Test(conffiles, a_file_of_a_mebibyte_is_read_and_no_larger_one)
{
        _cleanup_(scratch_freep) Scratch root = root_new();
        _cleanup_(freep) char *text = malloc(CONFFILE_BYTES_MAX + 1);

        cr_assert_not_null(text);
        memset(text, '\n', CONFFILE_BYTES_MAX + 1);
        scratch_write(&root, "etc/daxtierd/daxtierd.conf", text, CONFFILE_BYTES_MAX);
        expect_reconcile(&root, 30);
        scratch_write(&root, "etc/daxtierd/daxtierd.conf", text, CONFFILE_BYTES_MAX + 1);
        expect_config_error(&root, -EBADMSG, "/etc/daxtierd/daxtierd.conf", 0,
                            "is larger than the 1048576 bytes that are read");
}

Test(conffiles, what_is_no_file_is_refused_without_being_opened)
{
        _cleanup_(scratch_freep) Scratch root = root_new();

        cr_assert_eq(mkfifoat(root.fd, "etc/daxtierd/daxtierd.conf", 0644), 0);
        expect_config_error(&root, -EBADMSG, "/etc/daxtierd/daxtierd.conf", 0,
                            "is not a regular file: expected one, or a link to /dev/null to mask "
                            "it");
}

Test(conffiles, a_link_that_points_nowhere_is_an_error)
{
        _cleanup_(scratch_freep) Scratch root = root_new();

        cr_assert_eq(symlinkat("nowhere", root.fd, "etc/daxtierd/daxtierd.conf"), 0);
        expect_config_error(&root, -ENOENT, "/etc/daxtierd/daxtierd.conf", 0,
                            "cannot be read: No such file or directory");
        cr_assert_eq(unlinkat(root.fd, "etc/daxtierd/daxtierd.conf", 0), 0);
        cr_assert_eq(symlinkat("nowhere", root.fd, "etc/daxtierd/daxtierd.conf.d/a.conf"), 0);
        expect_config_error(&root, -ENOENT, "/etc/daxtierd/daxtierd.conf.d/a.conf", 0,
                            "cannot be read: No such file or directory");
}

Test(conffiles, a_directory_with_too_many_files_is_refused)
{
        _cleanup_(scratch_freep) Scratch root = root_new();
        char path[80];

        for (unsigned i = 0; i < CONFFILES_MAX; i++) {
                snprintf(path, sizeof(path), "run/daxtierd/daxtierd.conf.d/%u.conf", i);
                put(&root, path, "");
        }
        expect_reconcile(&root, 30);
        put(&root, "usr/lib/daxtierd/daxtierd.conf.d/z.conf", "");
        expect_config_error(&root, -EBADMSG, "/usr/lib/daxtierd/daxtierd.conf.d", 0,
                            "holds more than the 4096 files that are read");
}

Test(conffiles, policies_are_read_in_the_order_of_their_names)
{
        _cleanup_(scratch_freep) Scratch root = root_new();
        Rule *rules;
        size_t n_rules;

        put(&root, "etc/daxtierd/policy.d/50-b.conf", "[Match]\nCgroup=/b\n");
        put(&root, "etc/daxtierd/policy.d/90-c.conf", "[Match]\nCgroup=/c\n");
        put(&root, "usr/lib/daxtierd/policy.d/10-a.conf", "[Match]\nCgroup=/a\n");
        put(&root, "usr/lib/daxtierd/policy.d/90-c.conf", "[Match]\nCgroup=/hidden\n");
        put(&root, "usr/lib/daxtierd/policy.d/60-d.conf", "[Match]\nCgroup=/masked\n");
        cr_assert_eq(symlinkat("/dev/null", root.fd, "etc/daxtierd/policy.d/60-d.conf"), 0);

        cr_assert_eq(rules_load(root.fd, &rules, &n_rules, NULL), 0);
        cr_assert_eq(n_rules, 3);
        cr_expect_str_eq(rules[0].cgroup, "/a");
        cr_expect_str_eq(rules[0].source, "/usr/lib/daxtierd/policy.d/10-a.conf");
        cr_expect_str_eq(rules[1].cgroup, "/b");
        cr_expect_str_eq(rules[2].cgroup, "/c");
        rules_free(rules, n_rules);
}

Test(conffiles, one_bad_policy_refuses_all)
{
        _cleanup_(scratch_freep) Scratch root = root_new();
        _cleanup_(config_error_deinit) ConfigError error = {};
        Rule *rules = NULL;
        size_t n_rules = 77;

        put(&root, "etc/daxtierd/policy.d/50-a.conf", "[Match]\nCgroup=/a\n");
        put(&root, "etc/daxtierd/policy.d/60-b.conf", "[Match]\nCgroup=/b\n[Cow]\nTeir=fast\n");
        cr_assert_eq(rules_load(root.fd, &rules, &n_rules, &error), -EBADMSG);
        cr_expect_str_eq(error.file, "/etc/daxtierd/policy.d/60-b.conf");
        cr_expect_eq(error.line, 4);
        cr_expect_str_eq(error.message, "unknown key Teir= in [Cow]; did you mean Tier=?");
        cr_expect_null(rules);
        cr_expect_eq(n_rules, 77);
}

Test(conffiles, one_policy_is_read_from_where_one_says)
{
        _cleanup_(scratch_freep) Scratch root = root_new();
        _cleanup_(rule_deinit) Rule rule = {};
        _cleanup_(config_error_deinit) ConfigError error = {};

        put(&root, "mine.conf", "[Match]\nCgroup=/a\n");
        cr_assert_eq(rule_load(root.fd, "mine.conf", &rule, &error), 0);
        cr_expect_str_eq(rule.source, "mine.conf");

        cr_assert_eq(rule_load(root.fd, "none.conf", &rule, &error), -ENOENT);
        cr_expect_str_eq(error.file, "none.conf");
        cr_expect_eq(error.line, 0);
        cr_expect_str_eq(error.message, "cannot be read: No such file or directory");
}
