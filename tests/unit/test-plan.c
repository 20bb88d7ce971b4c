/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>

#include "policy/macro.h"
#include "policy/plan.h"

static NodeSet set_of(const char *text)
{
        NodeSet set;

        cr_assert_eq(nodeset_parse(text, &set), 0);
        return set;
}

/* Prefer the nodes, move what is elsewhere. */
static Intent intent_for(const CowRule *cow, const char *cheap, const char *allowed)
{
        Tiers tiers = { .cheap = set_of(cheap), .fast = set_of("0") };
        NodeSet may = set_of(allowed ? allowed : "");
        Intent intent;

        intent_build(cow, &tiers, allowed ? &may : NULL, NULL, &intent);
        return intent;
}

static const CowRule cheap = { .tier = { .kind = TIER_CHEAP }, .move_existing = true };
static const Budget enough = {};

/* A mapping with the policy that numa_maps would print. */
#define SEEN(Policy, nodes, ...)                                                                   \
        (Placed)                                                                                   \
        {                                                                                          \
                .policy = VMA_POLICY_##Policy, .policy_nodes = &(NodeSet){ { nodes } },            \
                __VA_ARGS__                                                                        \
        }
#define NODE(n) (1UL << (n))

#define expect_plan(plan, State, Reason, wanted_actions)                                           \
        do {                                                                                       \
                Plan is = (plan);                                                                  \
                cr_expect_eq(is.state, MAPPING_##State, "%s", mapping_state_name(is.state));       \
                cr_expect_eq(is.reason, PLAN_REASON_##Reason, "%s", plan_reason_text(is.reason));  \
                cr_expect_eq(is.actions, (unsigned)(wanted_actions), "%x", is.actions);            \
        } while (0)

Test(plan, a_fresh_mapping_gets_the_policy)
{
        Intent intent = intent_for(&cheap, "2", NULL);
        Placed fresh = SEEN(DEFAULT, 0, );

        expect_plan(plan_build(&intent, &enough, &fresh), PLACING, NONE, PLAN_PLACE);
}

Test(plan, copies_from_before_are_moved_too)
{
        Intent intent = intent_for(&cheap, "2", NULL);
        Placed late = SEEN(DEFAULT, 0, .cow_bytes = 8192, .wanted_bytes = 4096);

        expect_plan(plan_build(&intent, &enough, &late), PLACING, NONE, PLAN_PLACE | PLAN_MOVE);
}

Test(plan, existing_leave_leaves_them)
{
        CowRule cow = { .tier = { .kind = TIER_CHEAP } };
        Intent intent = intent_for(&cow, "2", NULL);
        Placed before = SEEN(DEFAULT, 0, .cow_bytes = 8192);
        Placed after = SEEN(PREFERRED, NODE(2), .cow_bytes = 8192);

        expect_plan(plan_build(&intent, &enough, &before), PLACING, NONE, PLAN_PLACE);
        expect_plan(plan_build(&intent, &enough, &after), PARTIAL, LEFT, PLAN_NOTHING);
}

Test(plan, what_is_as_wanted_is_left_in_peace)
{
        Intent intent = intent_for(&cheap, "2-3", NULL);
        Placed both = SEEN(PREFERRED, NODE(2) | NODE(3), .cow_bytes = 4096, .wanted_bytes = 4096);
        Placed first = SEEN(PREFERRED, NODE(2), );

        expect_plan(plan_build(&intent, &enough, &both), PLACED, NONE, PLAN_NOTHING);
        expect_plan(plan_build(&intent, &enough, &first), PLACED, NONE, PLAN_NOTHING);
}

Test(plan, strict_is_another_policy)
{
        CowRule strict = { .tier = { .kind = TIER_CHEAP }, .strict = true };
        Intent intent = intent_for(&strict, "2", NULL);
        NodeSet two = set_of("2");
        Placed bound = SEEN(BIND, NODE(2), );
        Placed ours = SEEN(PREFERRED, NODE(2), .given = &two);
        Placed theirs = SEEN(PREFERRED, NODE(2), );

        expect_plan(plan_build(&intent, &enough, &bound), PLACED, NONE, PLAN_NOTHING);
        expect_plan(plan_build(&intent, &enough, &ours), PLACING, NONE, PLAN_PLACE);
        expect_plan(plan_build(&intent, &enough, &theirs), SKIPPED, OWN_POLICY, PLAN_NOTHING);
}

Test(plan, a_policy_of_its_own_is_respected)
{
        Intent intent = intent_for(&cheap, "2", NULL);
        NodeSet two = set_of("2");
        Placed bound = SEEN(BIND, NODE(0), .cow_bytes = 4096);
        Placed interleaved = SEEN(OTHER, NODE(0) | NODE(2), );
        Placed since = SEEN(BIND, NODE(0), .given = &two);

        expect_plan(plan_build(&intent, &enough, &bound), SKIPPED, OWN_POLICY, PLAN_NOTHING);
        expect_plan(plan_build(&intent, &enough, &interleaved), SKIPPED, OWN_POLICY, PLAN_NOTHING);
        expect_plan(plan_build(&intent, &enough, &since), SKIPPED, OWN_POLICY, PLAN_NOTHING);
}

Test(plan, another_tier_replaces_what_we_gave)
{
        Intent intent = intent_for(&cheap, "3", NULL);
        NodeSet two = set_of("2");
        Placed ours = SEEN(PREFERRED, NODE(2), .given = &two);

        expect_plan(plan_build(&intent, &enough, &ours), PLACING, NONE, PLAN_PLACE);
}

Test(plan, hands_off_takes_back_only_what_we_gave)
{
        CowRule none = { .tier = { .kind = TIER_DEFAULT } };
        Intent intent = intent_for(&none, "2", NULL);
        NodeSet two = set_of("2");
        Placed ours = SEEN(PREFERRED, NODE(2), .given = &two);
        Placed theirs = SEEN(PREFERRED, NODE(2), );

        expect_plan(plan_build(&intent, &enough, &ours), SKIPPED, HANDS_OFF, PLAN_RELEASE);
        expect_plan(plan_build(&intent, &enough, &theirs), SKIPPED, HANDS_OFF, PLAN_NOTHING);
}

Test(plan, a_tier_without_nodes_says_so)
{
        Intent intent = intent_for(&cheap, "", NULL);
        NodeSet two = set_of("2");
        Placed fresh = SEEN(DEFAULT, 0, .cow_bytes = 4096);
        Placed ours = SEEN(PREFERRED, NODE(2), .given = &two);

        cr_assert_eq(intent.error, -ENXIO);
        expect_plan(plan_build(&intent, &enough, &fresh), SKIPPED, NO_NODE, PLAN_NOTHING);
        expect_plan(plan_build(&intent, &enough, &ours), SKIPPED, NO_NODE, PLAN_RELEASE);
}

Test(plan, a_cpuset_without_the_node_says_so)
{
        Intent without = intent_for(&cheap, "2-3", "0-1"), with = intent_for(&cheap, "2-3", "0,3");
        Placed fresh = SEEN(DEFAULT, 0, );

        expect_plan(plan_build(&without, &enough, &fresh), SKIPPED, CPUSET, PLAN_NOTHING);
        expect_plan(plan_build(&with, &enough, &fresh), PLACING, NONE, PLAN_PLACE);
}

Test(plan, beyond_cheap_max_new_copies_go_by_the_default)
{
        Intent intent = intent_for(&cheap, "2", NULL);
        Budget spent = { .cheap_exhausted = true };
        NodeSet two = set_of("2");
        Placed ours =
                SEEN(PREFERRED, NODE(2), .given = &two, .cow_bytes = 4096, .wanted_bytes = 4096);
        Placed fresh = SEEN(DEFAULT, 0, .cow_bytes = 4096);

        expect_plan(plan_build(&intent, &spent, &ours), PARTIAL, CHEAP_MAX, PLAN_RELEASE);
        expect_plan(plan_build(&intent, &spent, &fresh), SKIPPED, CHEAP_MAX, PLAN_NOTHING);
}

Test(plan, every_reason_but_none_is_a_sentence)
{
        cr_assert_str_empty(plan_reason_text(PLAN_REASON_NONE));
        for (PlanReason reason = PLAN_REASON_NONE + 1; reason <= PLAN_REASON_LEFT; reason++)
                cr_expect(strlen(plan_reason_text(reason)) > 20);
}

/* To the nodes that it was asked to prefer: by itself, then. */
Test(plan, what_a_program_binds_itself_is_its_own)
{
        Intent intent = intent_for(&cheap, "2", NULL);
        NodeSet two = set_of("2");
        Placed own = SEEN(BIND, NODE(2), .given = &two);
        Placed ours = SEEN(BIND, NODE(2), .given = &two, .given_strict = true);

        expect_plan(plan_build(&intent, &enough, &own), SKIPPED, OWN_POLICY, PLAN_NOTHING);
        expect_plan(plan_build(&intent, &enough, &ours), PLACING, NONE, PLAN_PLACE);
}

static const AnonRule heap = { .tier = { .kind = TIER_CHEAP }, .cold_after_usec = RULE_UNSET };

static Intent anon_intent_for(const AnonRule *anon)
{
        Tiers tiers = { .cheap = set_of("2"), .fast = set_of("0") };
        Intent intent;

        anon_intent_build(anon, &tiers, NULL, NULL, &intent);
        return intent;
}

Test(plan, threads_get_the_policy_of_anonymous_memory)
{
        Intent intent = anon_intent_for(&heap);
        Placed fresh = SEEN(DEFAULT, 0, ), has_it = SEEN(PREFERRED, NODE(2), ),
               own = SEEN(PREFERRED, NODE(0), ), bound = SEEN(BIND, NODE(2), );

        expect_plan(plan_build(&intent, &enough, &fresh), PLACING, NONE, PLAN_PLACE);
        expect_plan(plan_build(&intent, &enough, &has_it), PLACED, NONE, PLAN_NOTHING);
        expect_plan(plan_build(&intent, &enough, &own), SKIPPED, OWN_POLICY, PLAN_NOTHING);
        expect_plan(plan_build(&intent, &enough, &bound), SKIPPED, OWN_POLICY, PLAN_NOTHING);
}

Test(plan, a_thread_of_no_policy_loses_what_we_gave)
{
        Intent none = {};
        NodeSet given = set_of("2");
        Placed ours = SEEN(PREFERRED, NODE(2), .given = &given);

        expect_plan(plan_build(&none, &enough, &ours), SKIPPED, HANDS_OFF, PLAN_RELEASE);
}

Test(plan, existing_memory_is_moved_unless_its_age_says_where_it_belongs)
{
        AnonRule aging = heap;

        aging.cold_after_usec = 1000000;
        cr_expect(anon_intent_for(&heap).move_existing);
        cr_expect_not(anon_intent_for(&aging).move_existing);
}

Test(plan, which_rules_are_about_anonymous_memory)
{
        Rule rule = { .anon.cold_after_usec = RULE_UNSET, .limits.fast_max = RULE_UNSET };

        cr_expect_not(rule_concerns_anon(&rule));
        rule.anon.tier.kind = TIER_FAST;
        cr_expect(rule_concerns_anon(&rule));
        rule.anon.tier.kind = TIER_DEFAULT;
        rule.anon.cold_after_usec = 1;
        cr_expect(rule_concerns_anon(&rule));
        rule.anon.cold_after_usec = RULE_UNSET;
        rule.limits.fast_max = 1;
        cr_expect(rule_concerns_anon(&rule));
}

Test(plan, a_policy_of_the_thread_is_told_from_others)
{
        NodeSet given = set_of("2-3"), first = set_of("2"), other = set_of("1");

        cr_expect(plan_is_given(VMA_POLICY_PREFERRED, &given, &given));
        cr_expect(plan_is_given(VMA_POLICY_PREFERRED, &first, &given), "no mask for both");
        cr_expect_not(plan_is_given(VMA_POLICY_PREFERRED, &other, &given));
        cr_expect_not(plan_is_given(VMA_POLICY_BIND, &given, &given));
        cr_expect_not(plan_is_given(VMA_POLICY_DEFAULT, &(NodeSet){}, &given));
}

/* Two sockets; node 2 is the cheap one of socket 1, node 3 that of socket 0. */
static Intent intent_at(const CowRule *cow, const char *home)
{
        static const Node nodes[] = {
                { .id = 0, .has_cpu = true, .has_memory = true, .distances = { 10, 21, 28, 17 } },
                { .id = 1, .has_cpu = true, .has_memory = true, .distances = { 21, 10, 17, 28 } },
                { .id = 2, .is_dax = true, .has_memory = true },
                { .id = 3, .is_dax = true, .has_memory = true },
        };
        NodeSet where = set_of(home);
        Intent intent;
        Tiers tiers;

        tiers_sort(nodes, ARRAY_SIZE(nodes), NULL, NULL, &tiers);
        intent_build(cow, &tiers, NULL, &where, &intent);
        cr_assert_eq(intent.error, 0);
        return intent;
}

Test(plan, a_process_that_is_bound_to_a_socket_has_the_nearest_nodes)
{
        Intent intent = intent_at(&cheap, "0");
        Placed near = SEEN(PREFERRED, NODE(3), ), far = SEEN(PREFERRED, NODE(2), );
        NodeSet far_nodes = set_of("2");

        cr_assert_eq(nodeset_count(&intent.nodes), 1);
        cr_assert_eq(intent.first, 3);
        expect_plan(plan_build(&intent, &enough, &near), PLACED, NONE, PLAN_NOTHING);
        far.given = &far_nodes; /* it was bound to the other one then */
        expect_plan(plan_build(&intent, &enough, &far), PLACING, NONE, PLAN_PLACE);
}

Test(plan, a_process_that_runs_anywhere_or_binds_has_the_whole_tier)
{
        static const CowRule strict = { .tier = { .kind = TIER_CHEAP }, .strict = true };
        NodeSet both = set_of("2-3");
        Intent intent = intent_at(&cheap, "0-1");

        cr_assert(nodeset_equal(&intent.nodes, &both));
        intent = intent_at(&strict, "0");
        cr_assert(nodeset_equal(&intent.nodes, &both));
        cr_assert_eq(intent.first, 3);
}
