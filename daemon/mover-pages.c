/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "daemon/kernel/maps.h"
#include "daemon/mover.h"
#include "policy/macro.h"
#include "policy/match.h"
#include "policy/plan.h"

/* The pass of move_pages(2) over what is not in a DAX mapping. Each page is looked at once, and moved
 * by one call; only those that were busy are tried again. */

/* What is looked for before it is moved. More would be out of date when it is its turn. */
#define FILL_BYTES (UINT64_C(16) << 20)

/* Before busy pages are tried for the second time; four times as long before each further time. */
#define RETRY_NS (10 * NSEC_PER_MSEC)

static int compare_range(const void *a, const void *b)
{
        const RelocateRange *left = a, *right = b;

        return (left->start > right->start) - (left->start < right->start);
}

/* What is below RelocateRequest.from is left out. */
static void range_add(Mover *mover, uint64_t start, uint64_t end)
{
        if (start < mover->request->from)
                start = mover->request->from;
        if (start < end)
                mover->ranges[mover->n_ranges++] = (RelocateRange){ .start = start, .end = end };
}

typedef struct Maps {
        Mapping *mappings;
        size_t n;
} Maps;

static void maps_deinit(Maps *maps)
{
        mappings_free(maps->mappings, maps->n);
}

static void on_counts(Mapping *mapping, uint64_t anonymous,
                      const uint64_t by_node[static NODESET_MAX], void *userdata)
{
        (void)mapping;
}

/* With their policies: what a program has put somewhere itself stays there. */
static int maps_find(const Mover *mover, Maps *maps)
{
        int r;

        r = maps_read(mover->process_fd, &maps->mappings, &maps->n);
        return r < 0 ? r
                     : numa_maps_read(mover->process_fd, maps->mappings, maps->n, on_counts, NULL);
}

static bool is_to_move(const Mover *mover, const Mapping *mapping)
{
        return anon_match(mapping) &&
               !plan_is_elsewhere(mapping->policy, &mapping->policy_nodes, &mover->request->nodes);
}

int mover_pages_open(Mover *mover)
{
        const RelocateRequest *request = mover->request;
        _cleanup_(maps_deinit) Maps maps = {};
        int r;

        if (request->anonymous) {
                r = maps_find(mover, &maps);
                if (r < 0)
                        return r;
        }

        mover->ranges = calloc(request->n_ranges + maps.n + 1, sizeof(*mover->ranges));
        mover->busy = malloc(MOVER_BUSY_PAGES * sizeof(*mover->busy));
        if (!mover->ranges || !mover->busy)
                return -ENOMEM;

        for (size_t i = 0; i < request->n_ranges; i++)
                if (!request->ranges[i].dax)
                        range_add(mover, request->ranges[i].start, request->ranges[i].end);
        for (size_t i = 0; i < maps.n; i++)
                if (is_to_move(mover, &maps.mappings[i]))
                        range_add(mover, maps.mappings[i].start, maps.mappings[i].end);
        qsort(mover->ranges, mover->n_ranges, sizeof(*mover->ranges), compare_range);

        /* A kernel that does not tell huge pages moves them all the same, at the price of a look at
         * each part. */
        (void)copy_finder_see_huge(&mover->finder, mover->roots->proc_fd);
        return 0;
}

static uint64_t page_bytes(const Mover *mover, const CopyPage *page)
{
        return page->n_pages * mover->finder.page_size;
}

static bool is_huge(const CopyPage *page)
{
        return page->n_pages > 1;
}

static uint64_t pages_bytes(const Mover *mover, const CopyPage *pages, size_t n)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < n; i++)
                bytes += page_bytes(mover, &pages[i]);
        return bytes;
}

/* Huge pages first: calls for many of a kind can be foreseen better. */
static int compare_page(const void *a, const void *b)
{
        const CopyPage *left = a, *right = b;

        if (left->n_pages != right->n_pages)
                return left->n_pages > right->n_pages ? -1 : 1;
        return (left->address > right->address) - (left->address < right->address);
}

/* Finds the next batch; an empty one: there is nothing more. */
static int fill(Mover *mover)
{
        uint64_t bytes = 0, enough = FILL_BYTES;
        size_t n_huge = 0;

        if (mover_budget(mover) < enough)
                enough = mover_budget(mover);
        if (mover_turn(mover) < enough)
                enough = mover_turn(mover);

        if (enough == 0 && mover->range < mover->n_ranges)
                return -EDQUOT;

        while (mover->range < mover->n_ranges && bytes < enough &&
               mover->n_pages + COPY_WINDOW <= MOVER_BATCH_PAGES) {
                RelocateRange *range = &mover->ranges[mover->range];
                CopyPage *pages = mover->pages + mover->n_pages;
                size_t n = 0;
                int r;

                r = mover_sleep(mover, 0);
                if (r >= 0)
                        r = copy_finder_look(&mover->finder, &range->start, range->end,
                                             &mover->request->nodes, pages, &n);
                if (r < 0)
                        return r;

                bytes += pages_bytes(mover, pages, n);
                for (size_t i = 0; i < n; i++)
                        n_huge += is_huge(&pages[i]);
                mover->n_pages += n;
                if (range->start >= range->end)
                        mover->range++;
        }

        if (n_huge > 0 && n_huge < mover->n_pages)
                qsort(mover->pages, mover->n_pages, sizeof(*mover->pages), compare_page);
        return 0;
}

/* How many pages from @first on go into one call: of one kind, as many as it may take on, but one at
 * least, and of no more than @room bytes. */
static size_t call_size(const Mover *mover, size_t first, uint64_t room, uint64_t *ret_bytes)
{
        const CopyPage *pages = mover->pages + first;
        uint64_t most = pace_pages(&mover->pace, is_huge(pages), mover->finder.page_size) *
                        mover->finder.page_size;
        uint64_t bytes = 0;
        size_t n = 0;

        if (mover_turn(mover) < most)
                most = mover_turn(mover);

        while (first + n < mover->n_pages && n < COPY_WINDOW &&
               is_huge(&pages[n]) == is_huge(pages)) {
                uint64_t more = bytes + page_bytes(mover, &pages[n]);

                if (more > room || (n > 0 && more > most))
                        break;
                bytes = more;
                n++;
        }

        *ret_bytes = bytes;
        return n;
}

/* The same, with a node that has room for them. */
static int call_prepare(Mover *mover, size_t first, size_t *ret_n, uint64_t *ret_bytes)
{
        uint64_t bytes = 0, room;
        size_t n;
        int r;

        n = call_size(mover, first, mover_budget(mover), &bytes);
        if (n == 0 || mover_turn(mover) == 0)
                return -EDQUOT;

        if (mover->room < bytes) {
                room = bytes > FILL_BYTES ? bytes : FILL_BYTES;
                r = mover_choose_node(mover, (unsigned)mover->pages[first].node, &room);
                if (r < 0)
                        return r;
                mover->room = room;
                if (room < bytes)
                        n = call_size(mover, first, room, &bytes);
                if (n == 0)
                        return -ENOSPC;
        }

        *ret_n = n;
        *ret_bytes = bytes;
        return 0;
}

static void busy_add(Mover *mover, const CopyPage *page)
{
        mover->busy_bytes += page_bytes(mover, page);
        if (mover->n_busy < MOVER_BUSY_PAGES)
                mover->busy[mover->n_busy++] = *page;
}

/* What a call has come to, and how much it moved. If not all moved, a huge page may have been split, and part of it stayed:
 * that is not tried again, as it is many pages now. */
static int account(Mover *mover, const CopyPage *pages, size_t n, bool stayed, uint64_t *ret_moved)
{
        uint64_t moved = 0;
        int r;

        for (size_t i = 0; i < n; i++) {
                uint64_t size = page_bytes(mover, &pages[i]), left = 0;

                if (pages[i].node < 0) /* it is gone */
                        continue;
                if (!nodeset_has(&mover->request->nodes, (unsigned)pages[i].node)) {
                        busy_add(mover, &pages[i]);
                        continue;
                }
                if (stayed && is_huge(&pages[i])) {
                        r = copy_finder_count(&mover->finder, pages[i].address,
                                              pages[i].address + size, &mover->request->nodes,
                                              &left);
                        if (r < 0)
                                return r;
                        mover->busy_bytes += left;
                }
                moved += size - left;
        }

        mover->result.moved_bytes += moved;
        mover->result.moved_by[RELOCATE_MOVE_PAGES] += moved;
        mover->room -= moved < mover->room ? moved : mover->room;
        pace_spend(&mover->pace, moved);
        *ret_moved = moved;
        return 0;
}

static int refuse(Mover *mover, int error)
{
        if (error == -ESRCH)
                return error;
        if (error == -EACCES)
                return mover_refuse(mover, RELOCATE_MOVE_PAGES, error,
                                    "its cpuset does not allow node %u", mover->node);
        return mover_refuse(mover, RELOCATE_MOVE_PAGES, error, "move_pages() is refused: %s",
                            strerror(-error));
}

/* One call, for pages of the batch from @first on: of *ret_done of them it is known what came of
 * them. */
static int call(Mover *mover, size_t first, size_t *ret_done)
{
        CopyPage *pages = mover->pages + first;
        bool huge = is_huge(pages);
        uint64_t bytes = 0, moved = 0, began;
        size_t n = 0, done = 0;
        bool full;
        int r, counted;

        r = call_prepare(mover, first, &n, &bytes);
        if (r >= 0)
                r = mover_sleep(mover, pace_wait_ns(&mover->pace, bytes, mover_now()));
        if (r < 0)
                return r;

        began = mover_now();
        r = copy_finder_move(&mover->finder, pages, n, mover->node, &done);
        pace_learn(&mover->pace, huge, (size_t)(bytes / mover->finder.page_size),
                   mover_now() - began);
        full = r == -ENOMEM;
        if (full) {
                /* Somebody was quicker, or the kernel keeps more for itself than we knew. */
                mover->room = 0;
                done = n;
                r = copy_finder_locate(&mover->finder, pages, n);
                r = r < 0 ? r : 1;
        }
        if (r < 0)
                return refuse(mover, r);

        counted = account(mover, pages, done, r > 0, &moved);
        if (counted < 0)
                return counted;
        *ret_done = done;
        return full && moved == 0 ? -ENOSPC : 0;
}

/* All of the batch; what it did not get at stays in it. */
static int serve(Mover *mover)
{
        size_t first = 0;
        int r = 0;

        while (first < mover->n_pages) {
                size_t done = 0;

                r = call(mover, first, &done);
                first += done;
                if (r < 0)
                        break;
        }

        mover->n_pages -= first;
        memmove(mover->pages, mover->pages + first, mover->n_pages * sizeof(*mover->pages));
        return r;
}

/* The busy ones again: most are for a moment, as in the middle of a write or a move of the kernel's. */
static int retry(Mover *mover)
{
        uint64_t wait = RETRY_NS;
        int r = 0;

        for (unsigned i = 1; i < MOVER_TRIES && mover->n_busy > 0 && r >= 0; i++, wait *= 4) {
                r = mover_sleep(mover, wait);
                if (r < 0)
                        return r;

                memcpy(mover->pages, mover->busy, mover->n_busy * sizeof(*mover->pages));
                mover->n_pages = mover->n_busy;
                mover->busy_bytes -= pages_bytes(mover, mover->busy, mover->n_busy);
                mover->n_busy = 0;
                r = serve(mover);
        }
        return r;
}

/* Where the next relocation goes on: at the first page that is left of the batch. */
static uint64_t next_address(const Mover *mover)
{
        uint64_t next = UINT64_MAX;

        if (mover->range < mover->n_ranges)
                next = mover->ranges[mover->range].start;
        for (size_t i = 0; i < mover->n_pages; i++)
                if (mover->pages[i].address < next)
                        next = mover->pages[i].address;
        return next < UINT64_MAX ? next : 0;
}

/* What a call costs before it moves anything. */
static int learn_fixed(Mover *mover)
{
        uint64_t began = mover_now();
        size_t done;
        int r;

        if (mover->n_ranges == 0 || mover->request->pause_max_ns == UINT64_MAX)
                return 0;
        r = copy_finder_move(&mover->finder, mover->pages, 0, 0, &done);
        if (r < 0)
                return refuse(mover, r);
        pace_set_fixed(&mover->pace, mover_now() - began);
        return 0;
}

static int run_pass(Mover *mover)
{
        int r;

        r = learn_fixed(mover);
        if (r < 0)
                return r;
        do {
                r = fill(mover);
                if (r >= 0)
                        r = serve(mover);
                mover_report(mover);
        } while (r >= 0 && mover->range < mover->n_ranges);

        return r < 0 ? r : retry(mover);
}

int mover_pages_run(Mover *mover)
{
        int r = 0;

        if (mover->n_ranges > 0 && !(mover->request->engines & (1u << RELOCATE_MOVE_PAGES)))
                r = -EOPNOTSUPP;
        else
                r = run_pass(mover);

        mover->result.next = next_address(mover);
        mover->result.left_bytes =
                mover->busy_bytes + pages_bytes(mover, mover->pages, mover->n_pages);
        mover->n_pages = 0;
        return r;
}
