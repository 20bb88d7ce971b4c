/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/plan.h"

#include "policy/macro.h"

/* Bound to fewer nodes it would be killed sooner; the kernel begins with the nearest. */
static void intent_of(const Tier *tier, const Tiers *tiers, const NodeSet *allowed,
                      const NodeSet *home, Intent *intent)
{
        int first;

        if (intent->strict)
                intent->error = tiers_resolve(tiers, tier, &intent->nodes);
        else
                intent->error = tiers_resolve_near(tiers, tier, allowed, home, &intent->nodes);
        first = proximity_first(&tiers->proximity, &intent->nodes, home);
        intent->first = first >= 0 ? (unsigned)first : 0;
        if (allowed) {
                intent->has_allowed = true;
                intent->allowed = *allowed;
        }
}

void intent_build(const CowRule *cow, const Tiers *tiers, const NodeSet *allowed,
                  const NodeSet *home, Intent *ret_intent)
{
        Intent intent = { .strict = cow->strict, .move_existing = cow->move_existing };

        intent_of(&cow->tier, tiers, allowed, home, &intent);
        *ret_intent = intent;
}

void anon_intent_build(const AnonRule *anon, const Tiers *tiers, const NodeSet *allowed,
                       const NodeSet *home, Intent *ret_intent)
{
        Intent intent = { .move_existing = anon->cold_after_usec == RULE_UNSET };

        intent_of(&anon->tier, tiers, allowed, home, &intent);
        *ret_intent = intent;
}

bool rule_concerns_anon(const Rule *rule)
{
        return rule->anon.tier.kind != TIER_DEFAULT || rule->anon.cold_after_usec != RULE_UNSET ||
               rule->limits.fast_max != RULE_UNSET;
}

static bool is_subset(const NodeSet *some, const NodeSet *all)
{
        NodeSet both = *all;

        nodeset_union(&both, some);
        return nodeset_equal(&both, all);
}

/* Whether a mapping has a policy that means @nodes. Where the kernel or the vdso has no mask for
 * several nodes the policy is for the first of them. */
static bool policy_means(const Placed *placed, const NodeSet *nodes, bool strict)
{
        return placed->policy == (strict ? VMA_POLICY_BIND : VMA_POLICY_PREFERRED) &&
               !nodeset_is_empty(placed->policy_nodes) && is_subset(placed->policy_nodes, nodes);
}

/* Whether it is still the one that we gave it. */
static bool is_ours(const Placed *placed)
{
        return placed->given && policy_means(placed, placed->given, placed->given_strict);
}

bool plan_is_ours(VmaPolicy policy, const NodeSet *policy_nodes, const NodeSet *given, bool strict)
{
        const Placed placed = { .policy = policy, .policy_nodes = policy_nodes };

        return policy_means(&placed, given, strict);
}

bool plan_is_given(VmaPolicy policy, const NodeSet *policy_nodes, const NodeSet *given)
{
        return plan_is_ours(policy, policy_nodes, given, false);
}

bool plan_is_elsewhere(VmaPolicy policy, const NodeSet *policy_nodes, const NodeSet *nodes)
{
        return policy != VMA_POLICY_DEFAULT && !plan_is_given(policy, policy_nodes, nodes);
}

/* Not to have our policy, for @reason; copies stay where they are. */
static Plan leave_alone(const Placed *placed, PlanReason reason)
{
        return (Plan){
                .state = MAPPING_SKIPPED,
                .reason = reason,
                .actions = is_ours(placed) ? PLAN_RELEASE : PLAN_NOTHING,
        };
}

/* What follows for the copies once the mapping has its policy. */
static Plan plan_copies(const Intent *intent, const Placed *placed)
{
        if (placed->cow_bytes <= placed->wanted_bytes)
                return (Plan){ .state = MAPPING_PLACED };
        if (!intent->move_existing)
                return (Plan){ .state = MAPPING_PARTIAL, .reason = PLAN_REASON_LEFT };

        return (Plan){ .state = MAPPING_PLACING, .actions = PLAN_MOVE };
}

Plan plan_build(const Intent *intent, const Budget *budget, const Placed *placed)
{
        Plan plan;

        if (intent->error < 0)
                return leave_alone(placed, PLAN_REASON_NO_NODE);
        if (nodeset_is_empty(&intent->nodes))
                return leave_alone(placed, PLAN_REASON_HANDS_OFF);
        if (intent->has_allowed && nodeset_first_common(&intent->allowed, &intent->nodes) < 0)
                return leave_alone(placed, PLAN_REASON_CPUSET);
        if (budget->cheap_exhausted) {
                plan = leave_alone(placed, PLAN_REASON_CHEAP_MAX);
                if (placed->wanted_bytes > 0)
                        plan.state = MAPPING_PARTIAL;
                return plan;
        }

        if (policy_means(placed, &intent->nodes, intent->strict))
                return plan_copies(intent, placed);
        if (placed->policy != VMA_POLICY_DEFAULT && !is_ours(placed))
                return leave_alone(placed, PLAN_REASON_OWN_POLICY);

        plan = plan_copies(intent, placed);
        plan.state = MAPPING_PLACING;
        plan.reason = PLAN_REASON_NONE;
        plan.actions |= PLAN_PLACE;
        return plan;
}

const char *mapping_state_name(MappingState state)
{
        static const char *const names[] = {
                [MAPPING_PLACED] = "placed",   [MAPPING_PLACING] = "placing",
                [MAPPING_PARTIAL] = "partial", [MAPPING_SKIPPED] = "skipped",
                [MAPPING_FAILED] = "failed",
        };

        return names[state];
}

const char *plan_reason_text(PlanReason reason)
{
        static const char *const texts[] = {
                [PLAN_REASON_NONE] = "",
                [PLAN_REASON_HANDS_OFF] = "The policy leaves this memory to the kernel "
                                          "(Tier=default).",
                [PLAN_REASON_NO_NODE] =
                        "The tier has no node now; `daxtier status` shows the tiers "
                        "and what is wrong.",
                [PLAN_REASON_CPUSET] =
                        "The cgroup's cpuset has none of the tier's nodes: add one to "
                        "its cpuset.mems (AllowedMemoryNodes=).",
                [PLAN_REASON_OWN_POLICY] =
                        "The program gave this memory, or itself, a memory policy "
                        "of its own, which is respected.",
                [PLAN_REASON_CHEAP_MAX] = "The cgroup has its CheapMax= on the cheap tier: new "
                                          "pages go where the kernel puts them.",
                [PLAN_REASON_LEFT] = "Copies made before the policy are left where they are "
                                     "(Existing=leave).",
        };

        return texts[reason];
}
