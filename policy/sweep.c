/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/sweep.h"

#define USEC_PER_SEC UINT64_C(1000000)

/* A round takes so many samples at least: each makes some pages look as if they had not been used. Long
 * ones take more, so that what moves at once is little. */
#define SAMPLES_PER_ROUND     8u
#define SAMPLE_USEC_MIN       UINT64_C(100000)
#define SAMPLE_USEC_MAX       UINT64_C(500000)
#define SAMPLES_PER_AGGREGATE 2u

/* Looking at a page that is not the cgroup's takes some 30 ns: together at most 3 % of a processor. */
#define LOOK_BYTES_PER_SEC (UINT64_C(4) << 30)

/* A quota of 0 would be none; and the kernel never finds one used up, and begins again at the same place,
 * that is no multiple of the page size. */
#define QUOTA_UNIT (UINT64_C(64) << 10)

/* That a cgroup has become cold shows some seconds after it began to move: until then it moves no faster than
 * so many times the rate, however little there was before. */
#define RUSH 4u

/* A debt is paid in about that time, and never so that nothing moves at all. */
#define DEBT_SEC      3u
#define ALLOWANCE_MIN 16u /* a sixteenth of the rate */

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max)
{
        return value < min ? min : value > max ? max : value;
}

static uint64_t round_down(uint64_t quota)
{
        return quota - quota % QUOTA_UNIT;
}

/* @value * @part / @whole; beyond 64 bits: the largest. */
static uint64_t share(uint64_t value, uint64_t part, uint64_t whole)
{
        unsigned __int128 result = (unsigned __int128)value * part / whole;

        return result > UINT64_MAX ? UINT64_MAX : (uint64_t)result;
}

void sweep_times(uint64_t cold_after_usec, SweepTimes *ret_times)
{
        uint64_t sample =
                clamp(cold_after_usec / SAMPLES_PER_ROUND, SAMPLE_USEC_MIN, SAMPLE_USEC_MAX);

        *ret_times = (SweepTimes){ sample, sample * SAMPLES_PER_AGGREGATE };
}

void sweep_init(const SweepTimes *times, uint64_t bytes, uint64_t round_usec, uint64_t rate,
                unsigned n_sweeps, Sweep *ret_sweep)
{
        uint64_t max = share(LOOK_BYTES_PER_SEC, times->sample_usec, USEC_PER_SEC);

        max /= n_sweeps > 0 ? n_sweeps : 1;
        if (round_usec > 0)
                max = clamp(share(bytes, times->sample_usec, round_usec), 0, max);
        max = clamp(share(rate, RUSH * times->sample_usec, USEC_PER_SEC), 0, max);
        if (max < QUOTA_UNIT)
                max = QUOTA_UNIT;
        max = round_down(max);
        *ret_sweep = (Sweep){
                .quota = round_down(
                        clamp(share(rate, times->sample_usec, USEC_PER_SEC), QUOTA_UNIT, max)),
                .quota_max = max,
        };
}

uint64_t sweep_allowance(SweepDebt *debt, uint64_t moved, uint64_t elapsed_usec,
                         uint64_t sample_usec)
{
        uint64_t paid = share(debt->rate, elapsed_usec, USEC_PER_SEC);
        uint64_t owed = moved > UINT64_MAX - debt->bytes ? UINT64_MAX : debt->bytes + moved;
        uint64_t less, rate;

        debt->bytes = owed > paid ? owed - paid : 0;
        less = debt->bytes / DEBT_SEC;
        rate = debt->rate > less ? debt->rate - less : 0;
        if (rate < debt->rate / ALLOWANCE_MIN)
                rate = debt->rate / ALLOWANCE_MIN;
        return share(rate, sample_usec, USEC_PER_SEC);
}

bool sweep_adjust(Sweep *sweep, uint64_t allowance, uint64_t tried, uint64_t moved)
{
        uint64_t more = sweep->quota > UINT64_MAX / 2 ? UINT64_MAX : sweep->quota * 2, wanted,
                 change;

        if (tried == 0)
                return false;

        /* Up in steps, as what comes may be all cold; down at once. */
        wanted = moved > 0 ? share(allowance, tried, moved) : UINT64_MAX;
        if (wanted > more)
                wanted = more;
        wanted = round_down(clamp(wanted, QUOTA_UNIT, sweep->quota_max));

        change = wanted > sweep->quota ? wanted - sweep->quota : sweep->quota - wanted;
        if (change <= sweep->quota / 16)
                return false;
        sweep->quota = wanted;
        return true;
}
