/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>

#include "daemon/kernel/node.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

static size_t read_fixture(const char *name, Node **ret_nodes)
{
        _cleanup_(closep) int sys_fd = fixture_open(name);
        size_t n_nodes = 0;

        cr_assert_eq(nodes_read(sys_fd, ret_nodes, &n_nodes), 0);
        return n_nodes;
}

static void assert_unknown(const NodePerf *perf)
{
        cr_assert_eq(perf->read_latency_ns, -1);
        cr_assert_eq(perf->write_latency_ns, -1);
        cr_assert_eq(perf->read_bandwidth_mib, -1);
        cr_assert_eq(perf->write_bandwidth_mib, -1);
        cr_assert_not(perf->from_hmat);
}

Test(node, a_kmem_device_makes_its_node_dax)
{
        _cleanup_(freep) Node *nodes = NULL;

        cr_assert_eq(read_fixture("sys-guest", &nodes), 2);

        cr_assert_eq(nodes[0].id, 0);
        cr_assert(nodes[0].has_cpu && nodes[0].has_memory && !nodes[0].is_dax);
        cr_assert_eq(nodes[0].total_bytes, UINT64_C(2031616) * 1024);
        cr_assert_eq(nodes[0].free_bytes, UINT64_C(1400000) * 1024);

        cr_assert_eq(nodes[1].id, 1);
        cr_assert(!nodes[1].has_cpu && nodes[1].has_memory && nodes[1].is_dax);
}

Test(node, access1_comes_before_access0_and_zero_is_unknown)
{
        _cleanup_(freep) Node *nodes = NULL;

        cr_assert_eq(read_fixture("sys-guest", &nodes), 2);

        cr_assert_eq(nodes[1].perf.read_latency_ns, 300);
        cr_assert_eq(nodes[1].perf.write_latency_ns, 350);
        cr_assert_eq(nodes[1].perf.read_bandwidth_mib, 9536);
        cr_assert_eq(nodes[1].perf.write_bandwidth_mib, 4768);
        cr_assert(nodes[1].perf.from_hmat);

        cr_assert_eq(nodes[0].perf.read_latency_ns, 100);
        cr_assert_eq(nodes[0].perf.write_latency_ns, -1);
        cr_assert_eq(nodes[0].perf.read_bandwidth_mib, -1);
        cr_assert_eq(nodes[0].perf.write_bandwidth_mib, 19073);
        cr_assert(nodes[0].perf.from_hmat);
}

Test(node, access0_counts_unless_it_is_of_a_generic_initiator)
{
        _cleanup_(freep) Node *nodes = NULL;

        cr_assert_eq(read_fixture("sys-access0", &nodes), 4);

        cr_assert_eq(nodes[1].id, 2);
        cr_assert(nodes[1].is_dax);
        cr_assert_eq(nodes[1].perf.read_latency_ns, 170);
        cr_assert(nodes[1].perf.from_hmat);

        cr_assert_eq(nodes[2].id, 3);
        assert_unknown(&nodes[2].perf);

        cr_assert_eq(nodes[3].id, 4);
        cr_assert_not(nodes[3].has_memory);
        cr_assert_eq(nodes[3].perf.read_latency_ns, 55);
        cr_assert_eq(nodes[3].perf.write_latency_ns, -1);
}

static void expect_near(const Tiers *tiers, unsigned home, unsigned nearest)
{
        NodeSet where = {}, nodes;
        Tier cheap = { .kind = TIER_CHEAP };

        nodeset_add(&where, home);
        cr_assert_eq(tiers_resolve_near(tiers, &cheap, NULL, &where, &nodes), 0);
        cr_expect(nodeset_count(&nodes) == 1 && nodeset_has(&nodes, nearest), "from node %u", home);
}

/* On both the pmem of socket 0 is node 3, and node 2 that of socket 1. */
Test(node, two_sockets_are_told_apart_by_the_hmat_else_by_distance)
{
        static const char *const machines[] = { "sys-sockets-hmat", "sys-sockets" };

        for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
                _cleanup_(freep) Node *nodes = NULL;
                size_t n_nodes = read_fixture(machines[i], &nodes);
                Tiers tiers;

                cr_assert_eq(n_nodes, 4);
                tiers_sort(nodes, n_nodes, NULL, NULL, &tiers);
                cr_assert_eq(nodeset_count(&tiers.cheap), 2);
                expect_near(&tiers, 0, 3);
                expect_near(&tiers, 1, 2);
        }
}

Test(node, distances_are_the_kernels)
{
        _cleanup_(closep) int sys_fd = fixture_open("sys-sockets");
        _cleanup_(freep) Node *nodes = NULL;
        unsigned distance = 77;

        cr_assert_eq(read_fixture("sys-sockets", &nodes), 4);
        cr_assert_eq(nodes[1].distances[0], 21);
        cr_assert_eq(nodes[1].distances[2], 17);
        cr_assert_eq(nodes[1].distances[4], 0, "there is no such node");

        cr_assert_eq(node_distance(sys_fd, 0, 4, &distance), -ENOENT);
        cr_assert_eq(distance, 77);
        cr_assert_eq(node_distance(sys_fd, 0, 3, &distance), 0);
        cr_assert_eq(distance, 17);
}

Test(node, initiators_are_those_of_the_numbers)
{
        _cleanup_(freep) Node *nodes = NULL;

        cr_assert_eq(read_fixture("sys-access0", &nodes), 4);
        cr_assert_eq(nodeset_next(&nodes[1].initiators, 0), 0, "access0, a CPU");
        cr_assert(nodeset_is_empty(&nodes[2].initiators), "access0, a generic initiator");
}

Test(node, without_hmat_and_dax_bus_everything_else_is_there)
{
        _cleanup_(freep) Node *nodes = NULL;

        cr_assert_eq(read_fixture("sys-plain", &nodes), 1);
        cr_assert(nodes[0].has_cpu && nodes[0].has_memory && !nodes[0].is_dax);
        assert_unknown(&nodes[0].perf);
}

Test(node, reads_this_machine)
{
        _cleanup_(closep) int sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(freep) Node *nodes = NULL;
        bool any_cpu = false;
        size_t n_nodes;

        if (faccessat(sys_fd, "devices/system/node/online", R_OK, 0) < 0)
                cr_skip_test("this kernel shows no NUMA nodes");

        cr_assert_eq(nodes_read(sys_fd, &nodes, &n_nodes), 0);
        for (size_t i = 0; i < n_nodes; i++) {
                cr_assert_leq(nodes[i].free_bytes, nodes[i].total_bytes);
                cr_assert(!nodes[i].has_memory || nodes[i].total_bytes > 0);
                any_cpu = any_cpu || nodes[i].has_cpu;
        }
        cr_assert(any_cpu, "we run on one of them");
}

Test(node, a_broken_tree_is_an_error_and_touches_nothing)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        Node *nodes = (Node *)&scratch;
        size_t n_nodes = 77;

        cr_assert_eq(nodes_read(scratch.fd, &nodes, &n_nodes), -ENOENT);
        cr_assert_eq(nodes, (Node *)&scratch);
        cr_assert_eq(n_nodes, 77);
}
