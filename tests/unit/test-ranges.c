/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "client/lib/ranges.h"
#include "policy/macro.h"

static void add(Ranges *ranges, uintptr_t start, uintptr_t end)
{
        cr_assert_eq(ranges_add(ranges, start, end), 0);
}

static void take_out(Ranges *ranges, uintptr_t start, uintptr_t end)
{
        cr_assert_eq(ranges_reserve(ranges), 0);
        ranges_remove(ranges, start, end);
}

Test(ranges, hold_what_was_added_and_nothing_beside)
{
        _cleanup_(ranges_deinit) Ranges ranges = {};

        cr_assert_not(ranges_hold(&ranges, 10, 20));
        add(&ranges, 10, 20);
        add(&ranges, 40, 50);

        cr_assert(ranges_hold(&ranges, 10, 20));
        cr_assert(ranges_hold(&ranges, 12, 13));
        cr_assert(ranges_hold(&ranges, 40, 50));
        cr_assert_not(ranges_hold(&ranges, 9, 20));
        cr_assert_not(ranges_hold(&ranges, 10, 21));
        cr_assert_not(ranges_hold(&ranges, 15, 45));
        cr_assert_not(ranges_hold(&ranges, 20, 40));
}

Test(ranges, neighbours_and_overlaps_become_one)
{
        _cleanup_(ranges_deinit) Ranges ranges = {};

        add(&ranges, 10, 20);
        add(&ranges, 30, 40);
        add(&ranges, 20, 30);
        cr_assert_eq(ranges.n_items, 1);
        cr_assert(ranges_hold(&ranges, 10, 40));

        add(&ranges, 15, 35);
        cr_assert_eq(ranges.n_items, 1);
        add(&ranges, 0, 100);
        cr_assert_eq(ranges.n_items, 1);
        cr_assert(ranges_hold(&ranges, 0, 100));
}

Test(ranges, a_hole_splits)
{
        _cleanup_(ranges_deinit) Ranges ranges = {};

        add(&ranges, 10, 50);
        take_out(&ranges, 20, 30);
        cr_assert(ranges_hold(&ranges, 10, 20));
        cr_assert(ranges_hold(&ranges, 30, 50));
        cr_assert_not(ranges_hold(&ranges, 20, 21));
        cr_assert_not(ranges_hold(&ranges, 10, 50));

        take_out(&ranges, 15, 35);
        cr_assert(ranges_hold(&ranges, 10, 15));
        cr_assert(ranges_hold(&ranges, 35, 50));
        cr_assert_not(ranges_hold(&ranges, 14, 16));

        take_out(&ranges, 0, 100);
        cr_assert_eq(ranges.n_items, 0);
}

Test(ranges, take_the_last_address_there_is)
{
        _cleanup_(ranges_deinit) Ranges ranges = {};

        add(&ranges, UINTPTR_MAX - 10, UINTPTR_MAX);
        add(&ranges, UINTPTR_MAX - 20, UINTPTR_MAX - 10);
        cr_assert_eq(ranges.n_items, 1);
        cr_assert(ranges_hold(&ranges, UINTPTR_MAX - 20, UINTPTR_MAX));
}

/* Against the plainest thing that could be right: one bit an address. */
Test(ranges, agree_with_a_bitmap)
{
        enum { SPACE = 400 };
        _cleanup_(ranges_deinit) Ranges ranges = {};
        bool bitmap[SPACE] = {};
        unsigned seed = 1;

        for (unsigned step = 0; step < 20000; step++) {
                uintptr_t start = (uintptr_t)(rand_r(&seed) % (SPACE - 20));
                uintptr_t end = start + 1 + (uintptr_t)(rand_r(&seed) % 20);
                bool adds = rand_r(&seed) % 2, all = true;

                if (adds)
                        add(&ranges, start, end);
                else
                        take_out(&ranges, start, end);
                for (uintptr_t i = start; i < end; i++)
                        bitmap[i] = adds;

                start = (uintptr_t)(rand_r(&seed) % (SPACE - 20));
                end = start + 1 + (uintptr_t)(rand_r(&seed) % 20);
                for (uintptr_t i = start; i < end; i++)
                        all = all && bitmap[i];
                cr_assert_eq(ranges_hold(&ranges, start, end), all, "step %u", step);
        }
}
