/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/nodeset.h"

typedef struct CopyPage CopyPage;
typedef struct CopyFinder CopyFinder;
typedef struct PageRun PageRun;

/* A page that a process has for itself: a copy of a file's page, or anonymous. */
struct CopyPage {
        uint64_t address;
        uint64_t frame;  /* physical, in pages */
        uint64_t cgroup; /* that it is charged to: page_cgroup_read() */
        int node;        /* -1: none, at the moment */
};

/* [start, end) in bytes, of addresses or of physical memory. */
struct PageRun {
        uint64_t start;
        uint64_t end;
};

/* Looks through the pages of one process. Same rules as pagemap_count_copies(): a copy is what
 * pagemap calls present and not of a file and move_pages(nodes=NULL) finds on a node. */
struct CopyFinder {
        pid_t pid;
        int pagemap_fd; /* of the memory that the process had at the beginning: empty after an exec */
        uint64_t page_size;
        uint64_t *entries; /* and what else a batch needs */
        void **addresses;
        int *status;
};

#define COPY_FINDER_NONE                                                                           \
        (CopyFinder)                                                                               \
        {                                                                                          \
                .pagemap_fd = -1                                                                   \
        }

/* -ESRCH, -EPERM as pagemap_count_copies(). */
int copy_finder_init(int process_fd, pid_t pid, CopyFinder *ret_finder);
void copy_finder_deinit(CopyFinder *finder);

/* The next up to @max pages of [*address, end) that are on other nodes than @nodes, by address;
 * *address moves behind the last page that was looked at and is @end when there is nothing more.
 * What is in swap, or in the middle of a move, is on no node and not found; so are copies in a
 * PROT_NONE mapping on kernels whose move_pages() does not see them. */
int copy_finder_next(CopyFinder *finder, uint64_t *address, uint64_t end, const NodeSet *nodes,
                     CopyPage *pages, size_t max, size_t *ret_n);

/* Where these pages are now: sets .node only. A page in the middle of a move is on none, too. */
int copy_finder_locate(CopyFinder *finder, CopyPage *pages, size_t n);

/* move_pages(2) of all of them, those too that another process shares (which takes CAP_SYS_NICE);
 * what came of it, copy_finder_locate() tells. -EFAULT never, -EACCES: the process may not use that
 * node; -ENODEV: it has no memory. */
int copy_finder_move(CopyFinder *finder, const CopyPage *pages, size_t n, unsigned node);

/* Bytes of [start, end) on other nodes than @nodes. */
int copy_finder_count(CopyFinder *finder, uint64_t start, uint64_t end, const NodeSet *nodes,
                      uint64_t *ret_bytes);

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
