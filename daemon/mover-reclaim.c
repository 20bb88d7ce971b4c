/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "daemon/kernel/reclaim.h"
#include "daemon/mover.h"
#include "policy/macro.h"

/* How much is marked and asked for at once. What the process touches between the two is warm again,
 * so not too much; each step costs a visit to every processor. */
#define STEP_PAGES ((size_t)256)

/* How long the kernel may look for them. It would go on for many seconds where all are in use. */
#define STEP_MILLISECONDS 200u

/* Less than this share of a step is no progress; after so many steps without, it takes others' for
 * them, or they are always in use. */
#define PROGRESS_SHARE 8u
#define FUTILE_STEPS   8u

/* A relocation has this long, and more for what it moves: where all is in use, a little moves in each
 * step, at the cost of a processor. */
#define TIME_NS       (10 * NSEC_PER_SEC)
#define BYTES_PER_SEC (UINT64_C(1) << 20)

/* Reclaim takes from all of a cgroup: never from one that has others in it. */
static int check_cgroup(Mover *mover, RelocateEngine engine)
{
        const char *own = mover->memory_cgroup, *charged = NULL;
        size_t n = 0;
        int r;

        if (!own || strcmp(own, "/") == 0 || strcmp(own, mover->request->cgroup) != 0)
                return mover_refuse(mover, engine, -EOPNOTSUPP,
                                    "its cgroup has no memory accounting of its own, and reclaim "
                                    "would take others' pages: MemoryAccounting=yes");

        r = mover_group(mover, 0, &n, &charged);
        if (r < 0)
                return mover_refuse(mover, engine, r,
                                    "which cgroup its pages are charged to cannot be told: %s",
                                    strerror(-r));
        if (strcmp(own, charged) != 0)
                return mover_refuse(mover, engine, -EOPNOTSUPP,
                                    "its pages are charged to %.60s, where it made them; "
                                    "only what it makes from now on is placed",
                                    charged);

        /* The others wait for another batch. */
        mover->n_pages = n;
        return 0;
}

int mover_reclaim_fits(Mover *mover, RelocateEngine engine, unsigned node)
{
        bool may_swap = true, goes = false;
        int r;

        r = reclaim_may_swap(mover->roots->proc_fd, mover->roots->cgroup_fd, mover->memory_cgroup,
                             &may_swap);
        if (r >= 0 && may_swap)
                return mover_refuse(
                        mover, engine, -EOPNOTSUPP,
                        "swap is on, and reclaim could push pages there: swapoff -a, or "
                        "MemorySwapMax=0 for the cgroup");
        if (r >= 0)
                r = reclaim_goes_to(mover->roots->sys_fd, node, &mover->request->nodes, &goes);
        if (r == -EOPNOTSUPP)
                return mover_refuse(mover, engine, r,
                                    "this kernel has no memory tiers, and reclaim demotes nothing; "
                                    "one from 6.1 on does");
        if (r < 0)
                return mover_refuse(mover, engine, r, "reclaim cannot be used: %s", strerror(-r));
        if (!goes)
                return mover_refuse(
                        mover, engine, -EOPNOTSUPP,
                        "reclaim only moves pages to lower memory tiers, and the wanted "
                        "node is in none");
        return 0;
}

/* Everything for which reclaim must not be used, before each batch: swap may have come meanwhile. */
static int check(Mover *mover, RelocateEngine engine)
{
        int r = check_cgroup(mover, engine);

        return r < 0 ? r : mover_reclaim_fits(mover, engine, (unsigned)mover->pages[0].node);
}

int mover_demotion_on(Mover *mover, RelocateEngine engine)
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

/* Just before they are reclaimed: what the process touches in between is warm again. */
static int mark_cold(Mover *mover, RelocateEngine engine, size_t first, size_t n)
{
        size_t used = 0, n_runs;
        int r;

        n_runs = page_runs_virtual(mover->pages + first, n, mover->finder.page_size, 0, mover->runs,
                                   STEP_PAGES, &used);
        r = reclaim_mark_cold(mover->pidfd, mover->runs, n_runs);
        if (r == -ESRCH)
                return r;
        if (r < 0)
                return mover_refuse(mover, engine, r, "MADV_COLD is refused: %s", strerror(-r));

        /* The pages wait for it on a list of the processor that we are on. */
        (void)reclaim_drain();
        return 0;
}

/* One step: @n pages of the batch from @first on. Returns how many of them are left. */
static int step(Mover *mover, RelocateEngine engine, size_t first, size_t n, size_t *ret_left)
{
        int r;

        r = mover_sleep(mover, 0);
        if (r >= 0)
                r = mark_cold(mover, engine, first, n);
        if (r < 0)
                return r;

        r = reclaim_request(mover->roots->cgroup_fd, mover->memory_cgroup,
                            n * mover->finder.page_size, STEP_MILLISECONDS);
        if (r == -ENOENT)
                return -ESRCH; /* the cgroup went, and so did the process */
        if (r < 0 && r != -EAGAIN && r != -ETIME)
                return mover_refuse(mover, engine, r, "memory.reclaim is refused: %s",
                                    strerror(-r));

        return mover_settle(mover, engine, first, n, ret_left);
}

static bool is_slow(const Mover *mover)
{
        uint64_t moved = mover->result.moved_by[RELOCATE_RECLAIM];

        return mover_now() - mover->reclaim_began_ns >
               TIME_NS + moved / BYTES_PER_SEC * NSEC_PER_SEC;
}

/* Never asks for more than the batch in all: what the kernel takes instead of ours is bounded by
 * that. */
static int run_steps(Mover *mover, RelocateEngine engine, bool *ret_futile)
{
        size_t first = 0, left = 0;
        unsigned futile = 0;
        int r;

        (void)reclaim_drain();
        while (first < mover->n_pages && futile < FUTILE_STEPS && !is_slow(mover)) {
                size_t n = mover->n_pages - first;

                if (n > STEP_PAGES)
                        n = STEP_PAGES;
                r = step(mover, engine, first, n, &left);
                if (r < 0)
                        return r;
                futile = n - left > n / PROGRESS_SHARE ? 0 : futile + 1;
                first += left;
        }

        *ret_futile = first < mover->n_pages;
        /* A later step may have taken what an earlier one had marked. */
        return mover_settle(mover, engine, 0, mover->n_pages, &left);
}

int mover_reclaim(Mover *mover, RelocateEngine engine)
{
        bool futile = false;
        int r;

        r = check(mover, engine);
        if (r >= 0)
                r = mover_demotion_on(mover, engine);
        if (r < 0)
                return r;

        if (mover->reclaim_began_ns == 0)
                mover->reclaim_began_ns = mover_now();
        r = run_steps(mover, engine, &futile);
        if (r < 0 || !futile)
                return r;
        return mover_refuse(
                mover, engine, -EAGAIN,
                "its pages are in use all the time, and reclaim does not take those; it "
                "is tried again later");
}
