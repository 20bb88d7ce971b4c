/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

typedef struct Bucket Bucket;

/* A token bucket: so many bytes a second, and never more than BUCKET_BURST_USEC's worth at once.
 * Times are handed in (CLOCK_MONOTONIC, microseconds). Zero-initialised it is full at its first use. */
struct Bucket {
        uint64_t rate; /* bytes per second; UINT64_MAX: no limit */
        int64_t tokens;
        uint64_t filled_usec; /* 0: never yet */
};

#define BUCKET_BURST_USEC UINT64_C(250000)

/* Fills it up to @now. What was saved or overdrawn at another rate stays. */
void bucket_fill(Bucket *bucket, uint64_t rate, uint64_t now_usec);

/* What may be spent now: 0 if it is overdrawn. UINT64_MAX: no limit. */
uint64_t bucket_level(const Bucket *bucket);

/* Spends; more than there is overdraws it, and the next has to wait for longer. */
void bucket_take(Bucket *bucket, uint64_t bytes);

/* How long until @bytes may be spent, or as much as the bucket holds. Microseconds, rounded up. */
uint64_t bucket_wait_usec(const Bucket *bucket, uint64_t bytes);
