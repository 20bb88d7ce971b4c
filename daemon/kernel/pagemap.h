/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "policy/mapping.h"

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
