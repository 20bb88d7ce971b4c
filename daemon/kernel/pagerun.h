/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/kernel/copypage.h"

typedef struct PageRun PageRun;

/* [start, end) in bytes, of addresses or of physical memory. */
struct PageRun {
        uint64_t start;
        uint64_t end;
};

/* The longest run, in pages. The kernel takes the pages of one run away from the process together, up
 * to 512, and gives them back when all are copied: a thread that writes to one waits for that. */
#define PAGE_RUN_MAX UINT64_C(64)

/* Joins pages that are ordered by address to runs of addresses. Up to @gap pages that are not in
 * @pages are included between two of them. Stops before run @max + 1: *ret_used pages are in the
 * runs. */
size_t page_runs_virtual(const CopyPage *pages, size_t n, uint64_t page_size, uint64_t gap,
                         PageRun *runs, size_t max, size_t *ret_used);

/* The same for physical memory; sorts the pages by frame. No gaps: what is there is somebody
 * else's. */
size_t page_runs_physical(CopyPage *pages, size_t n, uint64_t page_size, PageRun *runs, size_t max,
                          size_t *ret_used);

uint64_t page_runs_bytes(const PageRun *runs, size_t n);
