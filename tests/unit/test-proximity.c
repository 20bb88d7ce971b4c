/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include "policy/macro.h"
#include "policy/tier.h"

static NodeSet set_of(const char *text)
{
        NodeSet set;

        cr_assert_eq(nodeset_parse(text, &set), 0);
        return set;
}

#define CPU(number, ...)                                                                           \
        {                                                                                          \
                .id = (number), .has_cpu = true, .has_memory = true, .distances = { __VA_ARGS__ }  \
        }
#define DAX(number, ...)                                                                           \
        {                                                                                          \
                .id = (number), .is_dax = true, .has_memory = true, .distances = { __VA_ARGS__ }   \
        }

/* Two sockets, each with pmem of its own, the first with CXL memory beside it. */
static const Node sockets[] = {
        CPU(0, 10, 21, 28, 17, 24), CPU(1, 21, 10, 17, 28, 38), DAX(2, 28, 17, 10, 38, 48),
        DAX(3, 17, 28, 38, 10, 34), DAX(4, 24, 38, 48, 34, 10),
};

static Tiers tiers_of(const Node *nodes, size_t n)
{
        Tiers tiers;

        tiers_sort(nodes, n, NULL, NULL, &tiers);
        return tiers;
}

static void expect_near(const Tiers *tiers, const char *candidates, const char *home,
                        const char *nearest, int first)
{
        NodeSet all = set_of(candidates), where = set_of(home ? home : ""),
                wanted = set_of(nearest), is;
        char text[NODESET_TEXT_MAX];

        proximity_nearest(&tiers->proximity, &all, home ? &where : NULL, &is);
        cr_assert_eq(nodeset_format(&is, text, sizeof(text)), 0);
        cr_expect(nodeset_equal(&is, &wanted), "of %s from %s: %s", candidates, home, text);
        cr_expect_eq(proximity_first(&tiers->proximity, &all, home ? &where : NULL), first,
                     "of %s from %s", candidates, home);
}

Test(proximity, the_memory_of_a_socket_is_what_it_is_nearest_to)
{
        Tiers tiers = tiers_of(sockets, ARRAY_SIZE(sockets));

        expect_near(&tiers, "2-4", "1", "2", 2);
        expect_near(&tiers, "2-4", "0", "3-4", 3);
        expect_near(&tiers, "0-1", "1", "1", 1);
}

Test(proximity, who_has_none_of_its_own_takes_the_least_distance)
{
        Tiers tiers = tiers_of(sockets, ARRAY_SIZE(sockets));

        expect_near(&tiers, "3-4", "1", "3", 3);
        expect_near(&tiers, "2", "0", "2", 2);
}

Test(proximity, who_runs_anywhere_leaves_the_choice_to_the_kernel)
{
        Tiers tiers = tiers_of(sockets, ARRAY_SIZE(sockets));

        expect_near(&tiers, "2-4", NULL, "2-4", 2);
        expect_near(&tiers, "2-4", "0-1", "2-4", 2);
        expect_near(&tiers, "2-4", "", "2-4", 2);
        expect_near(&tiers, "", "0", "", -1);
}

Test(proximity, the_hmat_comes_before_distance)
{
        Node nodes[ARRAY_SIZE(sockets)];
        Tiers tiers;

        memcpy(nodes, sockets, sizeof(sockets));
        nodes[2].initiators = set_of("0");
        nodes[2].perf.read_latency_ns = 400;
        nodes[4].initiators = set_of("0-1");
        nodes[4].perf.read_latency_ns = 250;
        tiers = tiers_of(nodes, ARRAY_SIZE(nodes));

        expect_near(&tiers, "2-4", "0", "2-4", 4);
        expect_near(&tiers, "2-4", "1", "4", 4);
        expect_near(&tiers, "2-3", "0", "2-3", 2);
}

/* As the kernel has it for nodes that the firmware's table does not mention. */
Test(proximity, one_distance_for_all_says_nothing)
{
        static const Node flat[] = {
                CPU(0, 10, 20, 20, 20),
                CPU(1, 20, 10, 20, 20),
                DAX(2, 20, 20, 10, 20),
                DAX(3, 20, 20, 20, 10),
        };
        static const Node unknown[] = { CPU(0), CPU(1), DAX(2), DAX(3) };
        Tiers tiers = tiers_of(flat, ARRAY_SIZE(flat));

        expect_near(&tiers, "2-3", "1", "2-3", 2);
        tiers = tiers_of(unknown, ARRAY_SIZE(unknown));
        expect_near(&tiers, "2-3", "1", "2-3", 2);
        tiers = (Tiers){};
        expect_near(&tiers, "2-3", "1", "2-3", 2);
}

Test(proximity, of_several_home_nodes_each_has_its_own)
{
        static const Node four[] = {
                CPU(0, 10, 20, 20, 20, 15, 25, 25), CPU(1, 20, 10, 20, 20, 25, 15, 25),
                CPU(2, 20, 20, 10, 20, 25, 25, 15), CPU(3, 20, 20, 20, 10, 25, 25, 28),
                DAX(4, 15, 25, 25, 25, 10),         DAX(5, 25, 15, 25, 25, 30, 10),
                DAX(6, 25, 25, 15, 28, 30, 30, 10),
        };
        Tiers tiers = tiers_of(four, ARRAY_SIZE(four));

        expect_near(&tiers, "4-6", "0,2", "4,6", 4);
        expect_near(&tiers, "4-6", "2,3", "4-6", 6);
        expect_near(&tiers, "4-6", "3", "4-5", 4);
}

Test(proximity, only_automatic_tiers_of_several_nodes_are_narrowed)
{
        Tiers tiers = tiers_of(sockets, ARRAY_SIZE(sockets));
        NodeSet home = set_of("1"), allowed = set_of("0-1,4"), nodes, wanted;
        Tier tier = { .kind = TIER_CHEAP };

        cr_assert(tiers_have_choice(&tiers, &tier));
        cr_assert_eq(tiers_resolve_near(&tiers, &tier, NULL, &home, &nodes), 0);
        wanted = set_of("2");
        cr_assert(nodeset_equal(&nodes, &wanted));

        cr_assert_eq(tiers_resolve_near(&tiers, &tier, &allowed, &home, &nodes), 0);
        wanted = set_of("4");
        cr_assert(nodeset_equal(&nodes, &wanted), "the nearest that it may use");

        allowed = set_of("0");
        cr_assert_eq(tiers_resolve_near(&tiers, &tier, &allowed, &home, &nodes), 0);
        cr_assert(nodeset_equal(&nodes, &tiers.cheap), "to be told that it may use none");

        cr_assert_eq(tier_parse("node:2-3", &tier), 0);
        cr_assert_not(tiers_have_choice(&tiers, &tier));
        cr_assert_eq(tiers_resolve_near(&tiers, &tier, NULL, &home, &nodes), 0);
        wanted = set_of("2-3");
        cr_assert(nodeset_equal(&nodes, &wanted), "an explicit list");

        tier.kind = TIER_DEFAULT;
        cr_assert_eq(tiers_resolve_near(&tiers, &tier, NULL, &home, &nodes), 0);
        cr_assert(nodeset_is_empty(&nodes));
}

Test(proximity, nodes_beyond_what_is_known_are_not_nearer)
{
        static Node many[PROXIMITY_NODES_MAX + 2];
        Tiers tiers;

        for (size_t i = 0; i < ARRAY_SIZE(many); i++)
                many[i] = (Node){ .id = (unsigned)i, .has_cpu = i < 2, .has_memory = true };
        for (size_t i = 0; i < 2; i++)
                memset(many[i].distances, 20, ARRAY_SIZE(many));
        many[1].distances[63] = 15;
        tiers = tiers_of(many, ARRAY_SIZE(many));

        expect_near(&tiers, "63,65", "1", "63", 63);
        expect_near(&tiers, "64-65", "1", "64-65", 64);
}
