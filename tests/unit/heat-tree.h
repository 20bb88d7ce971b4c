/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "tests/unit/damon-tree.h"

/* What our kdamond of cold and hot memory has in sysfs, for three schemes, and the memory of three nodes:
 * 0 below and above a hole, 2 behind it, 3 last. HEAT_BLOCK bytes a block. */

#define HEAT_CONTEXT KDAMONDS "0/contexts/0/"
#define HEAT_SCHEME  HEAT_CONTEXT "schemes/0/"
#define HEAT_BLOCK   UINT64_C(0x8000000)

static inline void put_each(const Scratch *sys, const char *head, const char *const *names,
                            size_t n)
{
        for (size_t i = 0; i < n; i++) {
                char path[512];

                snprintf(path, sizeof(path), "%s%s", head, names[i]);
                put(sys, path, "0\n");
        }
}

static inline void put_filters(const Scratch *sys, const char *dir, unsigned n)
{
        static const char *const names[] = { "type", "matching", "memcg_path", "addr_start",
                                             "addr_end" };
        char head[256];

        snprintf(head, sizeof(head), "%s/nr_filters", dir);
        put(sys, head, "0\n");
        for (unsigned i = 0; i < n; i++) {
                snprintf(head, sizeof(head), "%s/%u/", dir, i);
                put_each(sys, head, names, ARRAY_SIZE(names));
        }
}

/* @apart: the filters of the core and of the operations have places of their own. */
static inline void put_scheme(const Scratch *sys, unsigned index, bool apart)
{
        static const char *const names[] = {
                "action",
                "target_nid",
                "apply_interval_us",
                "access_pattern/sz/min",
                "access_pattern/sz/max",
                "access_pattern/nr_accesses/min",
                "access_pattern/nr_accesses/max",
                "access_pattern/age/min",
                "access_pattern/age/max",
                "quotas/bytes",
                "quotas/reset_interval_ms",
                "stats/sz_tried",
                "stats/sz_applied",
        };
        char head[128], dir[160];

        snprintf(head, sizeof(head), HEAT_CONTEXT "schemes/%u/", index);
        put_each(sys, head, names, ARRAY_SIZE(names));
        snprintf(dir, sizeof(dir), "%sfilters", head);
        put_filters(sys, dir, 6);
        if (!apart)
                return;
        snprintf(dir, sizeof(dir), "%score_filters", head);
        put_filters(sys, dir, 4);
        snprintf(dir, sizeof(dir), "%sops_filters", head);
        put_filters(sys, dir, 3);
}

static inline void put_block(const Scratch *sys, unsigned index, unsigned node, const char *state)
{
        char path[128];

        snprintf(path, sizeof(path), "devices/system/memory/memory%u/state", index);
        put(sys, path, state);
        snprintf(path, sizeof(path), "devices/system/memory/memory%u/valid_zones", index);
        put(sys, path, "Movable\n");
        snprintf(path, sizeof(path), "devices/system/memory/memory%u/node%u/link", index, node);
        put(sys, path, "");
}

static inline void put_node(const Scratch *sys, unsigned node, const char *free_kib)
{
        char path[64], text[128];

        snprintf(path, sizeof(path), "devices/system/node/node%u/meminfo", node);
        snprintf(text, sizeof(text), "Node %u MemTotal: 1048576 kB\nNode %u MemFree: %s kB\n", node,
                 node, free_kib);
        put(sys, path, text);
}

static inline Scratch kernel_with_heat(bool apart)
{
        static const char *const names[] = {
                "operations",
                "monitoring_attrs/intervals/sample_us",
                "monitoring_attrs/intervals/aggr_us",
                "monitoring_attrs/nr_regions/min",
                "monitoring_attrs/nr_regions/max",
                "targets/nr_targets",
                "targets/0/regions/nr_regions",
                "schemes/nr_schemes",
        };
        Scratch sys = kernel_with_damon();
        char path[128];

        put_each(&sys, HEAT_CONTEXT, names, ARRAY_SIZE(names));
        for (unsigned i = 0; i < 4; i++) {
                snprintf(path, sizeof(path), HEAT_CONTEXT "targets/0/regions/%u/start", i);
                put(&sys, path, "0\n");
                snprintf(path, sizeof(path), HEAT_CONTEXT "targets/0/regions/%u/end", i);
                put(&sys, path, "0\n");
        }
        for (unsigned i = 0; i < 3; i++)
                put_scheme(&sys, i, apart);

        put(&sys, "devices/system/memory/block_size_bytes", "8000000\n");
        put_block(&sys, 0, 0, "online\n");
        put_block(&sys, 1, 0, "online\n");
        put_block(&sys, 2, 0, "offline\n");
        put_block(&sys, 4, 0, "online\n");
        put_block(&sys, 5, 2, "online\n");
        put_block(&sys, 6, 2, "online\n");
        put_block(&sys, 9, 3, "online\n");
        put_node(&sys, 0, "524288");
        put_node(&sys, 2, "262144");
        put_node(&sys, 3, "524288");
        return sys;
}
