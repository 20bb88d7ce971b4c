/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/kernel/pagerun.h"
#include "policy/nodeset.h"

/* Reclaim of one cgroup as a way to move pages: with demotion on, what is cold goes to a lower
 * memory tier. It is coarse: which pages of the cgroup go is the kernel's choice. */

/* Empties the lists on which each processor keeps pages that it has just touched, for what is on
 * them cannot be moved or reclaimed. Costs a visit to every processor. */
int reclaim_drain(void);

/* process_madvise(MADV_COLD): the pages are the first to go. Takes CAP_SYS_NICE. */
int reclaim_mark_cold(int pidfd, const PageRun *runs, size_t n_runs);

/* Asks the kernel to reclaim that many bytes of the cgroup and what is below it, and waits for it, but
 * hardly longer than @milliseconds; it would try for many seconds. Uses SIGALRM and the real-time
 * interval timer. -EAGAIN: it found less; -ETIME: it did not in that time. -EOPNOTSUPP: it cannot be
 * asked (5.18 and older, or no memory controller). */
int reclaim_request(int cgroup_fd, const char *memory_cgroup, uint64_t bytes,
                    unsigned milliseconds);

/* The same, of anonymous memory rather than page cache where the kernel can be told so (6.9). */
int reclaim_request_anonymous(int cgroup_fd, const char *memory_cgroup, uint64_t bytes,
                              unsigned milliseconds);

/* Whether that may push pages to swap: some is on, and the cgroup may use it. */
int reclaim_may_swap(int proc_fd, int cgroup_fd, const char *memory_cgroup, bool *ret_may);

/* Whether all of @nodes are in lower memory tiers than node @from, so that demotion goes there.
 * -EOPNOTSUPP: the kernel has no memory tiers (6.0 and older). */
int reclaim_goes_to(int sys_fd, unsigned from, const NodeSet *nodes, bool *ret_goes);
