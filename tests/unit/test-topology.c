/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <sys/stat.h>

#include "daemon/kernel/attr.h"
#include "daemon/topology.h"
#include "policy/macro.h"
#include "policy/published.h"
#include "tests/unit/scratch.h"

static NodeSet set_of(const char *text)
{
        NodeSet set;

        cr_assert_eq(nodeset_parse(text, &set), 0);
        return set;
}

Test(topology, publishes_for_everybody_what_the_library_reads)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(freep) char *text = NULL;
        Node nodes[] = {
                { .id = 0, .perf = { 80, 90, 100000, 50000, true } },
                { .id = 2, .perf = { 350, 360, 10240, 2048, true } },
                { .id = 3, .perf = NODE_PERF_UNKNOWN },
        };
        const Topology topology = {
                .nodes = nodes,
                .n_nodes = ARRAY_SIZE(nodes),
                .tiers = { .cheap = set_of("2-3"), .fast = set_of("0") },
        };
        char path[128];
        struct stat st;
        size_t size;
        Tiers tiers;

        snprintf(path, sizeof(path), "%s/tiers", scratch.path);
        umask(077);
        cr_assert_eq(topology_publish(&topology, path), 0);
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_eq(st.st_mode & 0777, 0644);

        cr_assert_eq(attr_read_all(scratch.fd, "tiers", 4096, &text, &size), 0);
        cr_assert_eq(tiers_parse(text, &tiers), 0);
        cr_assert(nodeset_equal(&tiers.cheap, &topology.tiers.cheap));
        cr_assert(nodeset_equal(&tiers.fast, &topology.tiers.fast));
        cr_assert_not_null(strstr(text, "ReadLatencyNs=350"), "%s", text);
}

Test(topology, tier_has_the_numbers_of_its_first_node)
{
        Node nodes[] = { { .id = 0 }, { .id = 2 }, { .id = 3 } };
        const Topology topology = { .nodes = nodes, .n_nodes = ARRAY_SIZE(nodes) };
        NodeSet both = set_of("2-3"), none = set_of("");

        cr_assert_eq(topology_tier_perf(&topology, &both), &nodes[1].perf);
        cr_assert_null(topology_tier_perf(&topology, &none));
}

Test(topology, reads_this_machine)
{
        const Config config = { .cheap = { .automatic = true }, .fast = { .automatic = true } };
        Topology topology;

        cr_assert_eq(topology_read(&config, &topology), 0);
        cr_assert_gt(topology.n_nodes, 0);
        cr_assert_not(nodeset_is_empty(&topology.tiers.fast));
        topology_deinit(&topology);
}
