/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/bucket.h"

#define USEC_PER_SEC UINT64_C(1000000)

/* Beyond this a count is no limit: it saves us from overflows. */
#define BYTES_MAX ((uint64_t)INT64_MAX / 4)

#define OVERDRAFT_MAX ((int64_t)BYTES_MAX / 2)

static uint64_t scale(uint64_t value, uint64_t by, uint64_t per)
{
        unsigned __int128 product = (unsigned __int128)value * by / per;

        return product < BYTES_MAX ? (uint64_t)product : BYTES_MAX;
}

static int64_t capacity(const Bucket *bucket)
{
        uint64_t bytes = scale(bucket->rate, BUCKET_BURST_USEC, USEC_PER_SEC);

        return bytes > 0 ? (int64_t)bytes : 1;
}

void bucket_fill(Bucket *bucket, uint64_t rate, uint64_t now_usec)
{
        uint64_t elapsed = now_usec > bucket->filled_usec ? now_usec - bucket->filled_usec : 0;
        uint64_t earned;

        bucket->rate = rate;
        if (bucket->filled_usec == 0)
                bucket->tokens = capacity(bucket);
        else {
                earned = scale(rate, elapsed, USEC_PER_SEC);
                if (earned == 0)
                        return; /* what is too little for a byte is not lost */
                bucket->tokens += (int64_t)earned;
        }
        if (bucket->tokens > capacity(bucket))
                bucket->tokens = capacity(bucket);
        bucket->filled_usec = now_usec;
}

uint64_t bucket_level(const Bucket *bucket)
{
        if (bucket->rate == UINT64_MAX)
                return UINT64_MAX;
        return bucket->tokens > 0 ? (uint64_t)bucket->tokens : 0;
}

void bucket_take(Bucket *bucket, uint64_t bytes)
{
        if (bucket->rate == UINT64_MAX)
                return;

        if (bytes > BYTES_MAX)
                bytes = BYTES_MAX;
        bucket->tokens -= (int64_t)bytes;
        if (bucket->tokens < -OVERDRAFT_MAX)
                bucket->tokens = -OVERDRAFT_MAX;
}

uint64_t bucket_wait_usec(const Bucket *bucket, uint64_t bytes)
{
        int64_t wanted = bytes < (uint64_t)capacity(bucket) ? (int64_t)bytes : capacity(bucket);
        uint64_t missing;

        if (bucket->rate == UINT64_MAX || bucket->tokens >= wanted)
                return 0;

        missing = (uint64_t)(wanted - bucket->tokens);
        return scale(missing, USEC_PER_SEC, bucket->rate > 0 ? bucket->rate : 1) + 1;
}
