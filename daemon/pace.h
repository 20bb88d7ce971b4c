/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/bucket.h"

typedef struct Pace Pace;

/* When a mover may go on, and how much one call of it may take on: MoveRate= and PauseMax=. Times are
 * handed in (CLOCK_MONOTONIC, nanoseconds). */
struct Pace {
        Bucket bucket;
        uint64_t rate;
        uint64_t pause_max_ns;
        uint64_t fixed_ns;  /* of a call that moves nothing */
        size_t small_pages; /* of a call that moves small pages, at most */
        size_t huge_pages;  /* of one that moves huge ones: small pages, too; one always goes */
};

/* What a call takes on at first, and at least, in small pages: a call costs as much as some tens of
 * them before it moves any, as the kernel empties the lists of every processor. */
#define PACE_PAGES_MIN ((size_t)32)
#define PACE_PAGES_MAX ((size_t)4096)

/* @saved_bytes: may be moved at once, and up to BUCKET_BURST_USEC's worth is. UINT64_MAX: no limit, of
 * either. */
void pace_init(Pace *pace, uint64_t rate, uint64_t saved_bytes, uint64_t pause_max_ns,
               uint64_t now_ns);

/* How many small pages of @page_size bytes, or pages in huge ones, the next call may move. */
size_t pace_pages(const Pace *pace, bool huge, uint64_t page_size);

/* How long until @bytes may be moved. Of more than are ever saved only as much has to be there; the
 * rest is waited for after. */
uint64_t pace_wait_ns(Pace *pace, uint64_t bytes, uint64_t now_ns);

/* So many bytes were moved. */
void pace_spend(Pace *pace, uint64_t bytes);

/* A call for no page at all took so long: the kernel empties the lists of every processor, which stops
 * nobody. It is part of what a call may take, but leaves at least half of that for the pages: on a large
 * machine the pause would else be all waste. */
void pace_set_fixed(Pace *pace, uint64_t fixed_ns);

/* A call for @n_pages took @elapsed_ns. Below a third of what the pages may take the next may take on
 * half as much again, beyond it half: most stay well below. */
void pace_learn(Pace *pace, bool huge, size_t n_pages, uint64_t elapsed_ns);
