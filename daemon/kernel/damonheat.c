/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/damonheat.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/damonmark.h"
#include "daemon/kernel/memblock.h"
#include "policy/macro.h"

/* As few regions as there can be. DAMON looks at a page of each at every sample, and makes it old for that:
 * with many regions, and huge pages, it would soon have made all of them old that we want to know of
 * whether they were used. What is moved together is bounded by the quota. The kernel insists on three. */
#define N_REGIONS_MIN ((size_t)3)

/* The filters of a scheme that are not about addresses: cgroup, anonymous, young. */
#define N_PAGE_FILTERS 3u

static int write_u64(int dir_fd, const char *path, uint64_t value)
{
        char text[24];

        snprintf(text, sizeof(text), "%" PRIu64, value);
        return damon_write(dir_fd, path, text);
}

static int open_dir(int dir_fd, const char *path, int *ret_fd)
{
        int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

/* Setting a number drops what is there. */
static int set_number(int dir_fd, const char *path, uint64_t n)
{
        uint64_t now = 0;
        int r = attr_read_u64(dir_fd, path, &now);

        return r < 0 || now == n ? r : write_u64(dir_fd, path, n);
}

int damon_regions_read(int sys_fd, const NodeSet *nodes, DamonRegion **ret_regions,
                       size_t *ret_n_regions)
{
        _cleanup_(freep) DamonRegion *regions = NULL;
        _cleanup_(freep) MemBlock *blocks = NULL;
        size_t n_blocks = 0, n = 0;
        uint64_t size;
        int r;

        r = memblock_size(sys_fd, &size);
        if (r >= 0)
                r = memblocks_read(sys_fd, 0, UINT64_MAX, &blocks, &n_blocks);
        if (r < 0)
                return r;
        regions = calloc(DAMON_REGIONS_MAX, sizeof(*regions));
        if (!regions)
                return -ENOMEM;

        for (size_t i = 0; i < n_blocks; i++) {
                uint64_t start = blocks[i].index * size;

                if (blocks[i].state != MEMBLOCK_ONLINE || blocks[i].node < 0 ||
                    !nodeset_has(nodes, (unsigned)blocks[i].node))
                        continue;
                if (n > 0 && regions[n - 1].end == start &&
                    regions[n - 1].node == (unsigned)blocks[i].node) {
                        regions[n - 1].end += size;
                        continue;
                }
                if (n == DAMON_REGIONS_MAX)
                        return -E2BIG;
                regions[n++] = (DamonRegion){ start, start + size, (unsigned)blocks[i].node };
        }
        if (n == 0)
                return -ENXIO;

        *ret_regions = TAKE_PTR(regions);
        *ret_n_regions = n;
        return 0;
}

static int write_monitoring(int context_fd, const DamonHeat *heat)
{
        uint64_t n = heat->n_regions > N_REGIONS_MIN ? heat->n_regions : N_REGIONS_MIN;
        int r;

        r = attr_write(context_fd, "operations", "paddr");
        if (r >= 0)
                r = write_u64(context_fd, "monitoring_attrs/intervals/sample_us",
                              heat->sample_usec);
        if (r >= 0)
                r = write_u64(context_fd, "monitoring_attrs/intervals/aggr_us",
                              heat->aggregate_usec);
        /* Never less than the least, in between too. */
        if (r >= 0)
                r = write_u64(context_fd, "monitoring_attrs/nr_regions/min", N_REGIONS_MIN);
        if (r >= 0)
                r = write_u64(context_fd, "monitoring_attrs/nr_regions/max", 2 * n);
        if (r >= 0)
                r = write_u64(context_fd, "monitoring_attrs/nr_regions/min", n);
        return r;
}

static int write_regions(int context_fd, const DamonHeat *heat)
{
        _cleanup_(closep) int regions_fd = -1;
        char path[48];
        int r;

        r = set_number(context_fd, "targets/nr_targets", 1);
        if (r >= 0)
                r = open_dir(context_fd, "targets/0/regions", &regions_fd);
        if (r >= 0)
                r = set_number(regions_fd, "nr_regions", heat->n_regions);
        for (size_t i = 0; r >= 0 && i < heat->n_regions; i++) {
                snprintf(path, sizeof(path), "%zu/start", i);
                r = write_u64(regions_fd, path, heat->regions[i].start);
                if (r < 0)
                        break;
                snprintf(path, sizeof(path), "%zu/end", i);
                r = write_u64(regions_fd, path, heat->regions[i].end);
        }
        return r;
}

/* matching=N leaves out what does not match; =Y what does. */
static int write_filter(int filters_fd, unsigned n, const char *type, bool matching)
{
        char path[48];
        int r;

        snprintf(path, sizeof(path), "%u/type", n);
        r = attr_write(filters_fd, path, type);
        snprintf(path, sizeof(path), "%u/matching", n);
        return r < 0 ? r : attr_write(filters_fd, path, matching ? "Y" : "N");
}

/* Filters of one kind all have to be passed, so the memory that is looked at is what is left when all
 * else is left out, run by run. */
static int write_address_filters(int filters_fd, const DamonHeat *heat, const DamonScheme *scheme,
                                 bool write, unsigned *n)
{
        char path[48];
        int r = 0;

        for (size_t i = 0; r >= 0 && i < heat->n_regions; i++) {
                if (nodeset_has(&scheme->sources, heat->regions[i].node))
                        continue;
                if (write) {
                        r = write_filter(filters_fd, *n, "addr", true);
                        snprintf(path, sizeof(path), "%u/addr_start", *n);
                        if (r >= 0)
                                r = write_u64(filters_fd, path, heat->regions[i].start);
                        snprintf(path, sizeof(path), "%u/addr_end", *n);
                        if (r >= 0)
                                r = write_u64(filters_fd, path, heat->regions[i].end);
                }
                (*n)++;
        }
        return r;
}

/* "young" comes last: it also makes the page old, which is nobody's business but the cgroup's. */
static int write_page_filters(int filters_fd, const DamonScheme *scheme, unsigned n)
{
        char path[48];
        int r;

        r = write_filter(filters_fd, n, "memcg", false);
        snprintf(path, sizeof(path), "%u/memcg_path", n);
        if (r >= 0)
                r = attr_write(filters_fd, path, scheme->memory_cgroup);
        if (r >= 0)
                r = write_filter(filters_fd, n + 1, "anon", false);
        if (r >= 0)
                r = write_filter(filters_fd, n + 2, "young", !scheme->hot);
        return r == -EINVAL ? -EOPNOTSUPP : r;
}

/* Newer kernels have the filters of the core and those of the operations in places of their own. */
static int write_filters(int scheme_fd, const DamonHeat *heat, const DamonScheme *scheme)
{
        _cleanup_(closep) int core_fd = -1, ops_fd = -1;
        unsigned n = 0, first;
        bool apart;
        int r;

        apart = open_dir(scheme_fd, "core_filters", &core_fd) >= 0 &&
                open_dir(scheme_fd, "ops_filters", &ops_fd) >= 0;
        if (!apart) {
                closep(&core_fd);
                core_fd = -1;
                r = open_dir(scheme_fd, "filters", &core_fd);
                if (r < 0)
                        return r == -ENOENT ? -EOPNOTSUPP : r;
        }

        if (scheme->memory_cgroup)
                (void)write_address_filters(-1, heat, scheme, false, &n);
        first = apart ? 0 : n;
        r = set_number(core_fd, "nr_filters",
                       apart || !scheme->memory_cgroup ? n : n + N_PAGE_FILTERS);
        if (r >= 0 && apart)
                r = set_number(ops_fd, "nr_filters", scheme->memory_cgroup ? N_PAGE_FILTERS : 0);
        if (r < 0 || !scheme->memory_cgroup)
                return r;

        n = 0;
        r = write_address_filters(core_fd, heat, scheme, true, &n);
        return r < 0 ? r : write_page_filters(apart ? ops_fd : core_fd, scheme, first);
}

static int write_range(int scheme_fd, const char *what, uint64_t min, uint64_t max)
{
        char path[64];
        int r;

        snprintf(path, sizeof(path), "access_pattern/%s/min", what);
        r = write_u64(scheme_fd, path, min);
        snprintf(path, sizeof(path), "access_pattern/%s/max", what);
        return r < 0 ? r : write_u64(scheme_fd, path, max);
}

/* One that only keeps its place is for regions of one byte, which there are not. */
static int write_pattern(int scheme_fd, const DamonScheme *scheme)
{
        int r;

        r = scheme->memory_cgroup ? write_range(scheme_fd, "sz", 0, UINT64_MAX)
                                  : write_range(scheme_fd, "sz", 1, 1);
        if (r >= 0)
                r = write_range(scheme_fd, "nr_accesses", 0, UINT32_MAX);
        if (r >= 0)
                r = write_range(scheme_fd, "age", 0, UINT32_MAX);
        return r;
}

/* A window of the quota is over when the next sample comes, or the quota would last for two. */
static int write_quota(int scheme_fd, const DamonHeat *heat, const DamonScheme *scheme)
{
        int r = write_u64(scheme_fd, "quotas/bytes", scheme->quota);

        return r < 0 ? r
                     : write_u64(scheme_fd, "quotas/reset_interval_ms",
                                 heat->sample_usec * 9 / 10000);
}

static int scheme_open(int context_fd, size_t index, int *ret_fd)
{
        char path[32];

        snprintf(path, sizeof(path), "schemes/%zu", index);
        return open_dir(context_fd, path, ret_fd);
}

static int write_scheme(int context_fd, const DamonHeat *heat, size_t index)
{
        const DamonScheme *scheme = &heat->schemes[index];
        _cleanup_(closep) int scheme_fd = -1;
        int r;

        r = scheme_open(context_fd, index, &scheme_fd);
        if (r < 0)
                return r;

        r = attr_write(scheme_fd, "action", scheme->hot ? "migrate_hot" : "migrate_cold");
        if (r >= 0)
                r = write_u64(scheme_fd, "target_nid", scheme->node);
        if (r == -EINVAL || r == -ENOENT)
                return -EOPNOTSUPP;
        if (r >= 0)
                r = write_u64(scheme_fd, "apply_interval_us", heat->sample_usec);
        if (r >= 0)
                r = write_pattern(scheme_fd, scheme);
        if (r >= 0)
                r = write_quota(scheme_fd, heat, scheme);
        return r < 0 ? r : write_filters(scheme_fd, heat, scheme);
}

static int write_heat(int context_fd, const DamonHeat *heat)
{
        int r;

        r = write_monitoring(context_fd, heat);
        if (r >= 0)
                r = write_regions(context_fd, heat);
        if (r >= 0)
                r = set_number(context_fd, "schemes/nr_schemes", heat->n_schemes);
        for (size_t i = 0; r >= 0 && i < heat->n_schemes; i++)
                r = write_scheme(context_fd, heat, i);
        return r;
}

static int slot_open(const DamonClaim *claim, int *ret_slot_fd, int *ret_context_fd)
{
        _cleanup_(closep) int slot_fd = -1;
        int r;

        r = damon_slot_open(claim, &slot_fd);
        if (r >= 0)
                r = open_dir(slot_fd, DAMON_CONTEXT, ret_context_fd);
        if (r >= 0)
                *ret_slot_fd = TAKE_FD(slot_fd);
        return r;
}

int damon_heat_start(const DamonClaim *claim, const DamonHeat *heat)
{
        _cleanup_(closep) int slot_fd = -1, context_fd = -1;
        int r;

        if (heat->n_schemes > DAMON_SCHEMES_MAX || heat->n_regions > DAMON_REGIONS_MAX)
                return -EINVAL;

        r = slot_open(claim, &slot_fd, &context_fd);
        if (r >= 0)
                r = damon_turn_off(slot_fd);
        if (r >= 0)
                r = write_heat(context_fd, heat);
        return r < 0 ? r : damon_write(slot_fd, "state", "on");
}

static int tell(int slot_fd, const char *command)
{
        int r;

        if (damon_is_off(slot_fd))
                return -ESRCH;
        r = damon_write(slot_fd, "state", command);
        return damon_is_off(slot_fd) ? -ESRCH : r;
}

int damon_heat_commit(const DamonClaim *claim, const DamonHeat *heat)
{
        _cleanup_(closep) int slot_fd = -1, context_fd = -1;
        int r;

        if (heat->n_schemes > DAMON_SCHEMES_MAX || heat->n_regions > DAMON_REGIONS_MAX)
                return -EINVAL;

        r = slot_open(claim, &slot_fd, &context_fd);
        if (r >= 0)
                r = write_heat(context_fd, heat);
        return r < 0 ? r : tell(slot_fd, "commit");
}

int damon_heat_limit(const DamonClaim *claim, const DamonHeat *heat)
{
        _cleanup_(closep) int slot_fd = -1, context_fd = -1;
        int r;

        r = slot_open(claim, &slot_fd, &context_fd);
        for (size_t i = 0; r >= 0 && i < heat->n_schemes; i++) {
                _cleanup_(closep) int scheme_fd = -1;

                r = scheme_open(context_fd, i, &scheme_fd);
                if (r >= 0)
                        r = write_quota(scheme_fd, heat, &heat->schemes[i]);
        }
        return r < 0 ? r : tell(slot_fd, "commit");
}

int damon_heat_stats(const DamonClaim *claim, size_t n, DamonStats *ret_stats)
{
        _cleanup_(closep) int slot_fd = -1, context_fd = -1;
        int r;

        r = slot_open(claim, &slot_fd, &context_fd);
        if (r >= 0)
                r = tell(slot_fd, "update_schemes_stats");
        for (size_t i = 0; r >= 0 && i < n; i++) {
                _cleanup_(closep) int scheme_fd = -1;

                r = scheme_open(context_fd, i, &scheme_fd);
                if (r >= 0)
                        r = attr_read_u64(scheme_fd, "stats/sz_tried", &ret_stats[i].tried_bytes);
                if (r >= 0)
                        r = attr_read_u64(scheme_fd, "stats/sz_applied", &ret_stats[i].moved_bytes);
        }
        return r;
}
