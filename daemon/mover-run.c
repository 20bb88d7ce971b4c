/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/kernel/node.h"
#include "daemon/mover.h"
#include "policy/macro.h"

/* With a rate a batch is what it allows in a quarter of a second, so that no second sees more than
 * a quarter above it. */
#define BATCHES_PER_SEC 4u

/* What must stay free on a node beside the batch: the kernel's watermarks, which DAMON and
 * move_pages() respect, and whoever else wants a page there meanwhile. */
#define NODE_RESERVE (UINT64_C(16) << 20)

/* Pages that were busy are tried again as often as anything moves, and not for ever: the process may
 * make new copies all the time. */
#define SWEEPS_MAX 8u

/* So many batches in a row that nothing of moved, and we leave it. */
#define FUTILE_BATCHES 3u

/* An engine that moves nothing of fewer pages is not yet judged. */
#define JUDGED_PAGES ((size_t)16)

typedef int (*engine_fn)(Mover *mover, RelocateEngine engine);

/* Of what is in DAX mappings; the rest is for mover_pages_run(). */
static const engine_fn engine_fns[RELOCATE_MOVE_PAGES] = {
        [RELOCATE_DAMON_VADDR] = mover_damon,
        [RELOCATE_DAMON_PADDR] = mover_damon,
        [RELOCATE_RECLAIM] = mover_reclaim,
};

void mover_report(Mover *mover)
{
        mover->result.elapsed_ns = mover_now() - mover->began_ns;
        if (mover->result_fd >= 0)
                (void)TEMP_FAILURE_RETRY(
                        write(mover->result_fd, &mover->result, sizeof(mover->result)));
}

static uint64_t left_of(uint64_t limit, uint64_t used)
{
        return limit > used ? limit - used : 0;
}

uint64_t mover_budget(const Mover *mover)
{
        return left_of(mover->request->bytes_max, mover->result.moved_bytes);
}

uint64_t mover_turn(const Mover *mover)
{
        uint64_t turn = mover->request->bytes_turn;

        return turn > 0 ? left_of(turn, mover->result.moved_bytes) : UINT64_MAX;
}

int mover_choose_node(Mover *mover, unsigned from, uint64_t *bytes)
{
        const NodeSet *nodes = &mover->request->nodes;
        NodeSet here = {}, near;
        unsigned best_distance = 0;
        uint64_t best_room = 0;

        nodeset_add(&here, from);
        proximity_nearest(&mover->proximity, nodes, &here, &near);

        for (int node = nodeset_next(nodes, 0); node >= 0;
             node = nodeset_next(nodes, (unsigned)node + 1)) {
                uint64_t room = 0;
                unsigned distance = UINT8_MAX;

                if (node_free_bytes(mover->roots->sys_fd, (unsigned)node, &room) < 0)
                        continue;
                room = room > NODE_RESERVE ? room - NODE_RESERVE : 0;
                if (room > *bytes)
                        room = *bytes;
                (void)node_distance(mover->roots->sys_fd, from, (unsigned)node, &distance);
                /* The HMAT may know better. */
                if (!nodeset_has(&near, (unsigned)node))
                        distance += UINT8_MAX;

                if (room > best_room || (room == best_room && distance < best_distance)) {
                        best_room = room;
                        best_distance = distance;
                        mover->node = (unsigned)node;
                }
        }

        if (best_room < mover->finder.page_size)
                return -ENOSPC;
        *bytes = best_room;
        return 0;
}

static bool engine_fits(const Mover *mover, RelocateEngine engine)
{
        return mover->request->engines & ~mover->refused & (1u << engine);
}

/* What @tried engines left lying, another one has moved. */
static void judge(Mover *mover, unsigned tried, size_t n_pages)
{
        if (n_pages < JUDGED_PAGES)
                return;

        for (unsigned engine = 0; engine < RELOCATE_MOVE_PAGES; engine++)
                if ((tried & (1u << engine)) && mover->result.moved_by[engine] == 0) {
                        mover->result.idle_engines |= 1u << engine;
                        mover->refused |= 1u << engine;
                }
}

/* Has the batch moved by the best engine that moves any of it. -EOPNOTSUPP: there is none. */
static int move_batch(Mover *mover)
{
        const size_t n_pages = mover->n_pages;
        unsigned tried = 0;

        for (unsigned i = 0; i < RELOCATE_MOVE_PAGES; i++) {
                RelocateEngine engine = (RelocateEngine)i;
                int r;

                if (!engine_fits(mover, engine))
                        continue;

                r = engine_fns[engine](mover, engine);
                if (r == -EINTR || r == -ESRCH)
                        return r;
                if (mover->n_pages < n_pages) {
                        judge(mover, tried, n_pages);
                        return 0;
                }
                if (r >= 0)
                        tried |= 1u << engine;
        }

        return tried != 0 ? 0 : -EOPNOTSUPP;
}

static size_t batch_limit(const Mover *mover)
{
        uint64_t page_size = mover->finder.page_size, limit = MOVER_BATCH_PAGES;
        uint64_t share = mover->request->rate / BATCHES_PER_SEC / page_size;
        uint64_t budget = mover_budget(mover) / page_size, turn = mover_turn(mover) / page_size;

        if (share < limit)
                limit = share > 0 ? share : 1;
        if (budget < limit)
                limit = budget;
        return (size_t)(turn < limit ? turn : limit);
}

/* One batch from *address on. Returns in @ret_futile whether there was one and nothing of it moved;
 * *address does not go on if bytes_max is reached. */
static int take_batch(Mover *mover, const RelocateRange *range, uint64_t *address, bool *ret_futile)
{
        size_t n = 0, limit = batch_limit(mover);
        uint64_t bytes, moved = mover->result.moved_bytes;
        int r;

        if (limit == 0)
                return -EDQUOT;
        r = copy_finder_next(&mover->finder, address, range->end, &mover->request->nodes,
                             mover->pages, limit, &n);
        if (r < 0 || n == 0)
                return r;

        bytes = n * mover->finder.page_size;
        r = mover_choose_node(mover, (unsigned)mover->pages[0].node, &bytes);
        if (r < 0)
                return r;
        mover->n_pages = (size_t)(bytes / mover->finder.page_size);
        pace_spend(&mover->pace, mover->n_pages * mover->finder.page_size);

        r = move_batch(mover);
        mover_report(mover);
        if (r >= 0)
                r = mover_sleep(mover, pace_wait_ns(&mover->pace, 1, mover_now()));

        *ret_futile = mover->result.moved_bytes == moved;
        return r;
}

static int sweep(Mover *mover)
{
        unsigned n_futile = 0;
        int r;

        for (size_t i = 0; i < mover->request->n_ranges; i++) {
                const RelocateRange *range = &mover->request->ranges[i];
                uint64_t address = range->start;

                while (range->dax && address < range->end) {
                        bool futile = false;

                        r = take_batch(mover, range, &address, &futile);
                        if (r == -EOPNOTSUPP)
                                break;
                        if (r < 0)
                                return r;
                        n_futile = futile ? n_futile + 1 : 0;
                        if (n_futile >= FUTILE_BATCHES)
                                return 0;
                }
        }

        return 0;
}

static int count_left(Mover *mover, uint64_t *ret_bytes)
{
        uint64_t left = 0;
        int r;

        for (size_t i = 0; i < mover->request->n_ranges; i++) {
                const RelocateRange *range = &mover->request->ranges[i];
                uint64_t bytes = 0;

                if (!range->dax)
                        continue;
                r = copy_finder_count(&mover->finder, range->start, range->end,
                                      &mover->request->nodes, &bytes);
                if (r < 0)
                        return r;
                left += bytes;
        }

        *ret_bytes = left;
        return 0;
}

/* Of DAX mappings: sweeps as long as each leaves something and moves something. With an @error to begin
 * with it is only counted what there is. */
static int run_sweeps(Mover *mover, int error)
{
        uint64_t left = UINT64_MAX, not_dax = mover->result.left_bytes, moved;
        int r = error, counted;

        for (unsigned i = 0; i < SWEEPS_MAX && left > 0; i++) {
                moved = mover->result.moved_bytes;
                if (r >= 0)
                        r = sweep(mover);
                counted = count_left(mover, &left);
                if (counted < 0)
                        return counted;
                mover->result.left_bytes = not_dax + left;
                if (r < 0 || mover->result.moved_bytes == moved)
                        break;
        }
        return r;
}

int mover_run(Mover *mover)
{
        const RelocateRequest *request = mover->request;
        int refused, r;

        mover->began_ns = mover_now();
        pace_init(&mover->pace, request->rate, request->saved_bytes, request->pause_max_ns,
                  mover->began_ns);

        r = mover_pages_run(mover);
        refused = r == -EOPNOTSUPP ? r : 0;
        r = run_sweeps(mover, r == refused ? 0 : r);
        if (r == -EDQUOT)
                mover->limited = true;
        return r == -EDQUOT ? 0 : r < 0 ? r : refused;
}

/* The engine whose word on the bytes that are left counts; -1: one was at work to the end. A foreign
 * owner of DAMON comes first, since somebody can do something about that, then the last resort. */
static int blamed_engine(const Mover *mover)
{
        bool works = false;
        int last = -1;

        for (int i = 0; i < (int)RELOCATE_ENGINES; i++) {
                if (mover->errors[i] == -EBUSY)
                        return i;
                if (mover->errors[i] < 0)
                        last = i;
                works |= mover->result.moved_by[i] > 0 && !(mover->refused & (1u << i));
        }
        return works ? -1 : last;
}

/* Why there are bytes left, if it was not the whole relocation that failed. */
static int explain_left(Mover *mover)
{
        RelocateResult *result = &mover->result;
        int engine = blamed_engine(mover), error;

        if (engine < 0 && mover->busy_bytes > 0) {
                snprintf(result->reason, sizeof(result->reason),
                         "%" PRIu64 " KiB would not move in %u tries: pinned, as for direct I/O or "
                         "a device, or in use by the kernel; it is tried again later",
                         mover->busy_bytes / 1024, MOVER_TRIES);
                return -EAGAIN;
        }
        if (engine < 0) {
                snprintf(result->reason, sizeof(result->reason),
                         "the kernel would not move %" PRIu64 " KiB now; it is tried again later",
                         result->left_bytes / 1024);
                return -EAGAIN;
        }

        error = mover->errors[engine];
        snprintf(result->reason, sizeof(result->reason), "%s", mover->engines[engine].reason);
        return error == -EBUSY || error == -EAGAIN ? error : -EOPNOTSUPP;
}

static void explain(Mover *mover, int error)
{
        RelocateResult *result = &mover->result;
        char nodes[NODESET_TEXT_MAX] = "";

        if (error == 0 && result->left_bytes > 0 && !mover->limited)
                error = explain_left(mover);
        result->error = error;

        (void)nodeset_format(&mover->request->nodes, nodes, sizeof(nodes));
        if (error == -ENOSPC)
                snprintf(result->reason, sizeof(result->reason), "no room on node %.60s", nodes);
        else if (error == -ESRCH)
                snprintf(result->reason, sizeof(result->reason), "the process is gone");
        else if (error == -EINTR)
                snprintf(result->reason, sizeof(result->reason), "stopped half-way");
        else if (error == 0 && mover->limited)
                snprintf(result->reason, sizeof(result->reason), "the limit is reached");
        else if (error < 0 && result->reason[0] == '\0')
                snprintf(result->reason, sizeof(result->reason), "the kernel refuses: %s",
                         strerror(-error));
}

static RelocateEngine best_engine(const RelocateResult *result)
{
        RelocateEngine best = RELOCATE_NONE;
        uint64_t most = 0;

        for (unsigned i = 0; i < RELOCATE_ENGINES; i++)
                if (result->moved_by[i] > most) {
                        most = result->moved_by[i];
                        best = (RelocateEngine)i;
                }
        return best;
}

void mover_finish(Mover *mover, int error)
{
        mover->result.engine = best_engine(&mover->result);
        explain(mover, error);
        mover_report(mover);
}
