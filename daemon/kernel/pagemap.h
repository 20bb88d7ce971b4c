/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "policy/mapping.h"

/* Counts the copies (for an anonymous mapping: the pages) of [start, end) within @mapping, by node.
 * @pid: the process of @process_fd, or 0 for the caller. Never faults a page in. Rests on: pages of
 * a private DAX mapping that are not copies answer -ENOENT to move_pages(nodes=NULL); on page-cache
 * mappings pagemap bit 61 tells file pages from copies. -EPERM/-EACCES: not ours to look at.
 * ~210 ns a page that is present. */
int pagemap_count_copies(int process_fd, pid_t pid, const Mapping *mapping, uint64_t start,
                         uint64_t end, Copies *ret_copies);
