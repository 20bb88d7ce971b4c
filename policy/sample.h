/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Pages of one process that are looked at again and again: how much of its memory goes from node to
 * node, and how much of that again before its time. From these few the rest is concluded. */

#include <stddef.h>
#include <stdint.h>

#include "policy/tier.h"

typedef struct Sample Sample;
typedef struct SampleCount SampleCount;
typedef struct SamplePage SamplePage;

/* The most pages that one has. */
#define SAMPLE_PAGES_MAX ((size_t)4096)

struct SamplePage {
        uint64_t address;
        uint64_t changed_usec; /* when it was last seen on another node than before; 0: never */
        int node;              /* -1: on none, or not looked at yet */
};

/* Zero-initialised but for .page_size it is empty. */
struct Sample {
        uint64_t page_size;
        unsigned shift;    /* one of 2^shift pages is in it */
        SamplePage *pages; /* by address */
        size_t n_pages;
};

/* Bytes that were seen to move, estimated: each page of the sample stands for 2^shift. */
struct SampleCount {
        uint64_t moved_bytes;
        uint64_t to_cheap_bytes; /* of these, from another tier, or from none */
        uint64_t to_fast_bytes;
        uint64_t re_moved_bytes; /* of pages that had moved within the window before */
};

void sample_deinit(Sample *sample);

/* The least shift with which at most @goal of @n_pages are in a sample. */
unsigned sample_shift(uint64_t n_pages, size_t goal);

/* The page (an address by .page_size) of @block, the 2^shift pages from @block << shift on, that is in
 * every sample of that shift. Those of a shift are also in all samples of a lesser one. */
uint64_t sample_candidate(uint64_t block, unsigned shift);

/* Has these pages, ascending, instead of the former; what is known of one that stays is kept. On
 * -ENOMEM nothing is changed. */
int sample_replace(Sample *sample, unsigned shift, const uint64_t *addresses, size_t n);

/* Where the pages are now: @nodes[i] is that of .pages[i], negative: it is on none. Adds what has
 * moved since the last time to @count; a page that was on no node in between is another one. A page
 * that moves again within @window_usec is moved again. Times are of CLOCK_MONOTONIC. */
void sample_note(Sample *sample, const int *nodes, const Tiers *tiers, uint64_t now_usec,
                 uint64_t window_usec, SampleCount *count);

void sample_count_add(SampleCount *count, const SampleCount *more);

/* How many of its pages were on a node the last time. */
size_t sample_present(const Sample *sample);
