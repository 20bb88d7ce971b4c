/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include "daemon/pace.h"

#define PAGE UINT64_C(4096)
#define MSEC UINT64_C(1000000)
#define SEC  (1000 * MSEC)
#define MB   UINT64_C(1000000)

/* Calls for a machine that takes @fixed_ns for each and @page_ns for a page: what was moved in five
 * seconds from @now on, and in *ret_longest the longest call after the first second. */
static uint64_t move_for_five_seconds(Pace *pace, uint64_t now, uint64_t fixed_ns, uint64_t page_ns,
                                      uint64_t *ret_longest)
{
        uint64_t end = now + 5 * SEC, moved = 0, longest = 0;

        while (now < end) {
                size_t pages = pace_pages(pace, false, PAGE);
                uint64_t took = fixed_ns + pages * page_ns;

                now += pace_wait_ns(pace, pages * PAGE, now) + took;
                pace_learn(pace, false, pages, took);
                pace_spend(pace, pages * PAGE);
                moved += pages * PAGE;
                if (end - now < 4 * SEC && took > longest)
                        longest = took;
        }
        *ret_longest = longest;
        return moved;
}

static void expect_rate(uint64_t rate)
{
        uint64_t moved, longest;
        Pace pace;

        pace_init(&pace, rate, 0, MSEC, SEC);
        moved = move_for_five_seconds(&pace, SEC, 50 * 1000, 1000, &longest);
        cr_expect_geq(moved, rate * 5 * 95 / 100, "%lu of %lu B/s", moved / 5, rate);
        cr_expect_leq(moved, rate * 5 * 105 / 100, "%lu of %lu B/s", moved / 5, rate);
        cr_expect_leq(longest, MSEC);
}

Test(pace, keeps_each_rate_within_five_percent)
{
        expect_rate(MB / 5);
        expect_rate(1 * MB);
        expect_rate(50 * MB);
        expect_rate(200 * MB);
        expect_rate(1000 * MB);
}

Test(pace, makes_up_for_a_moment_and_not_for_minutes)
{
        const uint64_t rate = 100 * MB;
        uint64_t longest;
        Pace pace;

        pace_init(&pace, rate, 0, UINT64_MAX, SEC);
        cr_assert_gt(pace_wait_ns(&pace, MB, SEC), 0);
        cr_assert_eq(pace_wait_ns(&pace, MB, 60 * SEC), 0);
        cr_assert_leq(move_for_five_seconds(&pace, 60 * SEC, 0, 0, &longest), rate * 11 / 2);
}

Test(pace, begins_with_what_was_saved)
{
        Pace pace;

        pace_init(&pace, 100 * MB, 10 * MB, UINT64_MAX, SEC);
        cr_assert_eq(pace_wait_ns(&pace, 10 * MB, SEC), 0);
        cr_assert_gt(pace_wait_ns(&pace, 11 * MB, SEC), 0);
        pace_init(&pace, 100 * MB, UINT64_MAX, UINT64_MAX, SEC);
        cr_assert_eq(pace_wait_ns(&pace, 25 * MB, SEC), 0);
        pace_spend(&pace, 25 * MB);
        cr_assert_gt(pace_wait_ns(&pace, 1, SEC), 0);
}

Test(pace, without_a_rate_never_waits)
{
        Pace pace;

        pace_init(&pace, UINT64_MAX, 0, MSEC, SEC);
        pace_spend(&pace, UINT64_C(1) << 40);
        cr_assert_eq(pace_wait_ns(&pace, UINT64_C(1) << 40, SEC), 0);
}

Test(pace, takes_on_as_much_as_stays_below_the_pause)
{
        Pace pace;
        uint64_t took;
        size_t pages;

        pace_init(&pace, UINT64_MAX, 0, 10 * MSEC, SEC);
        cr_assert_eq(pace_pages(&pace, false, PAGE), PACE_PAGES_MIN);
        for (unsigned i = 0; i < 100; i++) {
                pages = pace_pages(&pace, false, PAGE);
                took = MSEC + pages * 10 * 1000;
                cr_assert_leq(took, 10 * MSEC);
                pace_learn(&pace, false, pages, took);
        }
        cr_assert_gt(pages, 200);

        /* It gets slower. */
        pace_learn(&pace, false, pages, 11 * MSEC);
        cr_assert_eq(pace_pages(&pace, false, PAGE), pages / 2);
        for (unsigned i = 0; i < 100; i++)
                pace_learn(&pace, false, pace_pages(&pace, false, PAGE), 11 * MSEC);
        cr_assert_eq(pace_pages(&pace, false, PAGE), PACE_PAGES_MIN);
}

/* Where to empty the lists takes longer than the pause by itself. */
Test(pace, leaves_pages_half_of_the_pause_on_a_large_machine)
{
        Pace pace;

        pace_init(&pace, UINT64_MAX, 0, MSEC, SEC);
        pace_set_fixed(&pace, 5 * MSEC);
        for (unsigned i = 0; i < 100; i++) {
                size_t pages = pace_pages(&pace, false, PAGE);

                pace_learn(&pace, false, pages, 3 * MSEC + pages * 1000);
        }
        cr_assert_gt(pace_pages(&pace, false, PAGE), 150);
        cr_assert_leq(pace_pages(&pace, false, PAGE), 500);
}

Test(pace, of_huge_pages_is_one_for_itself)
{
        Pace pace;

        pace_init(&pace, UINT64_MAX, 0, MSEC, SEC);
        for (unsigned i = 0; i < 100; i++)
                pace_learn(&pace, true, pace_pages(&pace, true, PAGE), 1000);
        cr_assert_eq(pace_pages(&pace, true, PAGE), PACE_PAGES_MAX);
        cr_assert_eq(pace_pages(&pace, false, PAGE), PACE_PAGES_MIN);

        /* One that takes longer by itself does not become shorter. */
        pace_init(&pace, UINT64_MAX, 0, MSEC, SEC);
        pace_learn(&pace, true, 512, 2 * MSEC);
        cr_assert_eq(pace_pages(&pace, true, PAGE), PACE_PAGES_MIN);
}

Test(pace, without_a_longest_pause_takes_on_all)
{
        Pace pace;

        pace_init(&pace, UINT64_MAX, 0, UINT64_MAX, SEC);
        cr_assert_eq(pace_pages(&pace, false, PAGE), PACE_PAGES_MAX);
        pace_learn(&pace, false, PACE_PAGES_MAX, 3600 * SEC);
        cr_assert_eq(pace_pages(&pace, false, PAGE), PACE_PAGES_MAX);
}
