/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/pace.h"

#define NSEC_PER_USEC UINT64_C(1000)

/* A call takes on what the rate allows in so much of a second, that it is kept in small steps. */
#define CALLS_PER_SEC 16u

void pace_init(Pace *pace, uint64_t rate, uint64_t saved_bytes, uint64_t pause_max_ns,
               uint64_t now_ns)
{
        size_t first = pause_max_ns == UINT64_MAX ? PACE_PAGES_MAX : PACE_PAGES_MIN;

        *pace = (Pace){
                .rate = rate,
                .pause_max_ns = pause_max_ns,
                .small_pages = first,
                .huge_pages = first,
        };
        bucket_fill(&pace->bucket, rate, now_ns / NSEC_PER_USEC);
        if (bucket_level(&pace->bucket) > saved_bytes)
                bucket_take(&pace->bucket, bucket_level(&pace->bucket) - saved_bytes);
}

size_t pace_pages(const Pace *pace, bool huge, uint64_t page_size)
{
        uint64_t share = pace->rate / CALLS_PER_SEC / page_size;
        size_t pages = huge ? pace->huge_pages : pace->small_pages;

        if (share >= pages)
                return pages;
        return share > 0 ? (size_t)share : 1;
}

uint64_t pace_wait_ns(Pace *pace, uint64_t bytes, uint64_t now_ns)
{
        bucket_fill(&pace->bucket, pace->rate, now_ns / NSEC_PER_USEC);
        return bucket_wait_usec(&pace->bucket, bytes) * NSEC_PER_USEC;
}

void pace_spend(Pace *pace, uint64_t bytes)
{
        bucket_take(&pace->bucket, bytes);
}

void pace_set_fixed(Pace *pace, uint64_t fixed_ns)
{
        pace->fixed_ns = fixed_ns;
}

void pace_learn(Pace *pace, bool huge, size_t n_pages, uint64_t elapsed_ns)
{
        size_t *pages = huge ? &pace->huge_pages : &pace->small_pages;
        uint64_t allowed_ns = pace->pause_max_ns / 2, spent_ns;

        /* It was no more than that: others had the processor. */
        if (elapsed_ns < pace->fixed_ns)
                pace->fixed_ns = elapsed_ns;
        spent_ns = elapsed_ns - pace->fixed_ns;
        if (pace->fixed_ns < allowed_ns)
                allowed_ns = pace->pause_max_ns - pace->fixed_ns;

        /* One huge page goes in any case. What a call with less takes says nothing of more. */
        if (spent_ns > allowed_ns && n_pages <= *pages)
                *pages = n_pages / 2;
        else if (spent_ns < allowed_ns / 3 && n_pages >= *pages - *pages / 4)
                *pages += *pages / 2;

        if (*pages < PACE_PAGES_MIN)
                *pages = PACE_PAGES_MIN;
        if (*pages > PACE_PAGES_MAX)
                *pages = PACE_PAGES_MAX;
}
