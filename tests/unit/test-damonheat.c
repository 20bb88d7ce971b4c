/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/kernel/damonheat.h"
#include "tests/unit/heat-tree.h"

static const DamonRegion regions[] = {
        { 0, 2 * HEAT_BLOCK, 0 },
        { 4 * HEAT_BLOCK, 5 * HEAT_BLOCK, 0 },
        { 5 * HEAT_BLOCK, 7 * HEAT_BLOCK, 2 },
};

static Scratch sys, run;
static DamonClaim claim;
static DamonScheme schemes[3];
static DamonHeat heat;

static void set_up_as(bool apart)
{
        sys = kernel_with_heat(apart);
        run = scratch_new();
        cr_assert_eq(damon_claim_open(sys.fd, run.fd, DAMON_SLOT_HEAT, &claim), 0);
        cr_assert_eq(damon_claim(&claim, false), 0);

        schemes[0] = (DamonScheme){ .memory_cgroup = "/a/b", .node = 2, .quota = 0x10000 };
        nodeset_add(&schemes[0].sources, 0);
        schemes[1] =
                (DamonScheme){ .memory_cgroup = "/a/b", .hot = true, .node = 0, .quota = 0x20000 };
        nodeset_add(&schemes[1].sources, 2);
        heat = (DamonHeat){
                .regions = regions,
                .n_regions = 3,
                .sample_usec = 250000,
                .aggregate_usec = 1000000,
                .schemes = schemes,
                .n_schemes = 2,
        };
}

static void set_up(void)
{
        set_up_as(false);
}

static void tear_down(void)
{
        damon_claim_close(&claim);
        scratch_freep(&sys);
        scratch_freep(&run);
}

TestSuite(damonheat, .init = set_up, .fini = tear_down);

Test(damonheat, regions_are_the_nodes_blocks_joined)
{
        _cleanup_(freep) DamonRegion *found = NULL;
        NodeSet nodes = {};
        size_t n = 0;

        nodeset_add(&nodes, 0);
        nodeset_add(&nodes, 2);
        cr_assert_eq(damon_regions_read(sys.fd, &nodes, &found, &n), 0);
        cr_assert_eq(n, 3);
        for (size_t i = 0; i < n; i++) {
                cr_assert_eq(found[i].start, regions[i].start);
                cr_assert_eq(found[i].end, regions[i].end);
                cr_assert_eq(found[i].node, regions[i].node);
        }

        nodes = (NodeSet){};
        nodeset_add(&nodes, 7);
        free(TAKE_PTR(found));
        cr_assert_eq(damon_regions_read(sys.fd, &nodes, &found, &n), -ENXIO);
}

/* Each is sampled, which makes pages old. */
Test(damonheat, watches_the_memory_in_few_regions)
{
        cr_assert_eq(damon_heat_start(&claim, &heat), 0);
        expect(&sys, HEAT_CONTEXT "operations", "paddr");
        expect(&sys, HEAT_CONTEXT "monitoring_attrs/intervals/sample_us", "250000");
        expect(&sys, HEAT_CONTEXT "monitoring_attrs/intervals/aggr_us", "1000000");
        expect(&sys, HEAT_CONTEXT "monitoring_attrs/nr_regions/min", "3");
        expect(&sys, HEAT_CONTEXT "monitoring_attrs/nr_regions/max", "6");
        expect(&sys, HEAT_CONTEXT "targets/0/regions/nr_regions", "3");
        expect(&sys, HEAT_CONTEXT "targets/0/regions/1/start", "536870912");
        expect(&sys, HEAT_CONTEXT "targets/0/regions/1/end", "671088640");
        expect(&sys, KDAMONDS "0/state", "on");
        cr_assert(damon_is_ours(sys.fd));
}

/* A filter of addresses leaves out what is in one run: each run of the other tier has its own. */
Test(damonheat, cold_is_what_was_not_used_on_the_fast_nodes)
{
        cr_assert_eq(damon_heat_start(&claim, &heat), 0);
        expect(&sys, HEAT_SCHEME "action", "migrate_cold");
        expect(&sys, HEAT_SCHEME "target_nid", "2");
        expect(&sys, HEAT_SCHEME "apply_interval_us", "250000");
        expect(&sys, HEAT_SCHEME "access_pattern/sz/max", "18446744073709551615");
        expect(&sys, HEAT_SCHEME "access_pattern/nr_accesses/min", "0");
        expect(&sys, HEAT_SCHEME "quotas/bytes", "65536");
        expect(&sys, HEAT_SCHEME "quotas/reset_interval_ms", "225");
        expect(&sys, HEAT_SCHEME "filters/nr_filters", "4");
        expect(&sys, HEAT_SCHEME "filters/0/type", "addr");
        expect(&sys, HEAT_SCHEME "filters/0/matching", "Y");
        expect(&sys, HEAT_SCHEME "filters/0/addr_start", "671088640");
        expect(&sys, HEAT_SCHEME "filters/0/addr_end", "939524096");
        expect(&sys, HEAT_SCHEME "filters/1/type", "memcg");
        expect(&sys, HEAT_SCHEME "filters/1/memcg_path", "/a/b");
        expect(&sys, HEAT_SCHEME "filters/1/matching", "N");
        expect(&sys, HEAT_SCHEME "filters/2/type", "anon");
        expect(&sys, HEAT_SCHEME "filters/2/matching", "N");
        expect(&sys, HEAT_SCHEME "filters/3/type", "young");
        expect(&sys, HEAT_SCHEME "filters/3/matching", "Y");
}

Test(damonheat, hot_is_what_was_used_on_the_cheap_nodes)
{
        cr_assert_eq(damon_heat_start(&claim, &heat), 0);
        expect(&sys, HEAT_CONTEXT "schemes/1/action", "migrate_hot");
        expect(&sys, HEAT_CONTEXT "schemes/1/target_nid", "0");
        expect(&sys, HEAT_CONTEXT "schemes/1/filters/nr_filters", "5");
        expect(&sys, HEAT_CONTEXT "schemes/1/filters/0/addr_start", "0");
        expect(&sys, HEAT_CONTEXT "schemes/1/filters/0/addr_end", "268435456");
        expect(&sys, HEAT_CONTEXT "schemes/1/filters/1/addr_start", "536870912");
        expect(&sys, HEAT_CONTEXT "schemes/1/filters/4/type", "young");
        expect(&sys, HEAT_CONTEXT "schemes/1/filters/4/matching", "N");
}

Test(damonheat, filters_have_places_of_their_own_on_newer_kernels)
{
        tear_down();
        set_up_as(true);
        cr_assert_eq(damon_heat_start(&claim, &heat), 0);
        expect(&sys, HEAT_SCHEME "filters/nr_filters", "0");
        expect(&sys, HEAT_SCHEME "core_filters/nr_filters", "1");
        expect(&sys, HEAT_SCHEME "core_filters/0/type", "addr");
        expect(&sys, HEAT_SCHEME "ops_filters/nr_filters", "3");
        expect(&sys, HEAT_SCHEME "ops_filters/0/type", "memcg");
        expect(&sys, HEAT_SCHEME "ops_filters/2/type", "young");
}

Test(damonheat, a_scheme_that_is_gone_keeps_its_place_and_does_nothing)
{
        schemes[0].memory_cgroup = NULL;
        cr_assert_eq(damon_heat_start(&claim, &heat), 0);
        expect(&sys, HEAT_SCHEME "access_pattern/sz/min", "1");
        expect(&sys, HEAT_SCHEME "access_pattern/sz/max", "1");
        expect(&sys, HEAT_SCHEME "filters/nr_filters", "0");
        expect(&sys, HEAT_CONTEXT "schemes/1/action", "migrate_hot");
}

/* In a tree nobody carries out a command: it stays in the file, and the file does not say off. */
Test(damonheat, changes_are_committed_without_turning_it_off)
{
        cr_assert_eq(damon_heat_start(&claim, &heat), 0);
        schemes[1].quota = 0x30000;
        cr_assert_eq(damon_heat_limit(&claim, &heat), 0);
        expect(&sys, KDAMONDS "0/state", "commit");
        expect(&sys, HEAT_CONTEXT "schemes/1/quotas/bytes", "196608");
        schemes[0].node = 3;
        cr_assert_eq(damon_heat_commit(&claim, &heat), 0);
        expect(&sys, HEAT_SCHEME "target_nid", "3");

        put(&sys, KDAMONDS "0/state", "off\n");
        cr_assert_eq(damon_heat_commit(&claim, &heat), -ESRCH);
        cr_assert_eq(damon_heat_limit(&claim, &heat), -ESRCH);
}

Test(damonheat, says_what_each_scheme_has_done)
{
        DamonStats stats[2];

        cr_assert_eq(damon_heat_stats(&claim, 2, stats), -ESRCH);
        cr_assert_eq(damon_heat_start(&claim, &heat), 0);
        put(&sys, HEAT_SCHEME "stats/sz_tried", "8192\n");
        put(&sys, HEAT_SCHEME "stats/sz_applied", "4096\n");
        put(&sys, HEAT_CONTEXT "schemes/1/stats/sz_tried", "12288\n");
        cr_assert_eq(damon_heat_stats(&claim, 2, stats), 0);
        expect(&sys, KDAMONDS "0/state", "update_schemes_stats");
        cr_assert_eq(stats[0].tried_bytes, 8192);
        cr_assert_eq(stats[0].moved_bytes, 4096);
        cr_assert_eq(stats[1].tried_bytes, 12288);
        cr_assert_eq(stats[1].moved_bytes, 0);
}
