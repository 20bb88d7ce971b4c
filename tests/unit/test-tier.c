/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>

#include "policy/macro.h"
#include "policy/tier.h"

static NodeSet set_of(const char *text)
{
        NodeSet set;

        cr_assert_eq(nodeset_parse(text, &set), 0);
        return set;
}

/* Two sockets, one onlined pmem node, one CXL node that is nobody's dax, one node without memory. */
static const Node machine[] = {
        { .id = 0, .has_cpu = true, .has_memory = true },
        { .id = 1, .has_cpu = true, .has_memory = true },
        { .id = 2, .is_dax = true, .has_memory = true },
        { .id = 3, .has_memory = true },
        { .id = 4, .is_dax = true },
};

Test(tier, reads_what_it_writes)
{
        static const char *const texts[] = { "cheap", "fast", "default", "node:2", "node:0,2-3" };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                char text[5 + NODESET_TEXT_MAX];
                Tier tier;

                cr_assert_eq(tier_parse(texts[i], &tier), 0, "%s", texts[i]);
                cr_assert_eq(tier_format(&tier, text, sizeof(text)), 0);
                cr_assert_str_eq(text, texts[i]);
        }
}

Test(tier, refuses_unknown_names)
{
        static const char *const texts[] = { "",       "Cheap",     "cheap ", "node:",
                                             "node:x", "node:2000", "2" };
        Tier tier;

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                cr_assert_eq(tier_parse(texts[i], &tier), -EINVAL, "%s", texts[i]);
}

Test(tier, automatic_cheap_is_dax_without_cpus_and_fast_has_cpus)
{
        Tiers tiers;
        NodeSet cheap = set_of("2"), fast = set_of("0-1");

        tiers_sort(machine, ARRAY_SIZE(machine), NULL, NULL, &tiers);
        cr_assert(nodeset_equal(&tiers.cheap, &cheap));
        cr_assert(nodeset_equal(&tiers.fast, &fast));
        cr_assert_str_eq(tiers_name_of(&tiers, 2), "cheap");
        cr_assert_str_eq(tiers_name_of(&tiers, 1), "fast");
        cr_assert_null(tiers_name_of(&tiers, 3));
}

Test(tier, a_list_wins_over_automatic_and_takes_only_nodes_with_memory)
{
        Tiers tiers;
        NodeSet list = set_of("1,3-4"), cheap = set_of("1,3"), fast = set_of("0");

        tiers_sort(machine, ARRAY_SIZE(machine), &list, NULL, &tiers);
        cr_assert(nodeset_equal(&tiers.cheap, &cheap));
        cr_assert(nodeset_equal(&tiers.fast, &fast));
}

Test(tier, a_tier_without_nodes_is_an_error_and_default_is_hands_off)
{
        Tiers tiers = {};
        Tier tier = { .kind = TIER_CHEAP };
        NodeSet nodes = set_of("9");

        cr_assert_eq(tiers_resolve(&tiers, &tier, &nodes), -ENXIO);
        cr_assert(nodeset_has(&nodes, 9), "untouched on failure");

        tier.kind = TIER_DEFAULT;
        cr_assert_eq(tiers_resolve(&tiers, &tier, &nodes), 0);
        cr_assert(nodeset_is_empty(&nodes));

        cr_assert_eq(tier_parse("node:3", &tier), 0);
        cr_assert_eq(tiers_resolve(&tiers, &tier, &nodes), 0);
        cr_assert_eq(nodeset_next(&nodes, 0), 3);
}
