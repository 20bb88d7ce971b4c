/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>

#include "policy/macro.h"
#include "policy/rule.h"

/* The example of the interface. */
static const char example[] =
        "[Match]\n"
        "Cgroup=/machine.slice/**    # required, relative to the cgroup2 root. * within one level;\n"
        "                            # /a/** is /a and all below it\n"
        "Exe=                        # optional glob on the executable's path\n"
        "User=                       # optional\n"
        "[Cow]                       # copies of private file mappings\n"
        "File=dax                    # dax (default) | any | a glob on the file's path\n"
        "Tier=cheap                  # cheap | fast | node:2 | node:2-3 | default (hands off)\n"
        "Strict=no                   # no: prefer, fall back when full. yes: bind\n"
        "Existing=move               # move | leave: copies made before the policy arrived\n"
        "[Anon]\n"
        "Tier=default\n"
        "ColdAfter=                  # e.g. 30s: not accessed that long -> ColdTier. Empty: off\n"
        "ColdTier=cheap\n"
        "HotTier=fast                # where pages come back to; empty: stay\n"
        "[Limits]\n"
        "CheapMax=                   # bytes of this cgroup on the cheap tier\n"
        "FastMax=                    # bytes of its anonymous memory on fast\n"
        "MoveRate=200M               # bytes per second\n"
        "PauseMax=1ms                # longest stop of a target we accept\n";

static void parse(const char *text, Rule *ret_rule)
{
        ConfigError error = {};
        int r = rule_parse("p.conf", text, ret_rule, &error);

        cr_assert_eq(r, 0, "%s:%u: %s", error.file, error.line, error.message);
}

static void expect_error(const char *text, unsigned line, const char *message)
{
        _cleanup_(config_error_deinit) ConfigError error = {};
        Rule rule = { .cgroup = NULL };

        cr_assert_eq(rule_parse("p.conf", text, &rule, &error), -EBADMSG, "%s", text);
        cr_expect_str_eq(error.file, "p.conf");
        cr_expect_eq(error.line, line, "%s: line %u", text, error.line);
        cr_expect_str_eq(error.message, message);
        cr_expect_null(rule.cgroup, "the output is touched on failure");
}

static void expect_defaults(const Rule *rule)
{
        cr_expect_null(rule->exe);
        cr_expect_null(rule->user);
        cr_expect_eq(rule->cow.filter, FILE_FILTER_DAX);
        cr_expect_null(rule->cow.file);
        cr_expect_eq(rule->cow.tier.kind, TIER_CHEAP);
        cr_expect_not(rule->cow.strict);
        cr_expect(rule->cow.move_existing);
        cr_expect_eq(rule->anon.tier.kind, TIER_DEFAULT);
        cr_expect_eq(rule->anon.cold_after_usec, RULE_UNSET);
        cr_expect_eq(rule->anon.cold_tier.kind, TIER_CHEAP);
        cr_expect(rule->anon.has_hot_tier);
        cr_expect_eq(rule->anon.hot_tier.kind, TIER_FAST);
        cr_expect_eq(rule->limits.cheap_max, RULE_UNSET);
        cr_expect_eq(rule->limits.fast_max, RULE_UNSET);
        cr_expect_eq(rule->limits.move_rate, UINT64_C(200) << 20);
        cr_expect_eq(rule->limits.pause_max_usec, 1000);
}

Test(rule, a_cgroup_is_enough_and_the_rest_has_defaults)
{
        _cleanup_(rule_deinit) Rule rule = {};

        parse("[Match]\nCgroup=/machine.slice/**\n", &rule);
        cr_expect_str_eq(rule.source, "p.conf");
        cr_expect_str_eq(rule.cgroup, "/machine.slice/**");
        expect_defaults(&rule);
}

Test(rule, reads_the_documented_example_which_states_the_defaults)
{
        _cleanup_(rule_deinit) Rule rule = {};

        parse(example, &rule);
        cr_expect_str_eq(rule.cgroup, "/machine.slice/**");
        expect_defaults(&rule);
}

Test(rule, reads_every_key)
{
        _cleanup_(rule_deinit) Rule rule = {};

        parse("[Match]\nCgroup=/a/b?/c*\nExe=/usr/bin/qemu-*\nUser=libvirt-qemu\n"
              "[Cow]\nFile=/mnt/pmem/*.img\nTier=node:2-3\nStrict=yes\nExisting=leave\n"
              "[Anon]\nTier=fast\nColdAfter=2min\nColdTier=node:4\nHotTier=cheap\n"
              "[Limits]\nCheapMax=1G\nFastMax=512M\nMoveRate=1.5G\nPauseMax=500us\n",
              &rule);
        cr_expect_str_eq(rule.cgroup, "/a/b?/c*");
        cr_expect_str_eq(rule.exe, "/usr/bin/qemu-*");
        cr_expect_str_eq(rule.user, "libvirt-qemu");
        cr_expect_eq(rule.cow.filter, FILE_FILTER_GLOB);
        cr_expect_str_eq(rule.cow.file, "/mnt/pmem/*.img");
        cr_expect_eq(rule.cow.tier.kind, TIER_NODES);
        cr_expect(nodeset_has(&rule.cow.tier.nodes, 3));
        cr_expect(rule.cow.strict);
        cr_expect_not(rule.cow.move_existing);
        cr_expect_eq(rule.anon.tier.kind, TIER_FAST);
        cr_expect_eq(rule.anon.cold_after_usec, 120000000);
        cr_expect(nodeset_has(&rule.anon.cold_tier.nodes, 4));
        cr_expect(rule.anon.has_hot_tier);
        cr_expect_eq(rule.anon.hot_tier.kind, TIER_CHEAP);
        cr_expect_eq(rule.limits.cheap_max, UINT64_C(1) << 30);
        cr_expect_eq(rule.limits.fast_max, UINT64_C(512) << 20);
        cr_expect_eq(rule.limits.move_rate, UINT64_C(3) << 29);
        cr_expect_eq(rule.limits.pause_max_usec, 500);
}

Test(rule, empty_takes_a_filter_back_and_lets_hot_pages_stay)
{
        _cleanup_(rule_deinit) Rule rule = {};

        parse("[Match]\nCgroup=/a\nExe=/bin/x\nExe=\nUser=me\nUser=\n"
              "[Cow]\nFile=/mnt/*\nFile=\nTier=fast\nTier=\nStrict=yes\nStrict=\n"
              "[Anon]\nColdAfter=1s\nColdAfter=\nHotTier=\n"
              "[Limits]\nCheapMax=1\nCheapMax=\nFastMax=1\nFastMax=infinity\n"
              "MoveRate=infinity\nPauseMax=\n",
              &rule);
        cr_expect_null(rule.exe);
        cr_expect_null(rule.user);
        cr_expect_eq(rule.cow.filter, FILE_FILTER_DAX);
        cr_expect_null(rule.cow.file);
        cr_expect_eq(rule.cow.tier.kind, TIER_CHEAP);
        cr_expect_not(rule.cow.strict);
        cr_expect_eq(rule.anon.cold_after_usec, RULE_UNSET);
        cr_expect_not(rule.anon.has_hot_tier);
        cr_expect_eq(rule.limits.cheap_max, RULE_UNSET);
        cr_expect_eq(rule.limits.fast_max, RULE_UNSET);
        cr_expect_eq(rule.limits.move_rate, RULE_UNSET);
        cr_expect_eq(rule.limits.pause_max_usec, 1000);
}

Test(rule, a_policy_is_for_some_cgroup)
{
        static const char missing[] =
                "no Cgroup= in [Match]: expected the cgroup that this policy is for, such as "
                "Cgroup=/machine.slice/**";

        expect_error("", 0, missing);
        expect_error("[Cow]\nTier=cheap\n", 0, missing);
        expect_error("[Match]\nCgroup=/a\nCgroup=\n", 0, missing);
}

Test(rule, takes_globs_that_can_match_a_cgroup)
{
        static const char *const good[] = {
                "/",    "/a",           "/a/b.service", "/a/**",  "/**",
                "/*/b", "/a/b-?.scope", "/a/[bc]*",     "/a/...", "/user.slice/*/**"
        };
        static const char *const bad[] = { "a",      "machine.slice/**", "**",    "/a/**/b",
                                           "/a/b**", "/**/**",           "//",    "/a//b",
                                           "/a/",    "/a/./b",           "/a/..", "/../a",
                                           "/a/***" };
        char text[300], message[300];

        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                _cleanup_(rule_deinit) Rule rule = {};

                snprintf(text, sizeof(text), "[Match]\nCgroup=%s\n", good[i]);
                parse(text, &rule);
                cr_expect_str_eq(rule.cgroup, good[i]);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                snprintf(text, sizeof(text), "[Match]\nCgroup=%s\n", bad[i]);
                snprintf(message, sizeof(message),
                         "Cgroup=%s: expected a path from the cgroup2 root that begins with /; * "
                         "and ? within one level, ** only as the last part: /a/**",
                         bad[i]);
                expect_error(text, 2, message);
        }
}

Test(rule, bad_values_say_what_was_expected)
{
        static const struct {
                const char *section, *assignment, *expected;
        } bad[] = {
                { "Match", "Exe=qemu",
                  "a glob on the executable's path, which begins with / or *" },
                { "Match", "User=a b", "a user's name or numeric id" },
                { "Match", "User=-x", "a user's name or numeric id" },
                { "Match", "User=$", "a user's name or numeric id" },
                { "Cow", "File=DAX",
                  "dax, any, or a glob on the file's path, which begins with / or *" },
                { "Cow", "Tier=slow", "cheap, fast, default or node:LIST, such as node:2-3" },
                { "Cow", "Tier=node:", "cheap, fast, default or node:LIST, such as node:2-3" },
                { "Cow", "Strict=strict", "yes or no" },
                { "Cow", "Existing=keep", "move or leave" },
                { "Anon", "Tier=node:x", "cheap, fast, default or node:LIST, such as node:2-3" },
                { "Anon", "ColdAfter=0",
                  "a time longer than zero, such as 30s or 1min 30s, or nothing" },
                { "Anon", "ColdTier=default", "cheap, fast or node:LIST, such as node:2-3" },
                { "Anon", "HotTier=warm", "cheap, fast, node:LIST, such as node:2-3, or nothing" },
                { "Limits", "CheapMax=1GB",
                  "bytes, with K, M, G or T such as 512M, infinity, or nothing" },
                { "Limits", "FastMax=-1",
                  "bytes, with K, M, G or T such as 512M, infinity, or nothing" },
                { "Limits", "MoveRate=0",
                  "more than 0 bytes per second, with K, M, G or T such as 200M, or infinity" },
                { "Limits", "PauseMax=0ms", "a time longer than zero, such as 1ms" },
        };
        char text[200], message[200];

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                snprintf(text, sizeof(text), "[Match]\nCgroup=/a\n\n[%s]\n%s\n", bad[i].section,
                         bad[i].assignment);
                snprintf(message, sizeof(message), "%s: expected %s", bad[i].assignment,
                         bad[i].expected);
                expect_error(text, 5, message);
        }
}

Test(rule, unknown_names_are_errors_with_the_nearest_known_one)
{
        expect_error("[Match]\nCgorup=/a\n", 2,
                     "unknown key Cgorup= in [Match]; did you mean Cgroup=?");
        expect_error("[Match]\nCgroup=/a\n[Cow]\nFiles=dax\n", 4,
                     "unknown key Files= in [Cow]; did you mean File=?");
        expect_error("[Match]\nCgroup=/a\n[COW]\n", 3,
                     "unknown section [COW]; did you mean [Cow]?");
        expect_error("[Match]\nCgroup=/a\n[Limit]\n", 3,
                     "unknown section [Limit]; did you mean [Limits]?");
        expect_error("[Match]\nCgroup=/a\nTier=cheap\n", 3,
                     "Tier= does not belong in [Match]; it belongs in [Cow]");
        expect_error("[Cow /a]\n", 1, "[Cow /a]: expected [Cow] alone");
        expect_error("Cgroup=/a\n", 1, "Cgroup= stands before any section; it belongs in [Match]");
}
