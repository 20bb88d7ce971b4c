/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The perf events of one cgroup, one for each CPU. */

#include <stddef.h>

#include "daemon/kernel/perf.h"

typedef struct Hearing Hearing;

struct Hearing {
        int cgroup_fd; /* of our own, for CPUs that come later */
        int *fds;      /* an event for each CPU by its number, or -1 */
        size_t n_fds;
        Hearing *next; /* of the same rings */
};

int hearing_new(int cgroup_fd, Hearing **ret_hearing);
void hearing_free(Hearing *hearing);
void hearing_freep(Hearing **hearing);

/* Returns 1 if there was no event for the ring's CPU yet, 0 if there was or the CPU has just gone. */
int hearing_add_cpu(Hearing *hearing, const PerfRing *ring);
/* From now on the records of that CPU go to this ring. Some may be in both it and the one before. */
int hearing_move_cpu(Hearing *hearing, const PerfRing *ring);
void hearing_drop_cpu(Hearing *hearing, unsigned cpu);
