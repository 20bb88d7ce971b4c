/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "policy/nodeset.h"

typedef struct Mapping Mapping;
typedef struct Copies Copies;

typedef enum MappingKind {
        MAPPING_ANON,         /* no file: heap, stack, anonymous mmap, [vdso] */
        MAPPING_PAGE_CACHE,   /* a file whose pages the kernel caches in DRAM */
        MAPPING_DAX,          /* a file on a DAX filesystem: no page cache involved */
        MAPPING_DEVICE_DAX,   /* a whole device-dax, /dev/daxX.Y */
        MAPPING_FILE_UNKNOWN, /* a file, and we may not see which; or a device other than dax */
} MappingKind;

/* A memory policy on a VMA, as numa_maps prints it. */
typedef enum VmaPolicy {
        VMA_POLICY_DEFAULT,
        VMA_POLICY_PREFERRED, /* prefer, prefer (many), prefer=... */
        VMA_POLICY_BIND,
        VMA_POLICY_OTHER, /* interleave, weighted interleave, local */
} VmaPolicy;

/* One VMA: [start, end) bytes of a process. */
struct Mapping {
        uint64_t start;
        uint64_t end;
        uint64_t offset; /* bytes into the file */
        uint32_t dev_major;
        uint32_t dev_minor;
        uint64_t inode; /* 0: no file */
        char *file;   /* path as the kernel prints it, unescaped; NULL: anonymous without a name */
        bool deleted; /* the file's name is gone; .file is without " (deleted)" */
        bool readable, writable, executable;
        bool shared;
        bool sync; /* MAP_SYNC */
        MappingKind kind;
        VmaPolicy policy;
        NodeSet policy_nodes;
};

/* Copy-on-write copies (or, of an anonymous mapping, simply its pages) and where they are. */
struct Copies {
        uint64_t bytes;                /* present or swapped */
        uint64_t swapped_bytes;        /* of these: on no node now: in swap, or just being moved */
        uint64_t by_node[NODESET_MAX]; /* bytes; sums to bytes - swapped_bytes */
};

static inline void mapping_deinit(Mapping *mapping)
{
        free(mapping->file);
        *mapping = (Mapping){};
}
