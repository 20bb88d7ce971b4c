/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/mapping.h"

/* An entry of pagemap, one for each page of addresses. */
#define PAGEMAP_PRESENT   (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED   (UINT64_C(1) << 62) /* any entry that is not empty and not present */
#define PAGEMAP_FILE      (UINT64_C(1) << 61) /* of a file or shared memory: no copy */
#define PAGEMAP_GUARD     (UINT64_C(1) << 58) /* a guard region (MADV_GUARD_INSTALL): no page */
#define PAGEMAP_FRAME     ((UINT64_C(1) << 55) - 1) /* present: all 0 without CAP_SYS_ADMIN */
#define PAGEMAP_SWAP_TYPE UINT64_C(0x1f)            /* all 0 for those who may not see it */
#define PAGEMAP_MARKER    UINT64_C(0x1f) /* the last type: a marker of userfaultfd: no page */

/* Counts the copies (for an anonymous mapping: the pages) of [start, end) within @mapping, by node;
 * a page counts if any byte of it is in the range. A shared file mapping has none.
 * @pid: the process of @process_fd, or 0 for the caller. Never faults a page in. .kind need not be
 * known beyond anonymous or not: a copy is what pagemap calls present and not of a file (bit 61) and
 * move_pages(nodes=NULL) finds on a node. For the pages of a DAX file themselves, which bit 61 misses
 * up to 6.12, that answers -ENOENT.
 * -ESRCH: the process is gone, or another program runs in it since. -EPERM/-EACCES: not ours to look
 * at: ptrace's read access is needed; a container's seccomp filter may refuse move_pages() too.
 * -EOPNOTSUPP: an inaccessible mapping (PROT_NONE) on a kernel whose move_pages() does not see its
 * pages (6.1 to 6.5), where numa_maps cannot stand in: a part of the mapping, or on several nodes
 * among pages of the file.
 * Measured: ~30 ns a page of the range that is present, ~240 ns more for each that may be a copy
 * (nearly all of it move_pages()); a hole costs nothing since 6.7, before that 0.6 s a TiB. */
int pagemap_count_copies(int process_fd, pid_t pid, const Mapping *mapping, uint64_t start,
                         uint64_t end, Copies *ret_copies);

/* Entries from page @index on; fewer at the end of the addresses. -ESRCH: the process has ended, or
 * another program runs in it since. */
int pagemap_read(int pagemap_fd, uint64_t index, uint64_t *entries, size_t n, size_t *ret_n);

/* The first address at or after @address with a page, or @end: a walk that costs nothing where there
 * are no page tables, against 0.6 s for each TiB that we read. Programs reserve many TiB (sanitizers,
 * garbage collectors), and a sparse file has any size. Kernels before 6.7 let us read on: @address. */
uint64_t pagemap_skip_hole(int pagemap_fd, uint64_t address, uint64_t end);
