/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/kernel/attr.h"
#include "policy/macro.h"

/* cachestat(2) is younger than the headers of Debian 12. The number is the same on every
 * architecture. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

struct cachestat_range_arg {
        uint64_t offset;
        uint64_t length;
};

struct cachestat_result {
        uint64_t cached;
        uint64_t dirty;
        uint64_t writeback;
        uint64_t evicted;
        uint64_t recently_evicted;
};

/* How much of a file one mincore(2) looks at: bounds both the mapping and the vector. */
#define MINCORE_WINDOW (UINT64_C(64) * 1024 * 1024)
#define MINCORE_PAGES  (MINCORE_WINDOW / 4096)

/* A device-dax is a character device of the dax subsystem; which major it has is dynamic. */
static int inspect_device(unsigned major, unsigned minor, FileFacts *ret_facts)
{
        _cleanup_(closep) int fd = -1;
        char path[64], target[256];
        FileFacts facts = { .kind = MAPPING_DEVICE_DAX };
        const char *subsystem;
        ssize_t length;
        int r;

        snprintf(path, sizeof(path), "/sys/dev/char/%u:%u", major, minor);
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -ENODEV;

        length = readlinkat(fd, "subsystem", target, sizeof(target) - 1);
        if (length < 0)
                return -ENODEV;
        target[length] = '\0';

        subsystem = strrchr(target, '/');
        if (!subsystem || strcmp(subsystem, "/dax") != 0)
                return -ENODEV;

        r = attr_read_u64(fd, "size", &facts.size);
        if (r < 0)
                return r;

        *ret_facts = facts;
        return 0;
}

static int inspect(int dir_fd, const char *path, int flags, FileFacts *ret_facts)
{
        struct statx stx;

        if (statx(dir_fd, path, AT_EMPTY_PATH | AT_NO_AUTOMOUNT | flags, STATX_TYPE | STATX_SIZE,
                  &stx) < 0)
                return -errno;

        if (S_ISDIR(stx.stx_mode))
                return -EISDIR;
        if (S_ISCHR(stx.stx_mode))
                return inspect_device(stx.stx_rdev_major, stx.stx_rdev_minor, ret_facts);
        if (!S_ISREG(stx.stx_mode))
                return -ENODEV;

        /* Every kernel since 5.8 tells; one that does not leaves us no way to know. */
        if (!(stx.stx_attributes_mask & STATX_ATTR_DAX))
                return -EOPNOTSUPP;

        *ret_facts = (FileFacts){
                .kind = stx.stx_attributes & STATX_ATTR_DAX ? MAPPING_DAX : MAPPING_PAGE_CACHE,
                .size = stx.stx_size,
        };
        return 0;
}

int file_inspect(int fd, FileFacts *ret_facts)
{
        return inspect(fd, "", 0, ret_facts);
}

int file_inspect_at(int dir_fd, const char *path, FileFacts *ret_facts)
{
        /* The file may be another user's, on a filesystem of theirs: do not wait for its server. */
        return inspect(dir_fd, path, AT_STATX_DONT_SYNC, ret_facts);
}

/* mincore(2) calls every page resident, rather than refuse, for a file that the caller neither owns
 * nor may write. */
static int mincore_is_honest(int fd)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_uid == geteuid() || faccessat(fd, "", W_OK, AT_EMPTY_PATH | AT_EACCESS) == 0)
                return 0;

        return -EPERM;
}

/* Counts the cached pages of [offset, offset + length), which is aligned and at most a window. */
static int mincore_window(int fd, uint64_t offset, uint64_t length, uint64_t page_size,
                          uint64_t *ret_pages)
{
        unsigned char resident[MINCORE_PAGES];
        uint64_t pages = 0;
        void *map;
        int r;

        map = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, (off_t)offset);
        if (map == MAP_FAILED)
                return -errno;

        r = mincore(map, length, resident) < 0 ? -errno : 0;
        munmap(map, length);
        if (r < 0)
                return r;

        for (uint64_t i = 0; i < length / page_size; i++)
                pages += resident[i] & 1;

        *ret_pages = pages;
        return 0;
}

static int count_by_mincore(int fd, uint64_t start, uint64_t end, uint64_t *ret_pages)
{
        uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE), pages = 0;
        int r;

        r = mincore_is_honest(fd);
        if (r < 0)
                return r;

        start -= start % page_size;
        end += (page_size - end % page_size) % page_size;
        while (start < end) {
                uint64_t length = end - start < MINCORE_WINDOW ? end - start : MINCORE_WINDOW;
                uint64_t n = 0;

                r = mincore_window(fd, start, length, page_size, &n);
                if (r < 0)
                        return r;
                pages += n;
                start += length;
        }

        *ret_pages = pages;
        return 0;
}

static int count_by_cachestat(int fd, uint64_t offset, uint64_t length, uint64_t *ret_pages)
{
        struct cachestat_range_arg range = { .offset = offset, .length = length };
        struct cachestat_result result = {};

        if (syscall(SYS_cachestat, fd, &range, &result, 0) < 0)
                return -errno;

        *ret_pages = result.cached;
        return 0;
}

int file_page_cache_bytes(int fd, uint64_t offset, uint64_t length, uint64_t *ret_bytes)
{
        uint64_t bytes, pages = 0;
        FileFacts facts = {};
        int r;

        r = file_inspect(fd, &facts);
        if (r < 0)
                return r;

        /* Not left to cachestat(): a DAX file has no pages, but entries of its own in their place. */
        if (facts.kind != MAPPING_PAGE_CACHE || offset >= facts.size || length == 0) {
                *ret_bytes = 0;
                return 0;
        }

        if (length > facts.size - offset)
                length = facts.size - offset;

        r = count_by_cachestat(fd, offset, length, &pages);
        if (r == -ENOSYS || r == -EPERM) /* EPERM: also of a container's seccomp filter */
                r = count_by_mincore(fd, offset, offset + length, &pages);
        if (r < 0)
                return r;

        /* Both count whole pages; the first and the last may be in the range in part. */
        bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
        *ret_bytes = bytes < length ? bytes : length;
        return 0;
}
