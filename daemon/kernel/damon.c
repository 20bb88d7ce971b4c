/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/damon.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/kernel/attr.h"
#include "policy/macro.h"

#define KDAMONDS    "kernel/mm/damon/admin/kdamonds"
#define N_KDAMONDS  KDAMONDS "/nr_kdamonds"
#define KDAMOND     KDAMONDS "/0"
#define N_CONTEXTS  KDAMOND "/contexts/nr_contexts"
#define CONTEXT     KDAMOND "/contexts/0/"
#define INTERVALS   CONTEXT "monitoring_attrs/intervals/"
#define REGIONS     CONTEXT "targets/0/regions"
#define SCHEME      CONTEXT "schemes/0/"
#define FILTERS     SCHEME "filters/"
#define OPS_FILTERS SCHEME "ops_filters/"

/* Our mark: nobody else would choose these, and nothing depends on them much. As short as it goes,
 * since the pass starts after the first. Microseconds. */
#define MARK_SAMPLE UINT64_C(1009)
#define MARK_AGGR   UINT64_C(2027)
#define MARK_UPDATE UINT64_C(60000011)

/* The kernel insists on three regions. */
#define REGIONS_MIN 10u

static int write_u64(int dir_fd, const char *path, uint64_t value)
{
        char text[24];

        snprintf(text, sizeof(text), "%" PRIu64, value);
        return attr_write(dir_fd, path, text);
}

static int count_kdamonds(int sys_fd, uint64_t *ret_n)
{
        int r = attr_read_u64(sys_fd, N_KDAMONDS, ret_n);

        return r == -ENOENT ? -EOPNOTSUPP : r;
}

static bool is_off(int sys_fd)
{
        char state[16];

        return attr_read(sys_fd, KDAMOND "/state", state, sizeof(state)) >= 0 &&
               strcmp(state, "off") == 0;
}

static int write_mark(int sys_fd)
{
        int r;

        r = attr_write(sys_fd, N_CONTEXTS, "1");
        if (r >= 0)
                r = write_u64(sys_fd, INTERVALS "sample_us", MARK_SAMPLE);
        if (r >= 0)
                r = write_u64(sys_fd, INTERVALS "aggr_us", MARK_AGGR);
        if (r >= 0)
                r = write_u64(sys_fd, INTERVALS "update_us", MARK_UPDATE);
        if (r >= 0)
                r = attr_write(sys_fd, CONTEXT "targets/nr_targets", "1");
        if (r >= 0)
                r = attr_write(sys_fd, CONTEXT "schemes/nr_schemes", "1");
        return r;
}

int damon_claim(int sys_fd)
{
        uint64_t n = 0;
        int r;

        r = count_kdamonds(sys_fd, &n);
        if (r < 0)
                return r;
        if (n > 0)
                return -EBUSY;

        r = attr_write(sys_fd, N_KDAMONDS, "1");
        if (r < 0)
                return r;
        r = write_mark(sys_fd);
        if (r < 0)
                (void)attr_write(sys_fd, N_KDAMONDS, "0");
        return r;
}

int damon_stop(int sys_fd)
{
        int r;

        if (is_off(sys_fd))
                return 0;
        r = attr_write(sys_fd, KDAMOND "/state", "off");
        /* It ends by itself, too, when the process is gone. */
        return r < 0 && !is_off(sys_fd) ? r : 0;
}

int damon_release(int sys_fd)
{
        int r = damon_stop(sys_fd);

        return r < 0 ? r : attr_write(sys_fd, N_KDAMONDS, "0");
}

bool damon_is_ours(int sys_fd)
{
        uint64_t n = 0, sample = 0, aggr = 0, update = 0;

        return count_kdamonds(sys_fd, &n) >= 0 && n == 1 &&
               attr_read_u64(sys_fd, INTERVALS "sample_us", &sample) >= 0 &&
               attr_read_u64(sys_fd, INTERVALS "aggr_us", &aggr) >= 0 &&
               attr_read_u64(sys_fd, INTERVALS "update_us", &update) >= 0 &&
               sample == MARK_SAMPLE && aggr == MARK_AGGR && update == MARK_UPDATE;
}

bool damon_is_blank(int sys_fd)
{
        uint64_t n = 0, n_contexts = 0;

        return count_kdamonds(sys_fd, &n) >= 0 && n == 1 && is_off(sys_fd) &&
               attr_read_u64(sys_fd, N_CONTEXTS, &n_contexts) >= 0 && n_contexts == 0;
}

/* What it does not know is -EINVAL. */
static int write_operations(int sys_fd, bool physical)
{
        int r;

        /* Not vaddr: it looks at all of the process, whatever the runs. */
        r = attr_write(sys_fd, CONTEXT "operations", physical ? "paddr" : "fvaddr");
        if (r >= 0)
                r = attr_write(sys_fd, SCHEME "action", "migrate_cold");
        return r;
}

int damon_try(int sys_fd, bool physical)
{
        int r = write_operations(sys_fd, physical);

        return r == -EINVAL || r == -ENOENT ? -EOPNOTSUPP : r;
}

static int write_runs(int sys_fd, const PageRun *runs, size_t n_runs)
{
        _cleanup_(closep) int regions_fd = -1;
        int r;

        regions_fd = openat(sys_fd, REGIONS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
static int write_filters(int sys_fd, const char *memory_cgroup)
{
        _cleanup_(closep) int filters_fd = -1;
        int r;

        filters_fd = openat(sys_fd, OPS_FILTERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (filters_fd < 0)
                filters_fd = openat(sys_fd, FILTERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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

static int write_scheme(int sys_fd, const DamonMove *move)
{
        static const char *const any[] = { "sz", "nr_accesses", "age" };
        char path[128];
        int r;

        r = write_u64(sys_fd, SCHEME "target_nid", move->node);
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(any); i++) {
                snprintf(path, sizeof(path), SCHEME "access_pattern/%s/min", any[i]);
                r = attr_write(sys_fd, path, "0");
                if (r < 0)
                        break;
                snprintf(path, sizeof(path), SCHEME "access_pattern/%s/max", any[i]);
                r = write_u64(sys_fd, path, i == 0 ? UINT64_MAX : UINT32_MAX);
        }
        if (r >= 0)
                r = write_u64(sys_fd, SCHEME "quotas/bytes",
                              page_runs_bytes(move->runs, move->n_runs));
        if (r >= 0)
                r = attr_write(sys_fd, SCHEME "quotas/reset_interval_ms", "3600000");
        return r;
}

/* As many regions as there are runs, no more and no fewer: else it would split and join them. */
static int write_bounds(int sys_fd, size_t n_runs)
{
        size_t n = n_runs > REGIONS_MIN ? n_runs : REGIONS_MIN;
        int r;

        r = write_u64(sys_fd, CONTEXT "monitoring_attrs/nr_regions/min", REGIONS_MIN);
        if (r >= 0)
                r = write_u64(sys_fd, CONTEXT "monitoring_attrs/nr_regions/max", n);
        if (r >= 0)
                r = write_u64(sys_fd, CONTEXT "monitoring_attrs/nr_regions/min", n);
        return r;
}

int damon_start(int sys_fd, const DamonMove *move)
{
        bool physical = move->pid == 0;
        int r;

        if (move->n_runs == 0 || move->n_runs > DAMON_RUNS_MAX ||
            (physical && !move->memory_cgroup))
                return -EINVAL;

        r = write_operations(sys_fd, physical);
        if (r >= 0)
                r = write_u64(sys_fd, CONTEXT "targets/0/pid_target", (uint64_t)move->pid);
        if (r >= 0)
                r = write_bounds(sys_fd, move->n_runs);
        if (r >= 0)
                r = write_runs(sys_fd, move->runs, move->n_runs);
        if (r >= 0)
                r = write_scheme(sys_fd, move);
        if (r >= 0)
                r = write_filters(sys_fd, physical ? move->memory_cgroup : NULL);
        if (r >= 0)
                r = attr_write(sys_fd, KDAMOND "/state", "on");
        return r;
}

int damon_tried(int sys_fd, uint64_t *ret_bytes)
{
        int r;

        r = attr_write(sys_fd, KDAMOND "/state", "update_schemes_stats");
        return r < 0 ? r : attr_read_u64(sys_fd, SCHEME "stats/sz_tried", ret_bytes);
}

/* Those of the kernel's own modules that use DAMON allow nobody beside them. */
static bool module_has_it(int sys_fd, char *text, size_t size)
{
        static const char *const modules[] = { "damon_stat", "damon_reclaim", "damon_lru_sort" };

        for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
                char path[64], enabled[8];

                snprintf(path, sizeof(path), "module/%s/parameters/enabled", modules[i]);
                if (attr_read(sys_fd, path, enabled, sizeof(enabled)) < 0 || enabled[0] != 'Y')
                        continue;
                snprintf(text, size, "the kernel's %s has DAMON for itself: echo N > /sys/%s",
                         modules[i], path);
                return true;
        }
        return false;
}

bool damon_is_taken(int sys_fd, char *text, size_t size)
{
        char pid[16] = "";
        uint64_t n = 0;

        if (module_has_it(sys_fd, text, size))
                return true;
        if (count_kdamonds(sys_fd, &n) < 0 || n == 0 || damon_is_ours(sys_fd))
                return false;

        if (!is_off(sys_fd) && attr_read(sys_fd, KDAMOND "/pid", pid, sizeof(pid)) >= 0)
                snprintf(text, size, "somebody else uses DAMON (kernel thread %s): end that first",
                         pid);
        else
                snprintf(text, size,
                         "somebody else has set up DAMON: if it is not needed, "
                         "echo 0 > /sys/" N_KDAMONDS);
        return true;
}
