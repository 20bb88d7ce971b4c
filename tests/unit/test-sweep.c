/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include "policy/sweep.h"

#define MIB UINT64_C(1048576)
#define GIB (UINT64_C(1024) * MIB)
#define SEC UINT64_C(1000000)

/* With a quota below the rate's worth nothing can be too fast. */
Test(sweep, begins_at_the_rate)
{
        SweepTimes times;
        Sweep sweep;

        sweep_times(30 * SEC, &times);
        cr_assert_eq(times.sample_usec, SEC / 2);
        cr_assert_eq(times.aggregate_usec, SEC);
        sweep_init(&times, 24 * GIB, 30 * SEC, 200 * MIB, 2, &sweep);
        cr_assert_eq(sweep.quota, 100 * MIB);
}

/* A page that was not used since the last round was not used for so long. */
Test(sweep, a_round_takes_no_less_than_makes_a_page_cold)
{
        SweepTimes times;
        Sweep sweep;

        sweep_times(3 * SEC, &times);
        cr_assert_eq(times.sample_usec, 375000);
        sweep_init(&times, 2 * GIB, 3 * SEC, 10 * GIB, 2, &sweep);
        cr_assert_leq(sweep.quota * (3 * SEC / times.sample_usec), 2 * GIB);
        cr_assert_geq(sweep.quota * (3 * SEC / times.sample_usec), 2 * GIB - 4 * MIB);
        cr_assert_eq(sweep.quota, sweep.quota_max);
}

/* The kernel never finds one used up that is no multiple of the page size. */
Test(sweep, a_quota_is_whole_pages_and_never_none)
{
        SweepTimes times;
        Sweep sweep;

        sweep_times(1, &times);
        for (uint64_t rate = 1; rate < 64 * GIB; rate = rate * 3 + 1) {
                sweep_init(&times, 2 * GIB - 1, 3 * SEC, rate, 3, &sweep);
                cr_assert_eq(sweep.quota % 65536, 0);
                cr_assert_gt(sweep.quota, 0);
                sweep_adjust(&sweep, rate, 12345, 1234);
                cr_assert_eq(sweep.quota % 65536, 0);
                cr_assert_gt(sweep.quota, 0);
        }
}

Test(sweep, many_of_them_share_the_time_to_look)
{
        SweepTimes times;
        Sweep one, many;

        sweep_times(30 * SEC, &times);
        sweep_init(&times, 0, 0, 64 * GIB, 1, &one);
        sweep_init(&times, 0, 0, 64 * GIB, 16, &many);
        cr_assert_eq(one.quota_max, 2 * GIB);
        cr_assert_eq(many.quota_max, GIB / 8);
}

/* Whatever there is to look at. */
Test(sweep, is_never_much_faster_than_the_rate)
{
        SweepTimes times;
        Sweep sweep;

        sweep_times(3 * SEC, &times);
        sweep_init(&times, 64 * GIB, 3 * SEC, 16 * MIB, 1, &sweep);
        cr_assert_eq(sweep.quota, 6 * MIB);
        cr_assert_eq(sweep.quota_max, 24 * MIB);
}

/* Only a tenth of what is looked at moves: ten times as much may be looked at, after a few steps. */
Test(sweep, the_quota_rises_until_the_rate_is_reached)
{
        Sweep sweep = { .quota = MIB, .quota_max = 64 * MIB };
        unsigned steps = 0;

        while (sweep_adjust(&sweep, MIB, 10 * MIB, MIB))
                cr_assert_lt(++steps, 10);
        cr_assert_geq(sweep.quota, 9 * MIB);
        cr_assert_leq(sweep.quota, 10 * MIB);
        /* Nothing moves at all: as fast as it may. */
        while (sweep_adjust(&sweep, MIB, 10 * MIB, 0))
                cr_assert_lt(++steps, 20);
        cr_assert_eq(sweep.quota, sweep.quota_max);
}

Test(sweep, the_quota_falls_at_once)
{
        Sweep sweep = { .quota = 64 * MIB, .quota_max = 64 * MIB };

        cr_assert(sweep_adjust(&sweep, MIB, 64 * MIB, 64 * MIB));
        cr_assert_eq(sweep.quota, MIB);
        cr_assert_not(sweep_adjust(&sweep, MIB, 0, 0));
        cr_assert_not(sweep_adjust(&sweep, MIB, 64 * MIB, 64 * MIB));
}

Test(sweep, what_was_too_much_is_made_up_for)
{
        SweepDebt debt = { .rate = 100 * MIB };

        cr_assert_eq(sweep_allowance(&debt, 50 * MIB, SEC, SEC), 100 * MIB);
        cr_assert_eq(debt.bytes, 0);
        /* 250 MiB in a second: 150 too much. */
        cr_assert_eq(sweep_allowance(&debt, 250 * MIB, SEC, SEC), 50 * MIB);
        cr_assert_eq(sweep_allowance(&debt, 50 * MIB, SEC, SEC), 100 * MIB - 100 * MIB / 3);
        /* Far too much: it goes on, slowly. */
        cr_assert_eq(sweep_allowance(&debt, 9000 * MIB, SEC, SEC), 100 * MIB / 16);
        cr_assert_eq(sweep_allowance(&debt, 0, 1000 * SEC, SEC), 100 * MIB);
}

/* A cgroup that suddenly is all cold, in the worst case: over a while it is the rate. */
Test(sweep, keeps_the_rate_over_a_while)
{
        Sweep sweep = { .quota = 700 * MIB, .quota_max = 700 * MIB };
        SweepDebt debt = { .rate = 100 * MIB };
        uint64_t moved = 0;

        for (unsigned second = 0; second < 60; second++) {
                uint64_t now = sweep.quota;

                moved += now;
                sweep_adjust(&sweep, sweep_allowance(&debt, now, SEC, SEC), now, now);
        }
        cr_assert_leq(moved, 61 * 100 * MIB);
        cr_assert_geq(moved, 55 * 100 * MIB);
}
