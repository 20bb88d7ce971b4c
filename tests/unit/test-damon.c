/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "daemon/kernel/damon.h"
#include "tests/unit/damon-tree.h"

static const PageRun runs[] = { { 0x1000, 0x3000 }, { 0x8000, 0x9000 } };

static Scratch sys, run;
static DamonClaim claim, heat;

static void set_up(void)
{
        sys = kernel_with_damon();
        run = scratch_new();
        cr_assert_eq(damon_claim_open(sys.fd, run.fd, DAMON_SLOT_MOVE, &claim), 0);
        cr_assert_eq(damon_claim_open(sys.fd, run.fd, DAMON_SLOT_HEAT, &heat), 0);
}

static void tear_down(void)
{
        damon_claim_close(&claim);
        damon_claim_close(&heat);
        scratch_freep(&sys);
        scratch_freep(&run);
}

TestSuite(damon, .init = set_up, .fini = tear_down);

static bool is_noted(void)
{
        return faccessat(run.fd, DAMON_NOTE, F_OK, 0) == 0;
}

Test(damon, is_claimed_marked_and_given_back)
{
        cr_assert_not(damon_is_ours(sys.fd));
        cr_assert_eq(damon_claim(&claim, false), 0);
        expect(&sys, KDAMONDS "nr_kdamonds", "2");
        cr_assert(damon_is_ours(sys.fd));
        cr_assert(is_noted());

        put(&sys, KDAMONDS "1/state", "on\n");
        cr_assert_eq(damon_release(&claim), 0);
        expect(&sys, KDAMONDS "1/state", "off");
        expect(&sys, KDAMONDS "nr_kdamonds", "0");
        cr_assert_not(damon_is_ours(sys.fd));
        cr_assert_not(is_noted());
}

Test(damon, is_shared_and_the_last_one_gives_it_back)
{
        char holder[160];

        cr_assert_eq(damon_claim(&heat, false), 0);
        put(&sys, KDAMONDS "0/state", "on\n");
        cr_assert_not(damon_is_taken(sys.fd, holder, sizeof(holder)));
        cr_assert_eq(damon_claim(&claim, false), 0);
        expect(&sys, KDAMONDS "nr_kdamonds", "2");
        expect(&sys, KDAMONDS "0/state", "on");

        put(&sys, KDAMONDS "1/state", "on\n");
        cr_assert_eq(damon_release(&claim), 0);
        expect(&sys, KDAMONDS "1/state", "off");
        expect(&sys, KDAMONDS "0/state", "on");
        expect(&sys, KDAMONDS "nr_kdamonds", "2");
        cr_assert_eq(damon_release(&heat), 0);
        expect(&sys, KDAMONDS "0/state", "off");
        expect(&sys, KDAMONDS "nr_kdamonds", "0");
        cr_assert_not(is_noted());
}

Test(damon, has_one_owner_of_each_kdamond)
{
        DamonClaim other;

        cr_assert_eq(damon_claim_open(sys.fd, run.fd, DAMON_SLOT_MOVE, &other), 0);
        cr_assert_eq(damon_claim(&claim, false), 0);
        cr_assert_eq(damon_claim(&other, false), -EBUSY);
        cr_assert_eq(damon_release(&claim), 0);
        cr_assert_eq(damon_claim(&other, false), 0);
        damon_claim_close(&other);
}

Test(damon, that_a_killed_one_left_is_turned_off_and_given_back)
{
        cr_assert_eq(damon_claim(&claim, false), 0);
        put(&sys, KDAMONDS "1/state", "on\n");
        damon_claim_close(&claim); /* as the kernel does for one that is killed */

        cr_assert_eq(damon_recover(sys.fd, run.fd), 0);
        expect(&sys, KDAMONDS "1/state", "off");
        expect(&sys, KDAMONDS "nr_kdamonds", "0");
        cr_assert_not(is_noted());
}

Test(damon, recovery_leaves_who_is_alive)
{
        cr_assert_eq(damon_claim(&claim, false), 0);
        cr_assert_eq(damon_claim(&heat, false), 0);
        put(&sys, KDAMONDS "0/state", "on\n");
        put(&sys, KDAMONDS "1/state", "on\n");
        damon_claim_close(&claim);

        cr_assert_eq(damon_recover(sys.fd, run.fd), 0);
        expect(&sys, KDAMONDS "0/state", "on");
        expect(&sys, KDAMONDS "1/state", "off");
        expect(&sys, KDAMONDS "nr_kdamonds", "2");
        cr_assert(is_noted());
}

/* Killed between taking the list and marking it; without the note it is somebody else's. */
Test(damon, recovery_takes_back_a_blank_list_that_is_noted)
{
        put(&sys, KDAMONDS "nr_kdamonds", "2\n");
        cr_assert_eq(damon_recover(sys.fd, run.fd), 0);
        expect(&sys, KDAMONDS "nr_kdamonds", "2");

        put(&run, DAMON_NOTE, "claimed\n");
        cr_assert_eq(damon_recover(sys.fd, run.fd), 0);
        expect(&sys, KDAMONDS "nr_kdamonds", "0");
        cr_assert_not(is_noted());
}

Test(damon, of_others_is_not_touched)
{
        char holder[160];

        cr_assert_not(damon_is_taken(sys.fd, holder, sizeof(holder)));
        put(&sys, KDAMONDS "nr_kdamonds", "1\n");
        put(&sys, KDAMONDS "0/contexts/nr_contexts", "1\n");
        put(&sys, KDAMONDS "0/state", "on\n");
        put(&sys, KDAMONDS "0/pid", "4711\n");

        cr_assert_eq(damon_claim(&claim, false), -EBUSY);
        cr_assert_eq(damon_claim(&claim, true), -EBUSY);
        cr_assert_eq(damon_recover(sys.fd, run.fd), 0);
        expect(&sys, KDAMONDS "nr_kdamonds", "1");
        expect(&sys, KDAMONDS "0/state", "on");
        cr_assert_not(damon_is_ours(sys.fd));
        cr_assert(damon_is_taken(sys.fd, holder, sizeof(holder)));
        cr_assert_not_null(strstr(holder, "4711"), "%s", holder);
}

Test(damon, of_others_is_taken_if_that_is_wanted_and_nothing_runs)
{
        put(&sys, KDAMONDS "nr_kdamonds", "1\n");
        put(&sys, KDAMONDS "0/contexts/nr_contexts", "1\n");
        cr_assert_eq(damon_claim(&claim, false), -EBUSY);
        cr_assert_eq(damon_claim(&claim, true), 0);
        expect(&sys, KDAMONDS "nr_kdamonds", "2");
        cr_assert(damon_is_ours(sys.fd));
}

/* A probe without /run/daxtierd has nobody to share with, and nobody takes its list for theirs. */
Test(damon, that_is_not_shared_bears_no_mark)
{
        DamonClaim alone;

        cr_assert_eq(damon_claim_open(sys.fd, -1, DAMON_SLOT_MOVE, &alone), 0);
        cr_assert_eq(damon_claim(&alone, false), 0);
        expect(&sys, KDAMONDS "nr_kdamonds", "2");
        cr_assert_not(damon_is_ours(sys.fd));
        cr_assert_eq(damon_claim(&heat, false), -EBUSY);
        cr_assert_eq(damon_release(&alone), 0);
        expect(&sys, KDAMONDS "nr_kdamonds", "0");

        cr_assert_eq(damon_claim(&heat, false), 0);
        cr_assert_eq(damon_claim(&alone, false), -EBUSY);
}

Test(damon, of_a_kernel_module_is_named)
{
        char holder[160];

        put(&sys, "module/damon_stat/parameters/enabled", "Y\n");
        cr_assert(damon_is_taken(sys.fd, holder, sizeof(holder)));
        cr_assert_not_null(strstr(holder, "echo N > /sys/module/damon_stat/parameters/enabled"));
}

Test(damon, tries_each_byte_of_the_frames_once_and_only_ours)
{
        DamonMove move = { .runs = runs, .n_runs = 2, .node = 2, .memory_cgroup = "/a/b" };

        cr_assert_eq(damon_claim(&claim, false), 0);
        cr_assert_eq(damon_start(&claim, &move), 0);
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
        expect(&sys, KDAMONDS "1/state", "on");
}

Test(damon, takes_addresses_of_one_process)
{
        DamonMove move = { .pid = 4711, .runs = runs, .n_runs = 2, .node = 3 };

        cr_assert_eq(damon_claim(&claim, false), 0);
        cr_assert_eq(damon_start(&claim, &move), 0);
        expect(&sys, CONTEXT "operations", "fvaddr");
        expect(&sys, CONTEXT "targets/0/pid_target", "4711");
        expect(&sys, SCHEME "filters/nr_filters", "0");
}

Test(damon, moves_no_frames_of_nobody_in_particular)
{
        DamonMove move = { .runs = runs, .n_runs = 2, .node = 2 };

        cr_assert_eq(damon_claim(&claim, false), 0);
        cr_assert_eq(damon_start(&claim, &move), -EINVAL);
        expect(&sys, KDAMONDS "1/state", "off");
}

Test(damon, that_is_not_there_is_not_supported)
{
        _cleanup_(scratch_freep) Scratch none = scratch_new();
        DamonClaim nothing;
        char holder[160];

        cr_assert_eq(damon_claim_open(none.fd, run.fd, DAMON_SLOT_MOVE, &nothing), 0);
        cr_assert_eq(damon_claim(&nothing, false), -EOPNOTSUPP);
        cr_assert_not(damon_is_ours(none.fd));
        cr_assert_not(damon_is_taken(none.fd, holder, sizeof(holder)));
        damon_claim_close(&nothing);
}
