/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "daemon/kernel/damon.h"
#include "tests/unit/damon-tree.h"

static const PageRun runs[] = { { 0x1000, 0x3000 }, { 0x8000, 0x9000 } };

Test(damon, is_claimed_marked_and_given_back)
{
        _cleanup_(scratch_freep) Scratch sys = kernel_with_damon();

        cr_assert_not(damon_is_ours(sys.fd));
        cr_assert_eq(damon_claim(sys.fd), 0);
        expect(&sys, KDAMONDS "nr_kdamonds", "1");
        cr_assert(damon_is_ours(sys.fd));
        cr_assert_not(damon_is_blank(sys.fd));

        put(&sys, KDAMONDS "0/state", "on\n");
        cr_assert_eq(damon_release(sys.fd), 0);
        expect(&sys, KDAMONDS "0/state", "off");
        expect(&sys, KDAMONDS "nr_kdamonds", "0");
        cr_assert_not(damon_is_ours(sys.fd));
}

Test(damon, of_others_is_not_touched)
{
        _cleanup_(scratch_freep) Scratch sys = kernel_with_damon();
        char holder[160];

        cr_assert_not(damon_is_taken(sys.fd, holder, sizeof(holder)));
        put(&sys, KDAMONDS "nr_kdamonds", "1\n");
        put(&sys, KDAMONDS "0/contexts/nr_contexts", "1\n");
        put(&sys, KDAMONDS "0/state", "on\n");
        put(&sys, KDAMONDS "0/pid", "4711\n");

        cr_assert_eq(damon_claim(sys.fd), -EBUSY);
        expect(&sys, KDAMONDS "nr_kdamonds", "1");
        expect(&sys, KDAMONDS "0/state", "on");
        cr_assert_not(damon_is_ours(sys.fd));
        cr_assert_not(damon_is_blank(sys.fd));
        cr_assert(damon_is_taken(sys.fd, holder, sizeof(holder)));
        cr_assert_not_null(strstr(holder, "4711"), "%s", holder);
}

Test(damon, of_a_kernel_module_is_named)
{
        _cleanup_(scratch_freep) Scratch sys = kernel_with_damon();
        char holder[160];

        put(&sys, "module/damon_stat/parameters/enabled", "Y\n");
        cr_assert(damon_is_taken(sys.fd, holder, sizeof(holder)));
        cr_assert_not_null(strstr(holder, "echo N > /sys/module/damon_stat/parameters/enabled"));
}

Test(damon, that_nobody_has_set_up_is_blank)
{
        _cleanup_(scratch_freep) Scratch sys = kernel_with_damon();

        cr_assert_not(damon_is_blank(sys.fd));
        put(&sys, KDAMONDS "nr_kdamonds", "1\n");
        cr_assert(damon_is_blank(sys.fd));
        put(&sys, KDAMONDS "nr_kdamonds", "2\n");
        cr_assert_not(damon_is_blank(sys.fd));
}

Test(damon, tries_each_byte_of_the_frames_once_and_only_ours)
{
        _cleanup_(scratch_freep) Scratch sys = kernel_with_damon();
        DamonMove move = { .runs = runs, .n_runs = 2, .node = 2, .memory_cgroup = "/a/b" };

        cr_assert_eq(damon_claim(sys.fd), 0);
        cr_assert_eq(damon_start(sys.fd, &move), 0);
        expect(&sys, CONTEXT "operations", "paddr");
        expect(&sys, SCHEME "action", "migrate_cold");
        expect(&sys, SCHEME "target_nid", "2");
        expect(&sys, CONTEXT "targets/0/regions/nr_regions", "2");
        expect(&sys, CONTEXT "targets/0/regions/0/start", "4096");
        expect(&sys, CONTEXT "targets/0/regions/0/end", "12288");
        expect(&sys, CONTEXT "targets/0/regions/1/end", "36864");
        /* It splits and joins none of them. */
        expect(&sys, CONTEXT "monitoring_attrs/nr_regions/min", "10");
        expect(&sys, CONTEXT "monitoring_attrs/nr_regions/max", "10");
        expect(&sys, SCHEME "quotas/bytes", "12288");
        expect(&sys, SCHEME "quotas/reset_interval_ms", "3600000");
        expect(&sys, SCHEME "filters/nr_filters", "2");
        expect(&sys, SCHEME "filters/0/type", "anon");
        expect(&sys, SCHEME "filters/0/matching", "N");
        expect(&sys, SCHEME "filters/1/type", "memcg");
        expect(&sys, SCHEME "filters/1/memcg_path", "/a/b");
        expect(&sys, SCHEME "filters/1/matching", "N");
        expect(&sys, KDAMONDS "0/state", "on");
}

Test(damon, takes_addresses_of_one_process)
{
        _cleanup_(scratch_freep) Scratch sys = kernel_with_damon();
        DamonMove move = { .pid = 4711, .runs = runs, .n_runs = 2, .node = 3 };

        cr_assert_eq(damon_claim(sys.fd), 0);
        cr_assert_eq(damon_start(sys.fd, &move), 0);
        expect(&sys, CONTEXT "operations", "fvaddr");
        expect(&sys, CONTEXT "targets/0/pid_target", "4711");
        expect(&sys, SCHEME "filters/nr_filters", "0");
}

Test(damon, moves_no_frames_of_nobody_in_particular)
{
        _cleanup_(scratch_freep) Scratch sys = kernel_with_damon();
        DamonMove move = { .runs = runs, .n_runs = 2, .node = 2 };

        cr_assert_eq(damon_claim(sys.fd), 0);
        cr_assert_eq(damon_start(sys.fd, &move), -EINVAL);
        expect(&sys, KDAMONDS "0/state", "off");
}

Test(damon, that_is_not_there_is_not_supported)
{
        _cleanup_(scratch_freep) Scratch sys = scratch_new();
        char holder[160];

        cr_assert_eq(damon_claim(sys.fd), -EOPNOTSUPP);
        cr_assert_not(damon_is_ours(sys.fd));
        cr_assert_not(damon_is_taken(sys.fd, holder, sizeof(holder)));
}
