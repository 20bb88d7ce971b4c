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

static const engine_fn engine_fns[RELOCATE_ENGINES] = {
        [RELOCATE_DAMON_VADDR] = mover_damon,
        [RELOCATE_DAMON_PADDR] = mover_damon,
        [RELOCATE_RECLAIM] = mover_reclaim,
        [RELOCATE_MOVE_PAGES] = mover_move_pages,
};

static void result_write(const Mover *mover)
{
        if (mover->result_fd >= 0)
                (void)TEMP_FAILURE_RETRY(
                        write(mover->result_fd, &mover->result, sizeof(mover->result)));
}

/* The nearest of the wanted nodes that has room for @bytes, or for a page at least: then *bytes is
 * what it has room for. */
static int choose_node(Mover *mover, unsigned from, uint64_t *bytes)
{
        const NodeSet *nodes = &mover->request->nodes;
        unsigned best_distance = 0;
        uint64_t best_room = 0;

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

static bool engine_fits(const Mover *mover, RelocateEngine engine, bool dax)
{
        unsigned bit = 1u << engine;

        return (mover->request->engines & bit) && !(mover->refused & bit) &&
               (engine == RELOCATE_MOVE_PAGES) != dax;
}

/* What @tried engines left lying, another one has moved. */
static void judge(Mover *mover, unsigned tried, size_t n_pages)
{
        if (n_pages < JUDGED_PAGES)
                return;

        for (unsigned engine = 0; engine < RELOCATE_ENGINES; engine++)
                if ((tried & (1u << engine)) && mover->result.moved_by[engine] == 0) {
                        mover->result.idle_engines |= 1u << engine;
                        mover->refused |= 1u << engine;
                }
}

/* Has the batch moved by the best engine that moves any of it. -EOPNOTSUPP: there is none. */
static int move_batch(Mover *mover, bool dax)
{
        const size_t n_pages = mover->n_pages;
        unsigned tried = 0;

        for (unsigned i = 0; i < RELOCATE_ENGINES; i++) {
                RelocateEngine engine = (RelocateEngine)i;
                int r;

                if (!engine_fits(mover, engine, dax))
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

/* Waits until the average since the beginning is not above the rate. */
static int keep_rate(Mover *mover)
{
        const uint64_t rate = mover->request->rate;
        uint64_t due, now = mover_now();

        if (rate == UINT64_MAX)
                return mover_sleep(mover, 0);

        due = mover->began_ns +
              (uint64_t)((double)mover->charged_bytes / (double)rate * (double)NSEC_PER_SEC);
        return mover_sleep(mover, due > now ? due - now : 0);
}

static size_t batch_limit(const Mover *mover)
{
        const RelocateRequest *request = mover->request;
        uint64_t page_size = mover->finder.page_size;
        uint64_t budget = request->bytes_max > mover->result.moved_bytes
                                  ? (request->bytes_max - mover->result.moved_bytes) / page_size
                                  : 0;
        uint64_t share = request->rate / BATCHES_PER_SEC / page_size, limit = MOVER_BATCH_PAGES;

        if (share < limit)
                limit = share > 0 ? share : 1;
        return (size_t)(budget < limit ? budget : limit);
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
        r = choose_node(mover, (unsigned)mover->pages[0].node, &bytes);
        if (r < 0)
                return r;
        mover->n_pages = (size_t)(bytes / mover->finder.page_size);
        mover->charged_bytes += mover->n_pages * mover->finder.page_size;

        r = move_batch(mover, range->dax);
        mover->result.elapsed_ns = mover_now() - mover->began_ns;
        result_write(mover);
        if (r >= 0)
                r = keep_rate(mover);

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

                while (address < range->end) {
                        bool futile = false;

                        r = take_batch(mover, range, &address, &futile);
                        /* Another range may be of the other kind. */
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

                r = copy_finder_count(&mover->finder, range->start, range->end,
                                      &mover->request->nodes, &bytes);
                if (r < 0)
                        return r;
                left += bytes;
        }

        *ret_bytes = left;
        return 0;
}

/* Sweeps as long as each leaves something and moves something. */
int mover_run(Mover *mover)
{
        uint64_t left = UINT64_MAX, moved;
        int r = 0, counted;

        mover->began_ns = mover_now();
        for (unsigned i = 0; i < SWEEPS_MAX && r >= 0 && left > 0; i++) {
                moved = mover->result.moved_bytes;
                r = sweep(mover);
                counted = count_left(mover, &left);
                if (counted < 0)
                        return counted;
                mover->result.left_bytes = left;
                if (mover->result.moved_bytes == moved)
                        break;
        }

        return r == -EDQUOT ? 0 : r;
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

        if (error == 0 && result->left_bytes > 0 &&
            result->moved_bytes + mover->finder.page_size <= mover->request->bytes_max)
                error = explain_left(mover);
        result->error = error;

        (void)nodeset_format(&mover->request->nodes, nodes, sizeof(nodes));
        if (error == -ENOSPC)
                snprintf(result->reason, sizeof(result->reason), "no room on node %.60s", nodes);
        else if (error == -ESRCH)
                snprintf(result->reason, sizeof(result->reason), "the process is gone");
        else if (error == -EINTR)
                snprintf(result->reason, sizeof(result->reason), "stopped half-way");
        else if (error == 0 && result->left_bytes > 0)
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
        mover->result.elapsed_ns = mover_now() - mover->began_ns;
        explain(mover, error);
        result_write(mover);
}
