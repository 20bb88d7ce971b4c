/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/kernel/cgroup.h"
#include "daemon/kernel/node.h"
#include "daemon/kernel/reclaim.h"
#include "daemon/mover.h"
#include "policy/macro.h"

/* What is asked for at once: between two requests it is looked how far one has got, and others may
 * have the processor. */
#define STEP_BYTES (UINT64_C(2) << 20)

/* With care the first step is small, and each is twice the last: if all is in use the kernel has looked at
 * everything for the first few pages, and takes what was not accessed for a moment. */
#define CAREFUL_BYTES (UINT64_C(128) << 10)

/* How long the kernel may look for them. It would go on for many seconds where all are in use. */
#define STEP_MILLISECONDS 200u

/* Less than this share of a step is no progress; after so many steps without, the rest is always in
 * use, or the kernel takes page cache instead. The counts may be some steps behind on large machines. */
#define PROGRESS_SHARE 8u
#define FUTILE_STEPS   16u

/* What must stay free where it goes: the kernel's watermarks, and whoever else wants a page there. */
#define NODE_RESERVE (UINT64_C(16) << 20)

/* Where the cgroup's anonymous memory is. */
typedef struct Tally {
        uint64_t from;
        uint64_t there;
        uint64_t scanned; /* pages that reclaim has looked at, with care; else 0 */
} Tally;

static int tally(const Mover *mover, Tally *ret_tally)
{
        const RelocateRequest *request = mover->request;
        Tally now = {};
        int r;

        r = cgroup_node_bytes(mover->roots->cgroup_fd, mover->memory_cgroup, &request->from_nodes,
                              &now.from);
        if (r >= 0)
                r = cgroup_node_bytes(mover->roots->cgroup_fd, mover->memory_cgroup,
                                      &request->nodes, &now.there);
        if (r >= 0 && request->careful)
                r = cgroup_scanned_pages(mover->roots->cgroup_fd, mover->memory_cgroup,
                                         &now.scanned);
        if (r == -ENOENT)
                return -ESRCH;
        if (r < 0)
                return r;

        *ret_tally = now;
        return 0;
}

/* Reclaim takes from all of a cgroup: never from one that is not its own. */
static int check(Mover *mover)
{
        const RelocateRequest *request = mover->request;
        int r = 0;

        if (!mover->memory_cgroup || strcmp(mover->memory_cgroup, "/") == 0 ||
            strcmp(mover->memory_cgroup, request->cgroup) != 0)
                return mover_refuse(mover, RELOCATE_RECLAIM, -EOPNOTSUPP,
                                    "the cgroup has no memory accounting of its own, and reclaim "
                                    "would take others' pages: MemoryAccounting=yes");

        for (int node = nodeset_next(&request->from_nodes, 0); r >= 0 && node >= 0;
             node = nodeset_next(&request->from_nodes, (unsigned)node + 1))
                r = mover_reclaim_fits(mover, RELOCATE_RECLAIM, (unsigned)node);
        return r;
}

/* Whether one of the nodes has room; the kernel finds the one nearest to where a page is. */
static bool has_room(const Mover *mover)
{
        const NodeSet *nodes = &mover->request->nodes;

        for (int node = nodeset_next(nodes, 0); node >= 0;
             node = nodeset_next(nodes, (unsigned)node + 1)) {
                uint64_t bytes = 0;

                if (node_free_bytes(mover->roots->sys_fd, (unsigned)node, &bytes) >= 0 &&
                    bytes > NODE_RESERVE + STEP_BYTES)
                        return true;
        }
        return false;
}

static uint64_t least(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

/* Asks for some of what is to go. -EDQUOT: no more of it may go now. */
static int step(Mover *mover, uint64_t most)
{
        uint64_t bytes = least(most, least(mover_budget(mover), mover_turn(mover)));
        int r;

        if (bytes == 0)
                return -EDQUOT;
        if (!has_room(mover))
                return -ENOSPC;
        r = mover_sleep(mover, pace_wait_ns(&mover->pace, bytes, mover_now()));
        if (r < 0)
                return r;

        pace_spend(&mover->pace, bytes);
        r = reclaim_request_anonymous(mover->roots->cgroup_fd, mover->memory_cgroup, bytes,
                                      STEP_MILLISECONDS);
        if (r == -ENOENT)
                return -ESRCH;
        if (r < 0 && r != -EAGAIN && r != -ETIME)
                return mover_refuse(mover, RELOCATE_RECLAIM, r, "memory.reclaim is refused: %s",
                                    strerror(-r));
        return 0;
}

/* What arrived there since the last step. The program may have put some there by itself: never more
 * than was asked for, in all, and what the kernel takes at once beyond that. */
static void take_over(Mover *mover, const Tally *before, const Tally *now)
{
        RelocateResult *result = &mover->result;
        uint64_t moved = now->there > before->there ? now->there - before->there : 0;

        result->moved_bytes += least(moved, 2 * STEP_BYTES);
        result->moved_by[RELOCATE_RECLAIM] = result->moved_bytes;
}

/* Whether the kernel has looked at as many pages as there were: those that it left were accessed, and it
 * has forgotten that when it comes to them again. */
static bool has_seen_all(const Tally *began, const Tally *now)
{
        return now->scanned - began->scanned > began->from / (uint64_t)sysconf(_SC_PAGESIZE);
}

static int run_steps(Mover *mover)
{
        const uint64_t keep = mover->request->keep_bytes;
        const bool careful = mover->request->careful;
        uint64_t most = careful ? CAREFUL_BYTES : STEP_BYTES;
        unsigned futile = 0;
        Tally began = {}, before, now;
        int r;

        (void)reclaim_drain();
        r = tally(mover, &began);
        before = began;
        while (r >= 0 && before.from > keep && futile < FUTILE_STEPS) {
                r = step(mover, least(before.from - keep, most));
                if (r >= 0)
                        r = tally(mover, &now);
                if (r < 0)
                        break;

                take_over(mover, &before, &now);
                futile = now.there > before.there + STEP_BYTES / PROGRESS_SHARE ? 0 : futile + 1;
                if (careful && has_seen_all(&began, &now))
                        futile = FUTILE_STEPS;
                most = least(2 * most, STEP_BYTES);
                before = now;
                mover_report(mover);
        }

        mover->result.left_bytes = r != -ESRCH && before.from > keep ? before.from - keep : 0;
        if (r >= 0 && futile >= FUTILE_STEPS)
                return mover_refuse(
                        mover, RELOCATE_RECLAIM, -EAGAIN,
                        "the kernel finds no more of its memory that it would demote: it "
                        "is in use all the time, or locked; it is tried again later");
        return r;
}

int mover_demote(Mover *mover)
{
        const RelocateRequest *request = mover->request;
        int r;

        mover->began_ns = mover_now();
        pace_init(&mover->pace, request->rate, request->saved_bytes, UINT64_MAX, mover->began_ns);

        r = check(mover);
        if (r >= 0)
                r = mover_demotion_on(mover, RELOCATE_RECLAIM);
        if (r >= 0)
                r = run_steps(mover);

        if (mover->refused & (1u << RELOCATE_RECLAIM))
                snprintf(mover->result.reason, sizeof(mover->result.reason), "%s",
                         mover->engines[RELOCATE_RECLAIM].reason);
        if (r == -EDQUOT)
                mover->limited = true;
        return r == -EDQUOT ? 0 : r;
}
