/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/kernel/damonlist.h"
#include "policy/nodeset.h"

/* The schemes that move cold and hot anonymous memory of cgroups, in our kdamond of that purpose. DAMON
 * itself knows heat by region only; whether a page was used since the scheme last came by it is told by
 * the filter "young", page by page. */

/* Each has some files in sysfs. */
#define DAMON_SCHEMES_MAX 128u

/* A machine has a handful. */
#define DAMON_REGIONS_MAX 64u

typedef struct DamonRegion DamonRegion;
typedef struct DamonScheme DamonScheme;
typedef struct DamonHeat DamonHeat;
typedef struct DamonStats DamonStats;

/* Physical memory [start, end) of one node. */
struct DamonRegion {
        uint64_t start;
        uint64_t end;
        unsigned node;
};

struct DamonScheme {
        const char *memory_cgroup; /* NULL: the scheme only keeps its place */
        bool hot;                  /* moves what was used; else what was not */
        NodeSet sources;           /* looks at the memory of these nodes */
        unsigned node;             /* where to */
        uint64_t quota;            /* bytes that it looks at each .sample_usec */
};

struct DamonHeat {
        const DamonRegion *regions; /* by address, not overlapping */
        size_t n_regions;
        uint64_t sample_usec;
        uint64_t aggregate_usec;
        /* Schemes are known by their place: one that is removed keeps it, or the statistics and the
         * position of others would become its. */
        const DamonScheme *schemes;
        size_t n_schemes;
};

/* Since the kdamond was turned on. */
struct DamonStats {
        uint64_t tried_bytes;
        uint64_t moved_bytes;
};

/* The memory blocks of the nodes that are online, joined where they touch. *ret_regions is the caller's
 * to free. -E2BIG: more than DAMON_REGIONS_MAX; -ENXIO: none. */
int damon_regions_read(int sys_fd, const NodeSet *nodes, DamonRegion **ret_regions,
                       size_t *ret_n_regions);

/* Sets all of it up, on a claimed list, and turns it on. -EOPNOTSUPP: the kernel's DAMON cannot do it;
 * -EBUSY: a kernel module has DAMON for itself; -EINVAL: of a cgroup that is not there, too; -ENOENT:
 * somebody has taken the list from us. */
int damon_heat_start(const DamonClaim *claim, const DamonHeat *heat);

/* As it is to be from now on, without losing what is known. -ESRCH: it is off, be it that the kernel did
 * not like what it was told. Takes an aggregation and 100 ms. */
int damon_heat_commit(const DamonClaim *claim, const DamonHeat *heat);

/* The same for the quotas of the schemes only. */
int damon_heat_limit(const DamonClaim *claim, const DamonHeat *heat);

/* Of the first @n schemes. -ESRCH: it is off. Takes a sample and 100 ms. */
int damon_heat_stats(const DamonClaim *claim, size_t n, DamonStats *ret_stats);
