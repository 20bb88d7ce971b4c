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

/* The same for a path below @dir_fd (AT_FDCWD allowed; "" is @dir_fd itself; follows magic links
 * such as map_files). Never waits for the server of a network or FUSE file: the size is then what
 * was last known. */
int file_inspect_at(int dir_fd, const char *path, FileFacts *ret_facts);

/* Bytes of [offset, offset + length), as far as they are in the file, that sit in the page cache:
 * cachestat(2), and on kernels without it (< 6.5) mincore(2) over a temporary mapping, for which
 * @fd must be readable. 0 for DAX. -EPERM: the kernel tells only who owns the file or may write
 * it. */
int file_page_cache_bytes(int fd, uint64_t offset, uint64_t length, uint64_t *ret_bytes);
