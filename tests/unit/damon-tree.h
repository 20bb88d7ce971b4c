/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/kernel/attr.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

/* DAMON's sysfs, with all that the kernel would make of our writes: files do not appear by
 * themselves here, and nothing moves. CONTEXT and SCHEME are of a relocation's kdamond. */

#define KDAMONDS "kernel/mm/damon/admin/kdamonds/"
#define CONTEXT  KDAMONDS "1/contexts/0/"
#define SCHEME   CONTEXT "schemes/0/"

static const char *const damon_files[] = {
        KDAMONDS "nr_kdamonds",
        KDAMONDS "0/state",
        KDAMONDS "0/pid",
        KDAMONDS "0/contexts/nr_contexts",
        KDAMONDS "0/contexts/0/monitoring_attrs/intervals/update_us",
        KDAMONDS "1/state",
        KDAMONDS "1/pid",
        KDAMONDS "1/contexts/nr_contexts",
        CONTEXT "operations",
        CONTEXT "monitoring_attrs/intervals/sample_us",
        CONTEXT "monitoring_attrs/intervals/aggr_us",
        CONTEXT "monitoring_attrs/intervals/update_us",
        CONTEXT "monitoring_attrs/nr_regions/min",
        CONTEXT "monitoring_attrs/nr_regions/max",
        CONTEXT "targets/nr_targets",
        CONTEXT "targets/0/pid_target",
        CONTEXT "targets/0/regions/nr_regions",
        CONTEXT "targets/0/regions/0/start",
        CONTEXT "targets/0/regions/0/end",
        CONTEXT "targets/0/regions/1/start",
        CONTEXT "targets/0/regions/1/end",
        CONTEXT "targets/0/regions/2/start",
        CONTEXT "targets/0/regions/2/end",
        CONTEXT "targets/0/regions/3/start",
        CONTEXT "targets/0/regions/3/end",
        CONTEXT "schemes/nr_schemes",
        SCHEME "action",
        SCHEME "target_nid",
        SCHEME "access_pattern/sz/min",
        SCHEME "access_pattern/sz/max",
        SCHEME "access_pattern/nr_accesses/min",
        SCHEME "access_pattern/nr_accesses/max",
        SCHEME "access_pattern/age/min",
        SCHEME "access_pattern/age/max",
        SCHEME "quotas/bytes",
        SCHEME "quotas/reset_interval_ms",
        SCHEME "filters/nr_filters",
        SCHEME "filters/0/type",
        SCHEME "filters/0/matching",
        SCHEME "filters/1/type",
        SCHEME "filters/1/matching",
        SCHEME "filters/1/memcg_path",
        SCHEME "stats/sz_tried",
        "module/damon_stat/parameters/enabled",
};

static inline void put(const Scratch *sys, const char *name, const char *text)
{
        char path[512];

        snprintf(path, sizeof(path), "%s", name);
        for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                cr_assert(mkdirat(sys->fd, path, 0755) == 0 || errno == EEXIST);
                *slash = '/';
        }
        scratch_write(sys, name, text, strlen(text));
}

static inline Scratch kernel_with_damon(void)
{
        Scratch sys = scratch_new();

        for (size_t i = 0; i < ARRAY_SIZE(damon_files); i++)
                put(&sys, damon_files[i], "0\n");
        put(&sys, KDAMONDS "0/state", "off\n");
        put(&sys, KDAMONDS "1/state", "off\n");
        put(&sys, "module/damon_stat/parameters/enabled", "N\n");
        return sys;
}

static inline void expect(const Scratch *sys, const char *name, const char *expected)
{
        char text[64];

        cr_assert_geq(attr_read(sys->fd, name, text, sizeof(text)), 0, "%s", name);
        cr_assert_str_eq(text, expected, "%s is %s", name, text);
}
