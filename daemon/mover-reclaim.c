/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "daemon/kernel/damon.h"
#include "daemon/kernel/reclaim.h"
#include "daemon/mover.h"
#include "policy/macro.h"

/* How much is asked for at once: short enough to end in time when we are told to. */
#define STEP_BYTES (UINT64_C(4) << 20)

/* So many steps without one page of ours moved, and it takes others' for them. */
#define FUTILE_STEPS 3u

/* Everything for which reclaim must not be used, before each batch: swap may have come meanwhile. */
static int check(Mover *mover, RelocateEngine engine)
{
        bool may_swap = true, goes = false;
        const char *cgroup = mover->memory_cgroup;
        int r;

        /* Reclaim takes from all of a cgroup: never from one that has others in it. */
        if (!cgroup || strcmp(cgroup, "/") == 0 || strcmp(cgroup, mover->request->cgroup) != 0)
                return mover_refuse(mover, engine, -EOPNOTSUPP,
                                    "its cgroup has no memory accounting of its own, and reclaim "
                                    "would take others' pages: MemoryAccounting=yes");

        r = reclaim_may_swap(mover->roots->proc_fd, mover->roots->cgroup_fd, cgroup, &may_swap);
        if (r >= 0 && may_swap)
                return mover_refuse(
                        mover, engine, -EOPNOTSUPP,
                        "swap is on, and reclaim could push pages there: swapoff -a, or "
                        "MemorySwapMax=0 for the cgroup");
        if (r >= 0)
                r = reclaim_goes_to(mover->roots->sys_fd, (unsigned)mover->pages[0].node,
                                    &mover->request->nodes, &goes);
        if (r < 0)
                return mover_refuse(mover, engine, r, "reclaim cannot be used: %s", strerror(-r));
        if (!goes)
                return mover_refuse(
                        mover, engine, -EOPNOTSUPP,
                        "reclaim only moves pages to lower memory tiers, and the wanted "
                        "node is in none");
        return 0;
}

static int demotion_on(Mover *mover, RelocateEngine engine)
{
        int r;

        if (mover->demotion_held)
                return 0;

        r = hold_take(mover->roots->sys_fd, mover->roots->run_fd, HOLD_DEMOTION, "true",
                      &mover->demotion);
        if (r < 0)
                return mover_refuse(mover, engine, r, "demotion cannot be turned on: %s",
                                    strerror(-r));
        mover->demotion_held = true;
        return 0;
}

static int mark_cold(Mover *mover, RelocateEngine engine)
{
        size_t first = 0;
        int r;

        /* What other processors have just touched is not on the lists yet, and what this call marks
         * is not either: before and after. */
        (void)reclaim_drain();
        while (first < mover->n_pages) {
                size_t n = 0, n_runs;

                n_runs = page_runs_virtual(mover->pages + first, mover->n_pages - first,
                                           mover->finder.page_size, 0, mover->runs, DAMON_RUNS_MAX,
                                           &n);
                r = reclaim_mark_cold(mover->pidfd, mover->runs, n_runs);
                if (r == -ESRCH)
                        return r;
                if (r < 0)
                        return mover_refuse(mover, engine, r, "MADV_COLD is refused: %s",
                                            strerror(-r));
                first += n;
        }
        (void)reclaim_drain();
        return 0;
}

/* Never asks for more than the batch in all: what the kernel takes instead of ours is bounded by
 * that. */
static int ask(Mover *mover, RelocateEngine engine)
{
        uint64_t left = mover->n_pages * mover->finder.page_size;
        unsigned futile = 0;
        int r;

        while (left > 0 && mover->n_pages > 0 && futile < FUTILE_STEPS) {
                uint64_t bytes = left < STEP_BYTES ? left : STEP_BYTES;
                size_t before = mover->n_pages, n = before;

                r = mover_sleep(mover, 0);
                if (r < 0)
                        return r;
                r = reclaim_request(mover->roots->cgroup_fd, mover->memory_cgroup, bytes);
                if (r == -ENOENT)
                        return -ESRCH; /* the cgroup went, and so did the process */
                if (r < 0 && r != -EAGAIN)
                        return mover_refuse(mover, engine, r, "memory.reclaim is refused: %s",
                                            strerror(-r));

                r = mover_settle(mover, engine, 0, before, &n);
                if (r < 0)
                        return r;
                futile = n < before ? 0 : futile + 1;
                left -= bytes;
        }
        return 0;
}

int mover_reclaim(Mover *mover, RelocateEngine engine)
{
        int r;

        r = check(mover, engine);
        if (r >= 0)
                r = demotion_on(mover, engine);
        if (r >= 0)
                r = mark_cold(mover, engine);
        return r < 0 ? r : ask(mover, engine);
}
