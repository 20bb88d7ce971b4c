/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/lib/ranges.h"

#include <assert.h>
#include <errno.h>

#include "policy/macro.h"

#define RANGES_FIRST 16u

/* The first index, in falling order, whose range starts below @address; n_items if none does. */
static size_t ranges_below(const Ranges *ranges, uintptr_t address)
{
        size_t low = 0, high = ranges->n_items;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (ranges->items[middle].start < address)
                        high = middle;
                else
                        low = middle + 1;
        }

        return low;
}

/* Puts @with in the place of the @n_old ranges from @at on. */
static void ranges_splice(Ranges *ranges, size_t at, size_t n_old, const Range *with, size_t n_with)
{
        assert(ranges->n_items - n_old + n_with <= ranges->n_allocated);

        memmove(ranges->items + at + n_with, ranges->items + at + n_old,
                (ranges->n_items - at - n_old) * sizeof(Range));
        memcpy(ranges->items + at, with, n_with * sizeof(Range));
        ranges->n_items += n_with - n_old;
}

int ranges_reserve(Ranges *ranges)
{
        size_t wanted = ranges->n_allocated ? ranges->n_allocated * 2 : RANGES_FIRST;
        Range *items;

        if (ranges->n_items < ranges->n_allocated)
                return 0;

        items = reallocarray(ranges->items, wanted, sizeof(*items));
        if (!items)
                return -ENOMEM;

        ranges->items = items;
        ranges->n_allocated = wanted;
        return 0;
}

int ranges_add(Ranges *ranges, uintptr_t start, uintptr_t end)
{
        Range merged = { .start = start, .end = end };
        size_t first, last;
        int r;

        r = ranges_reserve(ranges);
        if (r < 0)
                return r;

        /* Everything that overlaps or touches becomes one range: [first, last) of the array. */
        last = ranges_below(ranges, start);
        if (last < ranges->n_items && ranges->items[last].end >= start)
                merged.start = ranges->items[last++].start;

        first = end == UINTPTR_MAX ? 0 : ranges_below(ranges, end + 1);
        if (first < last && ranges->items[first].end > end)
                merged.end = ranges->items[first].end;

        ranges_splice(ranges, first, last - first, &merged, 1);
        return 0;
}

bool ranges_hold(const Ranges *ranges, uintptr_t start, uintptr_t end)
{
        size_t at = ranges_below(ranges, end);

        return at < ranges->n_items && ranges->items[at].start <= start &&
               ranges->items[at].end >= end;
}

void ranges_remove(Ranges *ranges, uintptr_t start, uintptr_t end)
{
        size_t first = ranges_below(ranges, end), last = first;
        Range rest[2];
        size_t n_rest = 0;

        while (last < ranges->n_items && ranges->items[last].end > start) {
                const Range *range = &ranges->items[last++];

                if (range->end > end)
                        rest[n_rest++] = (Range){ .start = end, .end = range->end };
                if (range->start < start)
                        rest[n_rest++] = (Range){ .start = range->start, .end = start };
        }

        ranges_splice(ranges, first, last - first, rest, n_rest);
}

void ranges_deinit(Ranges *ranges)
{
        free(ranges->items);
        *ranges = (Ranges){};
}
