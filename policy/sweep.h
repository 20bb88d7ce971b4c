/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* How fast DAMON goes through a tier. A scheme is applied every .sample_usec to the next so many bytes of
 * the tier, whosever they are: its quota counts what it has looked at. From this, two bounds:
 *
 * - It comes by a page again no sooner than after the time that makes a page cold. So a page that was not
 *   used since the last time has not been used for that long.
 * - What it moves keeps to a rate, over some seconds. How much that is depends on how much of what it looks
 *   at is the cgroup's and cold, which only shows afterwards: the quota follows, and makes up for what
 *   was too much. */

typedef struct SweepTimes SweepTimes;
typedef struct Sweep Sweep;
typedef struct SweepDebt SweepDebt;

struct SweepTimes {
        uint64_t sample_usec;
        uint64_t aggregate_usec; /* of several samples */
};

/* One scheme. */
struct Sweep {
        uint64_t quota; /* bytes each .sample_usec */
        uint64_t quota_max;
};

/* What one cgroup was moved too much, to be made up for. */
struct SweepDebt {
        uint64_t rate; /* bytes a second */
        uint64_t bytes;
};

/* For the shortest ColdAfter= of all. */
void sweep_times(uint64_t cold_after_usec, SweepTimes *ret_times);

/* @bytes: of the tier; @round_usec: how long all of it takes at least, 0: no matter; @n_sweeps: so many
 * share the processor time that may be spent on looking. */
void sweep_init(const SweepTimes *times, uint64_t bytes, uint64_t round_usec, uint64_t rate,
                unsigned n_sweeps, Sweep *ret_sweep);

/* Bytes that may be moved each @sample_usec from now on, after @moved in @elapsed_usec. */
uint64_t sweep_allowance(SweepDebt *debt, uint64_t moved, uint64_t elapsed_usec,
                         uint64_t sample_usec);

/* Looked at @tried bytes and moved @moved of them. Whether the quota changed enough to tell DAMON. */
bool sweep_adjust(Sweep *sweep, uint64_t allowance, uint64_t tried, uint64_t moved);
