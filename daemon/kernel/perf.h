/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Hearing what the processes of a cgroup do: perf events that count nothing and whose ring buffers
 * receive a record for every mmap(), fork, exec and exit. The kernel delivers them by CPU: there is a
 * ring for each, and an event for each CPU and cgroup that writes into it. Needs CAP_PERFMON. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/kernel/perfrecord.h"

/* Room of one ring, 256 KiB: about two thousand records. A power of two. */
#define PERF_RING_PAGES 64u

typedef struct PerfRing PerfRing;

/* The records of one CPU, embedded in what its owner has. */
struct PerfRing {
        unsigned cpu;
        int fd;    /* an event that writes nothing itself and so outlives every cgroup */
        void *map; /* one page of the kernel's, then the records */
        size_t map_size;
        uint64_t tail;      /* bytes read so far */
        uint64_t published; /* what the kernel was told of that */
        bool lossy;         /* the ring was so full that a record may have been lost */
};

#define PERF_RING_NONE                                                                             \
        (PerfRing)                                                                                 \
        {                                                                                          \
                .fd = -1                                                                           \
        }

/* @pages: a power of two. @wakeup_bytes: the fd becomes readable with so many; 1: with each record. Who
 * maps, forks or ends pays for that, too: the kernel interrupts its CPU. -ENODEV: the CPU is offline; -EACCES: no CAP_PERFMON; -EPERM: more locked
 * memory than kernel.perf_event_mlock_kb allows without CAP_IPC_LOCK. */
int perf_ring_open(unsigned cpu, unsigned pages, unsigned wakeup_bytes, PerfRing *ret_ring);
void perf_ring_close(PerfRing *ring);

/* The next record: 1, or 0 when there is none, which also gives the room back to the kernel. The fd
 * becomes readable (EPOLLIN) with the records that are added, but only once for them, so whoever stops
 * before 0 has to come back by himself; likewise after the fd was added to an epoll set.
 *
 * The kernel tells of lost records only when the next one finds room, which may be never. So a ring
 * that was found all but full gives a record PERF_LOST at once. */
int perf_ring_next(PerfRing *ring, PerfRecord *ret_record);

/* Gives the room of what was read back to the kernel. */
void perf_ring_release(PerfRing *ring);

/* The events of a cgroup and all below it on the ring's CPU, until the fd is closed: it keeps a cgroup
 * that was removed from going away. -EOPNOTSUPP: this kernel has no perf events for cgroups, or the
 * fd is not of the unified hierarchy; -ENODEV: the CPU went offline. */
int perf_cgroup_open(const PerfRing *ring, int cgroup_fd, int *ret_fd);
/* Ends them, even if a child that was forked meanwhile has the fd, too. */
void perf_cgroup_close(int fd);
