/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/kernel/pagerun.h"

/* DAMON's sysfs, as far as it takes to have one kdamond move the pages of given runs once. There is
 * one list of kdamonds for the whole machine, and setting its length drops what is in it: it is only
 * taken when it is empty. @sys_fd is an open /sys. */

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

/* Takes the machine's kdamond list and makes one of it, off. -EOPNOTSUPP: the kernel has no DAMON
 * sysfs; -EBUSY: somebody else uses it. */
int damon_claim(int sys_fd);

/* Turns ours off, and gives the list back. Waits for the page that is just being moved. */
int damon_release(int sys_fd);

/* Whether the one kdamond there is bears our mark, by which one of a killed process is known. */
bool damon_is_ours(int sys_fd);

/* Whether there is one that nothing has been set up for: of a process that was killed between taking
 * the list and marking it, or of somebody who is about to use it. */
bool damon_is_blank(int sys_fd);

/* Whether the kernel takes the operations and the action, on a claimed list. -EOPNOTSUPP. */
int damon_try(int sys_fd, bool physical);

/* Sets up a pass over the runs and turns it on. Each byte is tried once: a quota of just that many
 * bytes for an hour keeps the kernel from what others put into the frames that our pages left.
 * -EBUSY: a kernel module has DAMON for itself; -EINVAL: of the cgroup, too. */
int damon_start(int sys_fd, const DamonMove *move);

/* Bytes that the pass has been at; what came of it only pagemap knows. */
int damon_tried(int sys_fd, uint64_t *ret_bytes);

/* Off, and the list still ours. 0 as well if it is off. */
int damon_stop(int sys_fd);

/* Whether somebody else has DAMON, as far as that can be told, and a sentence with what to do. */
bool damon_is_taken(int sys_fd, char *text, size_t size);
