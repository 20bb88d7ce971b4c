/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/kernel/copypage.h"

/* The cgroup that a page is charged to is the one in which it was made. A process that changes its
 * cgroup leaves what it has behind, and what it shares with a parent is the parent's. */

/* Sets .cgroup of the pages to the inode of that cgroup's directory; 0: none. Of a cgroup that was
 * removed it is the next one above. Needs root. -EOPNOTSUPP: the kernel has no memory controller. */
int page_cgroup_read(int proc_fd, CopyPage *pages, size_t n);

/* The path of a cgroup, "/a/b". -ENOENT: there is none (any more). */
int page_cgroup_path(int cgroup_fd, uint64_t inode, char **ret_path);
