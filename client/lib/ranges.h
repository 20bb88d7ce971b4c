/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Range Range;
typedef struct Ranges Ranges;

/* [start, end) */
struct Range {
        uintptr_t start;
        uintptr_t end;
};

/* A set of addresses as disjoint ranges that do not touch. Kept by *falling* address: the kernel
 * hands out addresses top down, so that a new range usually goes to the end of the array or merges
 * with the last one. Zeroed memory is the empty set. */
struct Ranges {
        Range *items;
        size_t n_items;
        size_t n_allocated;
};

/* Adds [start, end); what of it is in the set already stays. -ENOMEM: unchanged. */
int ranges_add(Ranges *ranges, uintptr_t start, uintptr_t end);

/* Is every address of [start, end) in the set? */
bool ranges_hold(const Ranges *ranges, uintptr_t start, uintptr_t end);

/* Makes room for one more range, so that the next ranges_remove() (which may split one) succeeds. */
int ranges_reserve(Ranges *ranges);

/* Takes [start, end) out; needs a ranges_reserve() before it. */
void ranges_remove(Ranges *ranges, uintptr_t start, uintptr_t end);

void ranges_deinit(Ranges *ranges);
