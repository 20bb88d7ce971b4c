/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include "policy/macro.h"
#include "policy/sample.h"

#define PAGE   UINT64_C(4096)
#define SECOND UINT64_C(1000000)

enum { FAST = 0, OTHER = 1, CHEAP = 2, GONE = -1 };

static Tiers tiers_here(void)
{
        Tiers tiers = {};

        nodeset_add(&tiers.fast, FAST);
        nodeset_add(&tiers.cheap, CHEAP);
        return tiers;
}

static Sample sample_of(unsigned shift, size_t n)
{
        Sample sample = { .page_size = PAGE };
        uint64_t addresses[8];

        for (size_t i = 0; i < n; i++)
                addresses[i] = (i + 1) << 20;
        cr_assert_eq(sample_replace(&sample, shift, addresses, n), 0);
        return sample;
}

/* A look at @second, at which the sample's one page is on @node. */
static void look(Sample *sample, uint64_t second, int node, SampleCount *count)
{
        Tiers tiers = tiers_here();

        sample_note(sample, &node, &tiers, second * SECOND, 30 * SECOND, count);
}

Test(sample, shift_is_the_least_that_suffices)
{
        cr_assert_eq(sample_shift(0, 10), 0);
        cr_assert_eq(sample_shift(10, 10), 0);
        cr_assert_eq(sample_shift(11, 10), 1);
        cr_assert_eq(sample_shift(UINT64_C(1) << 36, 1024), 26);
}

Test(sample, each_block_has_one_candidate_that_lesser_shifts_have_too)
{
        for (unsigned shift = 1; shift < 12; shift++)
                for (uint64_t block = 0; block < 256; block++) {
                        uint64_t page = sample_candidate(block, shift);

                        cr_assert_eq(page >> shift, block);
                        cr_assert_eq(sample_candidate(page >> (shift - 1), shift - 1), page);
                }
}

Test(sample, candidates_are_not_at_equal_distances)
{
        size_t per_offset[16] = {};

        for (uint64_t block = 0; block < 16000; block++)
                per_offset[sample_candidate(block, 4) & 15]++;
        for (size_t i = 0; i < ARRAY_SIZE(per_offset); i++)
                cr_assert(per_offset[i] > 800 && per_offset[i] < 1200, "%zu: %zu", i,
                          per_offset[i]);
}

Test(sample, the_first_look_is_no_move)
{
        _cleanup_(sample_deinit) Sample sample = sample_of(0, 1);
        SampleCount count = {};

        look(&sample, 1, CHEAP, &count);
        look(&sample, 8, CHEAP, &count);
        cr_assert_eq(count.moved_bytes, 0);
}

Test(sample, a_move_counts_for_the_pages_that_it_stands_for)
{
        _cleanup_(sample_deinit) Sample sample = sample_of(5, 1);
        SampleCount count = {};

        look(&sample, 1, FAST, &count);
        look(&sample, 8, CHEAP, &count);
        cr_assert_eq(count.moved_bytes, PAGE << 5);
        cr_assert_eq(count.to_cheap_bytes, PAGE << 5);
        cr_assert_eq(count.to_fast_bytes, 0);
        cr_assert_eq(count.re_moved_bytes, 0);

        look(&sample, 100, OTHER, &count);
        cr_assert_eq(count.moved_bytes, 2 * (PAGE << 5));
        cr_assert_eq(count.to_cheap_bytes + count.to_fast_bytes, PAGE << 5, "to none of both");
        look(&sample, 200, FAST, &count);
        cr_assert_eq(count.to_fast_bytes, PAGE << 5);
        cr_assert_eq(count.re_moved_bytes, 0, "never within the window");
}

Test(sample, twice_within_the_window_is_a_re_move)
{
        _cleanup_(sample_deinit) Sample sample = sample_of(0, 1);
        SampleCount count = {};

        look(&sample, 1, FAST, &count);
        look(&sample, 10, CHEAP, &count);
        look(&sample, 40, FAST, &count);
        cr_assert_eq(count.re_moved_bytes, PAGE);
        look(&sample, 71, CHEAP, &count);
        cr_assert_eq(count.re_moved_bytes, PAGE, "31 s later");
        look(&sample, 72, FAST, &count);
        look(&sample, 73, CHEAP, &count);
        cr_assert_eq(count.re_moved_bytes, 3 * PAGE, "each time");
}

Test(sample, a_page_that_went_away_is_another_one_afterwards)
{
        _cleanup_(sample_deinit) Sample sample = sample_of(0, 1);
        SampleCount count = {};

        look(&sample, 1, FAST, &count);
        cr_assert_eq(sample_present(&sample), 1);
        look(&sample, 2, CHEAP, &count);
        look(&sample, 3, GONE, &count);
        cr_assert_eq(sample_present(&sample), 0);
        look(&sample, 4, FAST, &count);
        cr_assert_eq(count.moved_bytes, PAGE);
        look(&sample, 5, CHEAP, &count);
        cr_assert_eq(count.moved_bytes, 2 * PAGE);
        cr_assert_eq(count.re_moved_bytes, 0);
}

Test(sample, what_stays_in_it_keeps_its_history)
{
        static const uint64_t others[] = { 1 << 20, (1 << 20) + PAGE, 3 << 20, 9 << 20 };
        static const int before[] = { FAST, FAST, FAST }, moved[] = { CHEAP, CHEAP, CHEAP },
                         after[] = { FAST, CHEAP, FAST, CHEAP };
        _cleanup_(sample_deinit) Sample sample = sample_of(0, 3);
        Tiers tiers = tiers_here();
        SampleCount count = {}, later = {};

        sample_note(&sample, before, &tiers, 1 * SECOND, 30 * SECOND, &count);
        sample_note(&sample, moved, &tiers, 2 * SECOND, 30 * SECOND, &count);
        cr_assert_eq(sample_replace(&sample, 1, others, ARRAY_SIZE(others)), 0);
        sample_note(&sample, after, &tiers, 3 * SECOND, 30 * SECOND, &later);
        cr_assert_eq(later.moved_bytes, 2 * (PAGE << 1), "those at 1 and 3 MiB");
        cr_assert_eq(later.re_moved_bytes, later.moved_bytes);

        sample_count_add(&count, &later);
        cr_assert_eq(count.moved_bytes, 3 * PAGE + 2 * (PAGE << 1));
}
