/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/kernel/damonlist.h"
#include "daemon/kernel/pagerun.h"

/* A pass of DAMON: our kdamond of a relocation moves the pages of given runs once. */

/* Each run is a directory of its own in sysfs. */
#define DAMON_RUNS_MAX ((size_t)1024)

typedef struct DamonMove DamonMove;

struct DamonMove {
        pid_t pid;           /* runs are addresses of this process; 0: they are physical */
        const PageRun *runs; /* by address, not overlapping; at most DAMON_RUNS_MAX */
        size_t n_runs;
        unsigned node; /* where to */
        /* Physical: only anonymous pages that are charged to this cgroup, as the kernel prints it
         * ("/a/b", "/"). By address: not looked at, the process' mapping says whose they are. */
        const char *memory_cgroup;
};

/* Whether the kernel takes the operations and the action, on a claimed list. -EOPNOTSUPP. */
int damon_try(const DamonClaim *claim, bool physical);

/* Sets up a pass over the runs and turns it on. Each byte is tried once: a quota of just that many
 * bytes for an hour keeps the kernel from what others put into the frames that our pages left.
 * -EBUSY: a kernel module has DAMON for itself; -EINVAL: of the cgroup, too; -ENOENT: somebody has
 * taken the list from us. */
int damon_start(const DamonClaim *claim, const DamonMove *move);

/* Bytes that the pass has been at; what came of it only pagemap knows. */
int damon_tried(const DamonClaim *claim, uint64_t *ret_bytes);

/* Off, and the list still ours. 0 as well if it is off. */
int damon_stop(const DamonClaim *claim);
