/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/damon.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/damonmark.h"
#include "policy/macro.h"

#define REGIONS        DAMON_CONTEXT "targets/0/regions"
#define REGIONS_LIMITS DAMON_CONTEXT "monitoring_attrs/nr_regions/"
#define SCHEME         DAMON_CONTEXT "schemes/0/"
#define FILTERS        SCHEME "filters/"
#define OPS_FILTERS    SCHEME "ops_filters/"

/* As short as it goes, since the pass starts after the first. Microseconds. */
#define SAMPLE_USEC "1009"
#define AGGR_USEC   "2027"

/* The kernel insists on three regions. */
#define REGIONS_MIN 10u

static int write_u64(int dir_fd, const char *path, uint64_t value)
{
        char text[24];

        snprintf(text, sizeof(text), "%" PRIu64, value);
        return attr_write(dir_fd, path, text);
}

/* Setting the number makes all of them anew. */
static int have_one(int slot_fd, const char *path)
{
        uint64_t n = 0;
        int r = attr_read_u64(slot_fd, path, &n);

        return r >= 0 && n != 1 ? damon_write(slot_fd, path, "1") : r;
}

/* What it does not know is -EINVAL. */
static int write_operations(int slot_fd, bool physical)
{
        int r;

        r = have_one(slot_fd, DAMON_CONTEXT "targets/nr_targets");
        if (r >= 0)
                r = have_one(slot_fd, DAMON_CONTEXT "schemes/nr_schemes");
        /* Not vaddr: it looks at all of the process, whatever the runs. */
        if (r >= 0)
                r = attr_write(slot_fd, DAMON_CONTEXT "operations", physical ? "paddr" : "fvaddr");
        if (r >= 0)
                r = attr_write(slot_fd, SCHEME "action", "migrate_cold");
        return r;
}

int damon_try(const DamonClaim *claim, bool physical)
{
        _cleanup_(closep) int slot_fd = -1;
        int r;

        r = damon_slot_open(claim, &slot_fd);
        if (r >= 0)
                r = write_operations(slot_fd, physical);
        return r == -EINVAL || r == -ENOENT ? -EOPNOTSUPP : r;
}

static int write_runs(int slot_fd, const PageRun *runs, size_t n_runs)
{
        _cleanup_(closep) int regions_fd = -1;
        int r;

        regions_fd = openat(slot_fd, REGIONS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (regions_fd < 0)
                return -errno;

        r = write_u64(regions_fd, "nr_regions", n_runs);
        for (size_t i = 0; r >= 0 && i < n_runs; i++) {
                char path[48];

                snprintf(path, sizeof(path), "%zu/start", i);
                r = write_u64(regions_fd, path, runs[i].start);
                if (r < 0)
                        break;
                snprintf(path, sizeof(path), "%zu/end", i);
                r = write_u64(regions_fd, path, runs[i].end);
        }
        return r;
}

/* matching=N: what does not match is left out. Newer kernels have the filters that only the
 * operations can judge in a place of their own as well. */
static int write_filters(int slot_fd, const char *memory_cgroup)
{
        _cleanup_(closep) int filters_fd = -1;
        int r;

        filters_fd = openat(slot_fd, OPS_FILTERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (filters_fd < 0)
                filters_fd = openat(slot_fd, FILTERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (filters_fd < 0)
                return errno == ENOENT ? -EOPNOTSUPP : -errno;

        r = attr_write(filters_fd, "nr_filters", memory_cgroup ? "2" : "0");
        if (r < 0 || !memory_cgroup)
                return r;

        r = attr_write(filters_fd, "0/type", "anon");
        if (r >= 0)
                r = attr_write(filters_fd, "0/matching", "N");
        if (r >= 0)
                r = attr_write(filters_fd, "1/type", "memcg");
        if (r >= 0)
                r = attr_write(filters_fd, "1/memcg_path", memory_cgroup);
        if (r >= 0)
                r = attr_write(filters_fd, "1/matching", "N");
        return r;
}

static int write_scheme(int slot_fd, const DamonMove *move)
{
        static const char *const any[] = { "sz", "nr_accesses", "age" };
        char path[128];
        int r;

        r = write_u64(slot_fd, SCHEME "target_nid", move->node);
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(any); i++) {
                snprintf(path, sizeof(path), SCHEME "access_pattern/%s/min", any[i]);
                r = attr_write(slot_fd, path, "0");
                if (r < 0)
                        break;
                snprintf(path, sizeof(path), SCHEME "access_pattern/%s/max", any[i]);
                r = write_u64(slot_fd, path, i == 0 ? UINT64_MAX : UINT32_MAX);
        }
        if (r >= 0)
                r = write_u64(slot_fd, SCHEME "quotas/bytes",
                              page_runs_bytes(move->runs, move->n_runs));
        if (r >= 0)
                r = attr_write(slot_fd, SCHEME "quotas/reset_interval_ms", "3600000");
        return r;
}

/* As many regions as there are runs, no more and no fewer: else it would split and join them. */
static int write_monitoring(int slot_fd, size_t n_runs)
{
        size_t n = n_runs > REGIONS_MIN ? n_runs : REGIONS_MIN;
        int r;

        r = attr_write(slot_fd, DAMON_INTERVALS "sample_us", SAMPLE_USEC);
        if (r >= 0)
                r = attr_write(slot_fd, DAMON_INTERVALS "aggr_us", AGGR_USEC);
        if (r >= 0)
                r = write_u64(slot_fd, REGIONS_LIMITS "min", REGIONS_MIN);
        if (r >= 0)
                r = write_u64(slot_fd, REGIONS_LIMITS "max", n);
        if (r >= 0)
                r = write_u64(slot_fd, REGIONS_LIMITS "min", n);
        return r;
}

static int write_pass(int slot_fd, const DamonMove *move)
{
        bool physical = move->pid == 0;
        int r;

        r = write_operations(slot_fd, physical);
        if (r >= 0)
                r = write_u64(slot_fd, DAMON_CONTEXT "targets/0/pid_target", (uint64_t)move->pid);
        if (r >= 0)
                r = write_monitoring(slot_fd, move->n_runs);
        if (r >= 0)
                r = write_runs(slot_fd, move->runs, move->n_runs);
        if (r >= 0)
                r = write_scheme(slot_fd, move);
        if (r >= 0)
                r = write_filters(slot_fd, physical ? move->memory_cgroup : NULL);
        return r;
}

int damon_start(const DamonClaim *claim, const DamonMove *move)
{
        _cleanup_(closep) int slot_fd = -1;
        int r;

        if (move->n_runs == 0 || move->n_runs > DAMON_RUNS_MAX ||
            (move->pid == 0 && !move->memory_cgroup))
                return -EINVAL;

        r = damon_slot_open(claim, &slot_fd);
        if (r >= 0)
                r = write_pass(slot_fd, move);
        return r < 0 ? r : damon_write(slot_fd, "state", "on");
}

int damon_tried(const DamonClaim *claim, uint64_t *ret_bytes)
{
        _cleanup_(closep) int slot_fd = -1;
        int r;

        r = damon_slot_open(claim, &slot_fd);
        if (r >= 0)
                r = damon_write(slot_fd, "state", "update_schemes_stats");
        return r < 0 ? r : attr_read_u64(slot_fd, SCHEME "stats/sz_tried", ret_bytes);
}

int damon_stop(const DamonClaim *claim)
{
        _cleanup_(closep) int slot_fd = -1;
        int r;

        r = damon_slot_open(claim, &slot_fd);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        return damon_turn_off(slot_fd);
}
