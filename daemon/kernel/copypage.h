/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/nodeset.h"

typedef struct CopyPage CopyPage;
typedef struct CopyFinder CopyFinder;

/* A page that a process has for itself: a copy of a file's page, or anonymous. */
struct CopyPage {
        uint64_t address;
        uint64_t frame;   /* physical, in pages */
        uint64_t cgroup;  /* that it is charged to: page_cgroup_read() */
        int node;         /* -1: none, at the moment */
        unsigned n_pages; /* 1; of a huge page so many as it is made of */
};

/* How move_pages(2) is called: a test has one of its own. */
typedef long (*move_pages_fn)(pid_t pid, size_t n, void **addresses, const int *nodes, int *status,
                              int flags);

/* How many pages are looked at or moved between two system calls: 16 MiB of addresses. */
#define COPY_WINDOW ((size_t)4096)

/* Looks through the pages of one process. Same rules as pagemap_count_copies(): a copy is what
 * pagemap calls present and not of a file and move_pages(nodes=NULL) finds on a node. */
struct CopyFinder {
        pid_t pid;
        int pagemap_fd; /* of the memory that the process had at the beginning: empty after an exec */
        int kpageflags_fd; /* -1: huge pages are not told from small ones */
        uint64_t page_size;
        move_pages_fn move_pages;
        uint64_t *entries; /* and what else a window needs */
        void **addresses;
        unsigned *sizes;
        int *status;
        int *targets;
};

#define COPY_FINDER_NONE                                                                           \
        (CopyFinder)                                                                               \
        {                                                                                          \
                .pagemap_fd = -1, .kpageflags_fd = -1                                              \
        }

/* -ESRCH, -EPERM as pagemap_count_copies(). */
int copy_finder_init(int process_fd, pid_t pid, CopyFinder *ret_finder);
void copy_finder_deinit(CopyFinder *finder);

/* From now on copy_finder_look() finds a huge page as one. -ENOENT: this kernel does not tell
 * (/proc/kpageflags). */
int copy_finder_see_huge(CopyFinder *finder, int proc_fd);

/* The next up to @max pages of [*address, end) that are on other nodes than @nodes, by address;
 * *address moves behind the last page that was looked at and is @end when there is nothing more.
 * What is in swap, or in the middle of a move, is on no node and not found; so are copies in a
 * PROT_NONE mapping on kernels whose move_pages() does not see them. */
int copy_finder_next(CopyFinder *finder, uint64_t *address, uint64_t end, const NodeSet *nodes,
                     CopyPage *pages, size_t max, size_t *ret_n);

/* One look, at up to COPY_WINDOW pages from *address on, which is not @end: finds those as above, in
 * @pages, which has room for so many. *address moves behind what was looked at, and over the hole that
 * follows if nothing was found. A huge page is one page, of which only the first small one is looked
 * at; one that is mapped in part, or smaller than a page table maps, is found as small ones. */
int copy_finder_look(CopyFinder *finder, uint64_t *address, uint64_t end, const NodeSet *nodes,
                     CopyPage *pages, size_t *ret_n);

/* Where these pages are now: sets .node only. A page in the middle of a move is on none, too. */
int copy_finder_locate(CopyFinder *finder, CopyPage *pages, size_t n);

/* One move_pages(2) of up to COPY_WINDOW pages, those too that another process shares (which takes
 * CAP_SYS_NICE). The kernel gives up at the first that it cannot move, once it has moved what came
 * before: *ret_tried tells how many it was at. Sets .node of these to where they are now; a huge page
 * that the kernel had to split may be in part elsewhere, which copy_finder_count() tells. 1: some of
 * them stayed where they were, 0: none. -EACCES: the process may not use that node; -ENODEV: it has no
 * memory; -ENOMEM: it has no room, though some may have moved. */
int copy_finder_move(CopyFinder *finder, CopyPage *pages, size_t n, unsigned node,
                     size_t *ret_tried);

/* Bytes of [start, end) on other nodes than @nodes. */
int copy_finder_count(CopyFinder *finder, uint64_t start, uint64_t end, const NodeSet *nodes,
                      uint64_t *ret_bytes);
