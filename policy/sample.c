/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/sample.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* The finalizer of splitmix64. */
static uint64_t mix(uint64_t x)
{
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        return x ^ (x >> 31);
}

void sample_deinit(Sample *sample)
{
        free(sample->pages);
        *sample = (Sample){};
}

unsigned sample_shift(uint64_t n_pages, size_t goal)
{
        unsigned shift = 0;

        while (n_pages >> shift > goal)
                shift++;
        return shift;
}

/* Down a binary tree, at each level to the half that a bit of the node's own hash says. Pages at equal
 * distances would meet the steps in which a program goes through its memory. */
uint64_t sample_candidate(uint64_t block, unsigned shift)
{
        for (; shift > 0; shift--)
                block = block << 1 | (mix(block << 6 | shift) & 1);
        return block;
}

int sample_replace(Sample *sample, unsigned shift, const uint64_t *addresses, size_t n)
{
        SamplePage *pages = calloc(n + 1, sizeof(*pages));
        size_t old = 0;

        if (!pages)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++) {
                while (old < sample->n_pages && sample->pages[old].address < addresses[i])
                        old++;
                if (old < sample->n_pages && sample->pages[old].address == addresses[i])
                        pages[i] = sample->pages[old];
                else
                        pages[i] = (SamplePage){ .address = addresses[i], .node = -1 };
        }

        free(sample->pages);
        sample->pages = pages;
        sample->n_pages = n;
        sample->shift = shift;
        return 0;
}

static bool enters(const NodeSet *tier, int from, int to)
{
        return nodeset_has(tier, (unsigned)to) && !nodeset_has(tier, (unsigned)from);
}

void sample_note(Sample *sample, const int *nodes, const Tiers *tiers, uint64_t now_usec,
                 uint64_t window_usec, SampleCount *count)
{
        uint64_t bytes = sample->page_size << sample->shift;

        for (size_t i = 0; i < sample->n_pages; i++) {
                SamplePage *page = &sample->pages[i];
                int from = page->node, to = nodes[i];

                if (to < 0) {
                        page->node = -1;
                        page->changed_usec = 0;
                        continue;
                }
                page->node = to;
                if (from < 0 || from == to)
                        continue;

                count->moved_bytes += bytes;
                if (enters(&tiers->cheap, from, to))
                        count->to_cheap_bytes += bytes;
                if (enters(&tiers->fast, from, to))
                        count->to_fast_bytes += bytes;
                if (page->changed_usec != 0 && now_usec - page->changed_usec <= window_usec)
                        count->re_moved_bytes += bytes;
                page->changed_usec = now_usec;
        }
}

void sample_count_add(SampleCount *count, const SampleCount *more)
{
        count->moved_bytes += more->moved_bytes;
        count->to_cheap_bytes += more->to_cheap_bytes;
        count->to_fast_bytes += more->to_fast_bytes;
        count->re_moved_bytes += more->re_moved_bytes;
}

size_t sample_present(const Sample *sample)
{
        size_t n = 0;

        for (size_t i = 0; i < sample->n_pages; i++)
                n += sample->pages[i].node >= 0;
        return n;
}
