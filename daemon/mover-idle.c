/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <sys/pidfd.h>

#include "daemon/kernel/cgroup.h"
#include "daemon/kernel/process.h"
#include "daemon/kernel/referenced.h"
#include "daemon/mover.h"
#include "policy/macro.h"

/* What is done with each process of the cgroup and of those below it. */
typedef int (*process_fn)(Mover *mover, int process_fd, int pidfd);

typedef struct Visit {
        Mover *mover;
        process_fn fn;
        int error; /* of the last one that could not be visited */
        size_t n_visited;
} Visit;

static int visit_process(Visit *visit, pid_t pid)
{
        _cleanup_(closep) int process_fd = -1, pidfd = -1;
        int r;

        r = mover_sleep(visit->mover, 0);
        if (r >= 0)
                r = process_open(visit->mover->roots->proc_fd, pid, &process_fd);
        if (r < 0)
                return r;

        pidfd = pidfd_open(pid, 0);
        if (pidfd < 0)
                return errno == EINVAL ? -ESRCH : -errno;
        /* It lives still, so the pidfd is its, too. */
        r = process_start_time(process_fd, &(uint64_t){ 0 });
        if (r >= 0)
                r = visit->fn(visit->mover, process_fd, pidfd);
        if (r >= 0)
                visit->n_visited++;
        return r;
}

static int on_cgroup(int cgroup_fd, const char *path, void *userdata)
{
        Visit *visit = userdata;
        _cleanup_(freep) pid_t *pids = NULL;
        size_t n_pids = 0;
        int r;

        r = cgroup_processes(cgroup_fd, &pids, &n_pids);
        if (r < 0)
                return r == -ENOENT ? 0 : r;

        for (size_t i = 0; i < n_pids; i++) {
                r = visit_process(visit, pids[i]);
                if (r == -EINTR)
                        return r;
                if (r < 0 && r != -ESRCH)
                        visit->error = r;
        }
        return 1;
}

static int visit_all(Mover *mover, process_fn fn)
{
        Visit visit = { .mover = mover, .fn = fn };
        int r;

        if (!mover->memory_cgroup)
                return -EOPNOTSUPP;
        r = cgroup_walk(mover->roots->cgroup_fd, mover->request->cgroup, on_cgroup, &visit);
        if (r < 0)
                return r;
        return visit.n_visited == 0 ? visit.error : 0;
}

static int mark(Mover *mover, int process_fd, int pidfd)
{
        return referenced_mark(process_fd, pidfd);
}

int mover_mark(Mover *mover)
{
        return visit_all(mover, mark);
}

static int measure(Mover *mover, int process_fd, int pidfd)
{
        uint64_t bytes, idle;
        int r;

        r = referenced_read(process_fd, &bytes, &idle);
        if (r < 0)
                return r;
        mover->result.left_bytes += idle;
        return 0;
}

/* How much is idle is not known by node. So much of it as could be on the wanted ones already may be there:
 * the rest is not. */
int mover_measure(Mover *mover)
{
        RelocateResult *result = &mover->result;
        uint64_t there = 0;
        int r;

        r = visit_all(mover, measure);
        if (r >= 0)
                r = cgroup_node_bytes(mover->roots->cgroup_fd, mover->memory_cgroup,
                                      &mover->request->nodes, &there);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;

        mover->limited = true; /* what is left was not to be moved */
        result->idle_bytes = result->left_bytes;
        result->left_bytes -= result->left_bytes < there ? result->left_bytes : there;
        return 0;
}
