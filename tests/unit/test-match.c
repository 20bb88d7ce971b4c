/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include "policy/macro.h"
#include "policy/match.h"

Test(match, cgroup_patterns_go_level_by_level)
{
        static const struct {
                const char *pattern;
                const char *cgroup;
                bool matches;
                bool may_below;
        } cases[] = {
                { "/", "/", true, true },
                { "/", "/a", false, false },
                { "/**", "/", true, true },
                { "/**", "/a/b/c", true, true },
                { "/a", "/a", true, true },
                { "/a", "/", false, true },
                { "/a", "/ab", false, false },
                { "/a", "/a/b", false, false },
                { "/a/**", "/a", true, true },
                { "/a/**", "/a/b/c", true, true },
                { "/a/**", "/b", false, false },
                { "/a/*", "/a", false, true },
                { "/a/*", "/a/b", true, true },
                { "/a/*", "/a/b/c", false, false },
                { "/a/*/c", "/a/b/c", true, true },
                { "/a/*/c", "/a/b", false, true },
                { "/a/*/c", "/a/b/d", false, false },
                { "/*.slice/vm-?/**", "/machine.slice/vm-1/x/y", true, true },
                { "/*.slice/vm-?/**", "/machine.slice/vm-10", false, false },
                { "/*.slice/vm-?/**", "/machine.slice", false, true },
                /* As systemd escapes "a-b.slice". */
                { "/a\\x2db.slice/**", "/a\\x2db.slice/c", true, true },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                cr_expect_eq(cgroup_match(cases[i].pattern, cases[i].cgroup), cases[i].matches,
                             "%s %s", cases[i].pattern, cases[i].cgroup);
                cr_expect_eq(cgroup_may_match_below(cases[i].pattern, cases[i].cgroup),
                             cases[i].may_below, "%s below %s", cases[i].pattern, cases[i].cgroup);
        }
}

Test(match, prefix_is_the_fixed_part)
{
        static const char *const cases[][2] = {
                { "/", "/" },
                { "/**", "/" },
                { "/*/a", "/" },
                { "/a", "/a" },
                { "/a/b/**", "/a/b" },
                { "/a/b*/c", "/a" },
                { "/a/b/c?/d", "/a/b" },
                { "/a/b[0-9]/**", "/a" },
                { "/a\\x2db.slice/**", "/a\\x2db.slice" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_(freep) char *prefix = NULL;

                cr_assert_eq(cgroup_prefix(cases[i][0], &prefix), 0);
                cr_expect_str_eq(prefix, cases[i][1], "of %s", cases[i][0]);
        }
}

/* The rules live as long as the test: nothing in them was allocated. */
static const Rule rules[] = {
        { .source = "10",
          .cgroup = "/m/**",
          .exe = "/usr/bin/qemu-*",
          .user = "vm",
          .has_uid = true,
          .uid = 7 },
        { .source = "20", .cgroup = "/m/**", .exe = "/usr/bin/qemu-*" },
        { .source = "30", .cgroup = "/m/**", .user = "nobody-has-this-name" },
        { .source = "40", .cgroup = "/m/a" },
        { .source = "50", .cgroup = "/m/**" },
};

static const char *file_for(const char *cgroup, const char *exe, uint32_t uid)
{
        Subject subject = { .cgroup = (char *)cgroup, .exe = (char *)exe, .uid = uid };
        const Rule *rule = policy_match(rules, ARRAY_SIZE(rules), &subject);

        return rule ? rule->source : "none";
}

Test(match, first_rule_that_fits_wins)
{
        cr_expect_str_eq(file_for("/m/a", "/usr/bin/qemu-x", 7), "10");
        cr_expect_str_eq(file_for("/m/a", "/usr/bin/qemu-x", 8), "20");
        cr_expect_str_eq(file_for("/m/a", "/usr/bin/java", 7), "40");
        cr_expect_str_eq(file_for("/m/b", "/usr/bin/java", 7), "50");
        cr_expect_str_eq(file_for("/n", "/usr/bin/qemu-x", 7), "none");
}

Test(match, an_unknown_executable_fits_no_exe)
{
        cr_expect_str_eq(file_for("/m/b", NULL, 7), "50");
}

static const CowRule dax = { .filter = FILE_FILTER_DAX };
static const CowRule any = { .filter = FILE_FILTER_ANY };
static const CowRule glob = { .filter = FILE_FILTER_GLOB, .file = "/data/*.img" };

static Mapping mapping_of(MappingKind kind)
{
        return (Mapping){
                .inode = kind == MAPPING_ANON ? 0 : 1,
                .file = "/data/deep/a.img",
                .writable = true,
                .kind = kind,
        };
}

Test(match, file_says_which_mappings)
{
        Mapping mapping = mapping_of(MAPPING_DAX);

        cr_expect(cow_match(&dax, &mapping));
        cr_expect(cow_match(&any, &mapping));
        cr_expect(cow_match(&glob, &mapping), "* goes over a slash, as in daxtier run");
        mapping.file = "/data/a.iso";
        cr_expect_not(cow_match(&glob, &mapping));

        mapping = mapping_of(MAPPING_PAGE_CACHE);
        cr_expect_not(cow_match(&dax, &mapping));
        cr_expect(cow_may_match(&dax, &mapping), "its kind was not looked at");
        cr_expect(cow_match(&any, &mapping));
        cr_expect(cow_match(&glob, &mapping));

        mapping = mapping_of(MAPPING_ANON);
        cr_expect_not(cow_match(&any, &mapping));
        mapping = mapping_of(MAPPING_FILE_UNKNOWN);
        cr_expect_not(cow_match(&any, &mapping), "it may be a device");
}

Test(match, only_private_mappings_that_may_be_written)
{
        Mapping mapping = mapping_of(MAPPING_DAX);

        mapping.shared = true;
        cr_expect_not(cow_match(&any, &mapping));
        mapping.shared = false;
        mapping.writable = false;
        cr_expect(cow_match(&any, &mapping), "mprotect() may make it writable");
        mapping.executable = true;
        cr_expect_not(cow_match(&any, &mapping), "code");
        mapping.writable = true;
        cr_expect(cow_match(&any, &mapping));
}

Test(match, anonymous_memory_is_all_but_what_the_kernel_maps)
{
        Mapping mapping = { .writable = true };

        cr_expect(anon_match(&mapping));
        mapping.file = "[heap]";
        cr_expect(anon_match(&mapping));
        mapping.file = "[anon:arena]";
        cr_expect(anon_match(&mapping), "PR_SET_VMA_ANON_NAME");
        mapping.writable = false;
        cr_expect(anon_match(&mapping), "it may have been written before");
        cr_expect_not(stack_match(&mapping));
        mapping.file = "[stack]";
        cr_expect_not(anon_match(&mapping));
        cr_expect(stack_match(&mapping));
        mapping.file = "[vdso]";
        cr_expect_not(anon_match(&mapping));
        mapping.file = NULL;
        mapping.shared = true;
        cr_expect_not(anon_match(&mapping));
        mapping.shared = false;
        mapping.inode = 1;
        cr_expect_not(anon_match(&mapping), "a file's");
}
