/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include "policy/bucket.h"

#define SEC UINT64_C(1000000)
#define MIB UINT64_C(1048576)

Test(bucket, over_time_it_gives_the_rate_and_no_more)
{
        Bucket bucket = {};
        uint64_t now = 7 * SEC, begun = now, spent = 0;

        /* As a mover would: what there is, then wait for more. */
        while (now < begun + 5 * SEC) {
                uint64_t bytes;

                bucket_fill(&bucket, 200 * MIB, now);
                bytes = bucket_level(&bucket);
                bucket_take(&bucket, bytes);
                spent += bytes;
                now += bucket_wait_usec(&bucket, 8 * MIB);
        }

        cr_expect_leq(spent, 5 * 200 * MIB + 50 * MIB, "%lu", spent);
        cr_expect_geq(spent, 5 * 200 * MIB * 98 / 100, "%lu", spent);
}

Test(bucket, what_was_overdrawn_is_waited_for)
{
        Bucket bucket = {};

        bucket_fill(&bucket, 100, SEC);
        cr_expect_eq(bucket_level(&bucket), 25, "a quarter of a second's worth");
        bucket_take(&bucket, 125);
        cr_expect_eq(bucket_level(&bucket), 0);
        cr_expect_eq(bucket_wait_usec(&bucket, 0), SEC + 1);
        bucket_fill(&bucket, 100, 2 * SEC);
        cr_expect_eq(bucket_level(&bucket), 0);
        bucket_fill(&bucket, 100, 3 * SEC);
        cr_expect_eq(bucket_level(&bucket), 25, "never more than it holds");
}

Test(bucket, small_steps_of_time_are_not_lost)
{
        Bucket bucket = {};

        bucket_fill(&bucket, 1000, SEC);
        bucket_take(&bucket, 250);
        for (uint64_t now = SEC; now <= SEC + 100000; now += 10)
                bucket_fill(&bucket, 1000, now);
        cr_expect_eq(bucket_level(&bucket), 100, "%lu", bucket_level(&bucket));
}

Test(bucket, no_limit_is_none)
{
        Bucket bucket = {};

        bucket_fill(&bucket, UINT64_MAX, SEC);
        bucket_take(&bucket, UINT64_MAX);
        cr_expect_eq(bucket_level(&bucket), UINT64_MAX);
        cr_expect_eq(bucket_wait_usec(&bucket, UINT64_MAX), 0);
}

Test(bucket, huge_numbers_do_not_overflow)
{
        Bucket bucket = {};

        bucket_fill(&bucket, UINT64_MAX - 1, 1);
        bucket_take(&bucket, UINT64_MAX);
        bucket_take(&bucket, UINT64_MAX);
        bucket_fill(&bucket, UINT64_MAX - 1, UINT64_MAX);
        cr_expect_gt(bucket_level(&bucket), 0);
}
