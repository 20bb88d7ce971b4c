/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DAXTIER_H
#define DAXTIER_H

/*
 * libdaxtier: private mappings whose copy-on-write copies live on persistent or CXL memory, and
 * questions to the kernel about a mapping.
 *
 * Every function returns 0 or a negative errno; daxtier_strerror() has a sentence for each that
 * this library returns. Outputs are last, start with ret_ and are untouched on failure. Handles may
 * be used from several threads at once. Nothing here needs the daemon: where it runs, its tiers are
 * used, else they are found in /sys.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Opaque: the tiers of this machine and the mappings made through this handle. */
typedef struct daxtier daxtier;

/* Flags of daxtier_map_options.flags and daxtier_place(). */
#define DAXTIER_DIRECT 1u /* refuse any mapping that involves the page cache: -EMEDIUMTYPE */
#define DAXTIER_STRICT                                                                             \
        2u /* bind to the tier: no fallback to DRAM; -ENOSPC if it lacks the room now */

/* Options of daxtier_map(). Zero it, set size to sizeof(struct daxtier_map_options), then the rest;
 * later versions add members at the end, for which zero means as before. */
struct daxtier_map_options {
        size_t size;
        const char *tier; /* "cheap", "fast", "default", "node:2", "node:2-3"; NULL: "cheap" */
        uint32_t flags;   /* DAXTIER_DIRECT | DAXTIER_STRICT */
        int prot;         /* PROT_*; 0 means PROT_READ | PROT_WRITE */
};

/* Kinds of mapping, daxtier_info.kind. Unknown: a file that the kernel does not let the caller see. */
#define DAXTIER_KIND_UNKNOWN    (-1)
#define DAXTIER_KIND_ANON       0
#define DAXTIER_KIND_PAGE_CACHE 1
#define DAXTIER_KIND_DAX        2
#define DAXTIER_KIND_DEVICE_DAX 3

/* Where the performance numbers come from, daxtier_info.perf_source. */
#define DAXTIER_PERF_UNKNOWN 0
#define DAXTIER_PERF_HMAT    1

/* What daxtier_query() says of one mapping (VMA). A number that is not known is -1, a text NULL.
 * For an anonymous mapping the cow_ counts are its own pages. Free with daxtier_free(). */
struct daxtier_info {
        size_t size;          /* bytes of this struct in the library that filled it */
        uint64_t start;       /* address of the first byte of the mapping */
        uint64_t end;         /* address behind its last byte */
        const char *file;     /* path, or NULL */
        int32_t kind;         /* DAXTIER_KIND_* */
        int32_t shared;       /* 1: MAP_SHARED, 0: MAP_PRIVATE */
        int32_t sync;         /* 1: MAP_SYNC */
        int32_t backing_node; /* NUMA node of the file's own memory; -1: unknown or not in memory */
        const char *policy_nodes; /* nodes that its memory policy names, "2-3"; NULL: default */
        int64_t page_cache_bytes; /* bytes of the mapped range in the page cache; 0 for DAX */
        int64_t cow_bytes;        /* bytes copied by writes */
        int64_t cow_cheap_bytes;  /* of these on the cheap tier */
        int64_t cow_fast_bytes;   /* of these on the fast tier */
        int64_t read_latency_ns; /* of the memory that reads reach: the backing node's, else the copies' */
        int64_t write_latency_ns;
        int64_t read_bandwidth_mib; /* MiB/s */
        int64_t write_bandwidth_mib;
        int32_t perf_source; /* DAXTIER_PERF_* */
};

/* Finds the tiers: those that the daemon publishes, else those that /sys shows. A machine without a
 * cheap node is no error here: a tier that has no node is looked for again when it is asked for. The
 * handle keeps no file descriptors. *ret_daxtier is freed by daxtier_close(). -ENOMEM; -ENOSYS: /sys
 * shows no NUMA nodes. */
int daxtier_open(daxtier **ret_daxtier);

/* Frees the handle; NULL is allowed. Mappings made through it stay. */
void daxtier_close(daxtier *handle);

/*
 * Maps length bytes of fd at offset privately, so that the copies its writes make land on a tier.
 * options may be NULL. One statx, one mmap, one mbind; with DAXTIER_STRICT also a look at /sys. No
 * swap or DRAM is reserved (MAP_NORESERVE): the file may be larger than all memory. length may reach
 * behind the end of the file, where nothing can be touched. The mapping lives until daxtier_unmap() or
 * munmap(); fd may be closed. Nothing is mapped on failure:
 *   -EBADF        fd is not open            -EACCES       fd does not allow reading
 *   -EISDIR       fd is a directory         -ENODEV       fd is no regular file and no device-dax
 *   -ENODATA      length is 0               -EINVAL       offset is no multiple of the page size,
 *   -EDOM         tier is no tier's name                  unknown flag or prot, size of options wrong
 *   -ENXIO        the tier has no node here -EMEDIUMTYPE  DAXTIER_DIRECT and the page cache is involved
 *   -EOVERFLOW    offset + length overflows or begins behind the end of the file
 *   -ENOSPC       DAXTIER_STRICT and the tier's nodes have less free than could be copied
 *   -EOPNOTSUPP   device-dax: not supported by this version
 *   -EPERM        the tier's nodes are there and the kernel denies them to this process (cpuset,
 *                 seccomp), or PROT_EXEC on a filesystem mounted noexec
 *   -E2BIG        options has a member set that this version does not know
 *   -ENOMEM       no address space or memory
 */
int daxtier_map(daxtier *handle, int fd, uint64_t offset, size_t length,
                const struct daxtier_map_options *options, void **ret_address);

/* Unmaps a range, or a part of one, that daxtier_map() of this handle returned; the last page counts
 * as a whole. -ENOENT: it did not; nothing is unmapped then. -EINVAL: address is not page-aligned.
 * -ENODATA: length 0. A range that munmap() took instead must not come here: its addresses may be
 * another mapping's by now. */
int daxtier_unmap(daxtier *handle, void *address, size_t length);

/* Asks for the pages and copies that the caller's own range gets from now on to be taken from tier.
 * "default" puts the kernel's default back. What is there already stays where it is. flags:
 * DAXTIER_STRICT. The last page counts as a whole. -EFAULT: the range is partly not mapped, and
 * nothing is changed; -ENODATA, -EINVAL (address, flags), -EDOM, -ENXIO, -ENOSPC, -EPERM as above. */
int daxtier_place(daxtier *handle, void *address, size_t length, const char *tier, uint32_t flags);

/* Describes the mapping that holds address, of process pid (0: the caller). *ret_info is freed by
 * daxtier_free(). -ESRCH: no such process; -EFAULT: nothing is mapped there; -EACCES: another user's
 * process. */
int daxtier_query(daxtier *handle, pid_t pid, const void *address, struct daxtier_info **ret_info);

/* Frees what daxtier_query() returned; NULL is allowed. */
void daxtier_free(struct daxtier_info *info);

/* A sentence for an error of this library (either sign), in English, that says what to do. Static. */
const char *daxtier_strerror(int error);

/* "0.1.0". Static. */
const char *daxtier_version(void);

#ifdef __cplusplus
}
#endif

#endif
