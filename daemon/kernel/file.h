/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "policy/mapping.h"

typedef struct FileFacts FileFacts;

struct FileFacts {
        MappingKind kind; /* PAGE_CACHE, DAX or DEVICE_DAX */
        uint64_t size;    /* bytes; a device's size is read from /sys */
};

/* What a mapping of this file would be: one statx(2) for a regular file (STATX_ATTR_DAX under its
 * attributes_mask). -EISDIR, -EBADF; -ENODEV: neither a regular file nor a device-dax. */
int file_inspect(int fd, FileFacts *ret_facts);

/* The same for a path below @dir_fd (AT_FDCWD allowed; follows magic links such as map_files). */
int file_inspect_at(int dir_fd, const char *path, FileFacts *ret_facts);

/* Bytes of [offset, offset + length) that sit in the page cache: cachestat(2), and on kernels
 * without it (< 6.5) mincore(2) over a temporary mapping. 0 for DAX. */
int file_page_cache_bytes(int fd, uint64_t offset, uint64_t length, uint64_t *ret_bytes);
