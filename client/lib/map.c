/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "client/daxtier.h"
#include "client/lib/handle.h"
#include "daemon/kernel/file.h"
#include "policy/macro.h"

/* Size of struct daxtier_map_options in its first release: no program has a smaller one. */
#define OPTIONS_SIZE_FIRST 24u

/* As the kernel's own extensible structs: more than a page is a mistake. */
#define OPTIONS_SIZE_MAX 4096u

#define TIER_TEXT_DEFAULT "cheap"

typedef struct Request Request;

/* The options, checked. */
struct Request {
        Tier tier;
        uint32_t flags;
        int prot;
};

static size_t page_size(void)
{
        return (size_t)sysconf(_SC_PAGESIZE);
}

/* Copies the options of a program of any age: one newer than this library may have members behind
 * those that we know, as long as it does not use them. */
static int options_read(const struct daxtier_map_options *options,
                        struct daxtier_map_options *ret_options)
{
        struct daxtier_map_options known = {};
        const unsigned char *bytes = (const unsigned char *)options;

        if (options) {
                if (options->size < OPTIONS_SIZE_FIRST || options->size > OPTIONS_SIZE_MAX)
                        return -EINVAL;
                for (size_t i = sizeof(known); i < options->size; i++)
                        if (bytes[i] != 0)
                                return -E2BIG;
                memcpy(&known, options,
                       options->size < sizeof(known) ? options->size : sizeof(known));
        }

        *ret_options = known;
        return 0;
}

static int request_read(const struct daxtier_map_options *options, Request *ret_request)
{
        struct daxtier_map_options known;
        Request request = {};
        int r;

        r = options_read(options, &known);
        if (r < 0)
                return r;

        if ((known.flags & ~(DAXTIER_DIRECT | DAXTIER_STRICT)) != 0 ||
            (known.prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC)) != 0)
                return -EINVAL;

        if (tier_parse(known.tier ? known.tier : TIER_TEXT_DEFAULT, &request.tier) < 0)
                return -EDOM;

        request.flags = known.flags;
        request.prot = known.prot ? known.prot : PROT_READ | PROT_WRITE;
        *ret_request = request;
        return 0;
}

/* May a mapping of @length bytes at @offset be made of this file? */
static int file_check(int fd, uint64_t offset, uint64_t length, uint32_t flags,
                      uint64_t *ret_file_bytes)
{
        FileFacts facts;
        int r;

        r = file_inspect(fd, &facts);
        if (r < 0)
                return r;

        /* The kernel knows no private mapping of device-dax: mmap(MAP_PRIVATE) is EINVAL. */
        if (facts.kind == MAPPING_DEVICE_DAX)
                return -EOPNOTSUPP;
        if (facts.kind != MAPPING_DAX && (flags & DAXTIER_DIRECT))
                return -EMEDIUMTYPE;
        if (offset >= facts.size)
                return -EOVERFLOW;

        /* Pages behind the end of the file cannot be touched, hence not be copied. */
        *ret_file_bytes = facts.size - offset < length ? facts.size - offset : length;
        return 0;
}

/* The end of a range whose last page counts as a whole, as munmap() and mbind() see it. */
static int range_end(const void *address, size_t length, uintptr_t *ret_end)
{
        size_t mask = page_size() - 1;
        uintptr_t start = (uintptr_t)address;

        if (length == 0)
                return -ENODATA;
        if ((start & mask) != 0 || length > UINTPTR_MAX - mask - start)
                return -EINVAL;

        *ret_end = start + ((length + mask) & ~mask);
        return 0;
}

/* Gives the new mapping its policy and remembers it. */
static int mapping_adopt(daxtier *handle, void *address, size_t length, const Request *request,
                         const NodeSet *nodes)
{
        uintptr_t end;
        int r;

        r = range_end(address, length, &end);
        if (r < 0)
                return r;

        if (request->tier.kind != TIER_DEFAULT) {
                r = handle_apply(handle, address, length, &request->tier, nodes,
                                 request->flags & DAXTIER_STRICT);
                if (r < 0)
                        return r;
        }

        pthread_mutex_lock(&handle->lock);
        r = ranges_add(&handle->ranges, (uintptr_t)address, end);
        pthread_mutex_unlock(&handle->lock);

        return r;
}

/* Undoes mmap(). On hugetlbfs that rounded the length up to the huge page and munmap() does not. */
static void mapping_drop(int fd, void *address, size_t length)
{
        struct stat st;

        if (munmap(address, length) == 0 || fstat(fd, &st) < 0)
                return;

        munmap(address, (length + (size_t)st.st_blksize - 1) & ~((size_t)st.st_blksize - 1));
}

int daxtier_map(daxtier *handle, int fd, uint64_t offset, size_t length,
                const struct daxtier_map_options *options, void **ret_address)
{
        uint64_t file_bytes;
        NodeSet nodes;
        Request request;
        void *address;
        int r;

        if (!handle || !ret_address)
                return -EINVAL;
        if (length == 0)
                return -ENODATA;
        if ((offset & (page_size() - 1)) != 0)
                return -EINVAL;
        /* mmap() takes offset and length as signed. */
        if (offset > INT64_MAX || length > INT64_MAX - offset)
                return -EOVERFLOW;

        r = request_read(options, &request);
        if (r < 0)
                return r;
        r = file_check(fd, offset, length, request.flags, &file_bytes);
        if (r < 0)
                return r;
        r = handle_resolve(handle, &request.tier, &nodes);
        if (r < 0)
                return r;
        if ((request.flags & DAXTIER_STRICT) && request.tier.kind != TIER_DEFAULT) {
                r = handle_check_room(handle, &nodes, file_bytes);
                if (r < 0)
                        return r;
        }

        /* Data larger than DRAM is what this is for: without NORESERVE the kernel would refuse a
         * private writable mapping of more than all memory, however little of it gets copied. */
        address = mmap(NULL, length, request.prot, MAP_PRIVATE | MAP_NORESERVE, fd, (off_t)offset);
        if (address == MAP_FAILED)
                return -errno;

        r = mapping_adopt(handle, address, length, &request, &nodes);
        if (r < 0) {
                mapping_drop(fd, address, length);
                return r;
        }

        *ret_address = address;
        return 0;
}

/* Under the lock: between munmap() and ranges_remove() the kernel may give the addresses to
 * another thread's daxtier_map(), which then waits to add them. */
static int handle_unmap_locked(daxtier *handle, void *address, uintptr_t end)
{
        uintptr_t start = (uintptr_t)address;
        int r;

        if (!ranges_hold(&handle->ranges, start, end))
                return -ENOENT;

        r = ranges_reserve(&handle->ranges);
        if (r < 0)
                return r;

        if (munmap(address, end - start) < 0)
                return -errno;

        ranges_remove(&handle->ranges, start, end);
        return 0;
}

int daxtier_unmap(daxtier *handle, void *address, size_t length)
{
        uintptr_t end;
        int r;

        if (!handle)
                return -EINVAL;

        r = range_end(address, length, &end);
        if (r < 0)
                return r;

        pthread_mutex_lock(&handle->lock);
        r = handle_unmap_locked(handle, address, end);
        pthread_mutex_unlock(&handle->lock);

        return r;
}

int daxtier_place(daxtier *handle, void *address, size_t length, const char *tier, uint32_t flags)
{
        uintptr_t end;
        NodeSet nodes;
        Tier parsed;
        int r;

        if (!handle || !tier || (flags & ~DAXTIER_STRICT) != 0)
                return -EINVAL;

        r = range_end(address, length, &end);
        if (r < 0)
                return r;
        length = end - (uintptr_t)address;
        if (tier_parse(tier, &parsed) < 0)
                return -EDOM;
        r = handle_resolve(handle, &parsed, &nodes);
        if (r < 0)
                return r;
        if ((flags & DAXTIER_STRICT) && parsed.kind != TIER_DEFAULT) {
                r = handle_check_room(handle, &nodes, length);
                if (r < 0)
                        return r;
        }

        /* mbind(MPOL_DEFAULT) passes over holes; msync(MS_ASYNC) does nothing but find them. */
        if (parsed.kind == TIER_DEFAULT && msync(address, length, MS_ASYNC) < 0)
                return errno == ENOMEM ? -EFAULT : -errno;

        return handle_apply(handle, address, length, &parsed, &nodes, flags & DAXTIER_STRICT);
}
