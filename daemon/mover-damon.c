/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/kernel/damon.h"
#include "daemon/kernel/process.h"
#include "daemon/kernel/reclaim.h"
#include "daemon/mover.h"
#include "policy/macro.h"

/* A pass has the time that this rate takes, and two seconds more: a bound against a kernel that does
 * nothing, far below what the slowest machine moves. */
#define PASS_BYTES_PER_SEC (UINT64_C(8) << 20)
#define PASS_NS_MIN        (2 * NSEC_PER_SEC)

/* How often we look whether it is through, and when we begin to ask DAMON itself, which takes it up
 * to 100 ms to answer. */
#define LOOK_NS_MIN (2 * NSEC_PER_MSEC)
#define LOOK_NS_MAX (32 * NSEC_PER_MSEC)
#define ASK_NS      (60 * NSEC_PER_MSEC)

/* Pages between two copies that a run of addresses may take in, cheaper than one more run: they are
 * the file's own, or none, or on the right node. */
#define GAP_MAX UINT64_C(16)

/* Somebody who only looks what the kernel can do has it for a moment. */
#define CLAIM_TRIES 50u

static int claim(Mover *mover, RelocateEngine engine)
{
        char holder[160];
        int r = -EBUSY;

        for (unsigned i = 0; i < CLAIM_TRIES && r == -EBUSY; i++) {
                if (damon_is_taken(mover->roots->sys_fd, holder, sizeof(holder)))
                        return mover_refuse(mover, engine, -EBUSY, "%s", holder);
                r = damon_claim(&mover->damon, false);
                if (r == -EBUSY && mover_sleep(mover, 10 * NSEC_PER_MSEC) < 0)
                        return -EINTR;
        }
        if (r == -EOPNOTSUPP)
                return mover_refuse(mover, engine, r, "this kernel is built without DAMON");
        if (r < 0)
                return mover_refuse(mover, engine, r, "DAMON cannot be set up: %s", strerror(-r));
        return 0;
}

/* Once for all batches. */
static int take(Mover *mover, RelocateEngine engine)
{
        int r;

        if (mover->damon_claimed)
                return 0;

        if (mover->damon.sys_fd < 0) {
                r = damon_claim_open(mover->roots->sys_fd, mover->roots->run_fd, DAMON_SLOT_MOVE,
                                     &mover->damon);
                if (r < 0)
                        return mover_refuse(mover, engine, r, "/run/daxtierd cannot be written: %s",
                                            strerror(-r));
        }
        r = claim(mover, engine);
        if (r >= 0)
                mover->damon_claimed = true;
        return r;
}

static int refuse_start(Mover *mover, RelocateEngine engine, int error)
{
        char holder[160];

        if (error == -EBUSY && damon_is_taken(mover->roots->sys_fd, holder, sizeof(holder)))
                return mover_refuse(mover, engine, error, "%s", holder);
        if (error == -EBUSY)
                return mover_refuse(mover, engine, error, "somebody else uses DAMON");
        return mover_refuse(mover, engine, error, "DAMON does not start: %s", strerror(-error));
}

/* Until DAMON has been at all of the pages. Looking for them all costs more than moving some, so it
 * is the last one that we look for first. */
static int await_pass(Mover *mover, uint64_t bytes, const CopyPage *last)
{
        uint64_t began = mover_now(), look = LOOK_NS_MIN, tried = 0;
        uint64_t end = began + PASS_NS_MIN + bytes / PASS_BYTES_PER_SEC * NSEC_PER_SEC;
        CopyPage page = *last;
        int r;

        while (mover_now() < end) {
                r = mover_sleep(mover, look);
                if (r >= 0)
                        r = copy_finder_locate(&mover->finder, &page, 1);
                if (r < 0)
                        return r;

                if (page.node >= 0 && page.node != last->node)
                        return 0;
                r = mover_now() - began > ASK_NS ? damon_tried(&mover->damon, &tried) : 0;
                if ((r < 0 && r != -EBUSY) || tried >= bytes)
                        return 0;
                look = look * 2 < LOOK_NS_MAX ? look * 2 : LOOK_NS_MAX;
        }

        return 0;
}

/* One pass over @n pages of the batch from @first on, which are in the runs. */
static int run_pass(Mover *mover, RelocateEngine engine, const DamonMove *move, size_t first,
                    size_t n, size_t *ret_left)
{
        uint64_t ticks;
        int r, stopped;

        r = damon_start(&mover->damon, move);
        if (r < 0)
                return refuse_start(mover, engine, r);

        /* DAMON took a number: if the process lives now, the number has always been its. */
        r = process_start_time(mover->process_fd, &ticks);
        if (r >= 0)
                r = await_pass(mover, page_runs_bytes(move->runs, move->n_runs),
                               &mover->pages[first + n - 1]);

        /* In any case: what is left on goes on. */
        stopped = damon_stop(&mover->damon);
        if (r < 0)
                return r;
        if (stopped < 0)
                return mover_refuse(mover, engine, stopped, "DAMON does not stop: %s",
                                    strerror(-stopped));

        return mover_settle(mover, engine, first, n, ret_left);
}

/* Passes over @n pages of the batch from @first on; returns how many of them are left. */
static int run_passes(Mover *mover, RelocateEngine engine, const char *cgroup, size_t first,
                      size_t n, size_t *ret_left)
{
        bool physical = engine == RELOCATE_DAMON_PADDR;
        uint64_t page_size = mover->finder.page_size;
        size_t done = 0;
        int r;

        while (done < n) {
                DamonMove move = {
                        .pid = physical ? 0 : mover->request->pid,
                        .runs = mover->runs,
                        .node = mover->node,
                        .memory_cgroup = cgroup,
                };
                CopyPage *pages = mover->pages + first + done;
                size_t used = 0, left = 0;

                if (physical)
                        move.n_runs = page_runs_physical(pages, n - done, page_size, mover->runs,
                                                         DAMON_RUNS_MAX, &used);
                else
                        move.n_runs = page_runs_virtual(pages, n - done, page_size, GAP_MAX,
                                                        mover->runs, DAMON_RUNS_MAX, &used);
                r = run_pass(mover, engine, &move, first + done, used, &left);
                if (r < 0)
                        return r;
                n -= used - left;
                done += left;
        }

        *ret_left = n;
        return 0;
}

/* By frame the cgroup is what tells our pages from those that a stranger gets in their place, so
 * those of one cgroup at a time. */
static int run_groups(Mover *mover, RelocateEngine engine)
{
        size_t first = 0;

        while (first < mover->n_pages) {
                const char *cgroup = NULL;
                size_t n = 0, left;
                int r;

                r = mover_group(mover, first, &n, &cgroup);
                if (r == -ENOENT) { /* theirs was removed */
                        first += n;
                        continue;
                }
                if (r == -EOPNOTSUPP)
                        return mover_refuse(
                                mover, engine, r,
                                "the kernel does not account memory by cgroups, so DAMON "
                                "cannot tell its pages from others'");
                if (r < 0)
                        return mover_refuse(
                                mover, engine, r,
                                "which cgroup its pages are charged to cannot be told: %s",
                                strerror(-r));

                left = n;
                r = run_passes(mover, engine, cgroup, first, n, &left);
                if (r < 0)
                        return r;
                first += left;
        }
        return 0;
}

int mover_damon(Mover *mover, RelocateEngine engine)
{
        bool physical = engine == RELOCATE_DAMON_PADDR;
        size_t left;
        int r;

        r = take(mover, engine);
        if (r < 0)
                return r;
        r = damon_try(&mover->damon, physical);
        if (r < 0)
                return mover_refuse(mover, engine, r, "this kernel's DAMON moves no pages");
        (void)reclaim_drain();

        return physical ? run_groups(mover, engine)
                        : run_passes(mover, engine, NULL, 0, mover->n_pages, &left);
}
