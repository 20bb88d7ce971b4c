/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/mapping.h"
#include "policy/rule.h"
#include "policy/tier.h"

typedef struct Budget Budget;
typedef struct Intent Intent;
typedef struct Placed Placed;
typedef struct Plan Plan;

/* How a mapping under policy is, in one word. */
typedef enum MappingState {
        MAPPING_PLACED,  /* it has the policy, and so are its copies */
        MAPPING_PLACING, /* something is yet to be done, or being done */
        MAPPING_PARTIAL, /* it has the policy, but copies are elsewhere */
        MAPPING_SKIPPED, /* left alone, on purpose */
        MAPPING_FAILED,  /* could not be done */
        MAPPING_STATES,
} MappingState;

/* What there is to do about one. */
typedef enum PlanAction {
        PLAN_NOTHING = 0,
        PLAN_PLACE = 1 << 0,   /* give the mapping its policy */
        PLAN_RELEASE = 1 << 1, /* take the one that we gave it away again */
        PLAN_MOVE = 1 << 2,    /* move the copies that are elsewhere */
} PlanAction;

/* Why a mapping is not simply placed; PLAN_REASON_NONE: it is, or will be. */
typedef enum PlanReason {
        PLAN_REASON_NONE,
        PLAN_REASON_HANDS_OFF,  /* Tier=default */
        PLAN_REASON_NO_NODE,    /* the tier has no node now */
        PLAN_REASON_CPUSET,     /* none that the process' cpuset allows */
        PLAN_REASON_OWN_POLICY, /* it has a memory policy of its own */
        PLAN_REASON_CHEAP_MAX,  /* the cgroup has its CheapMax= on the cheap tier */
        PLAN_REASON_LEFT,       /* Existing=leave */
} PlanReason;

/* What one process may have, from its rule and the machine: for its copies, or its anonymous memory. */
struct Intent {
        bool strict;        /* bind instead of prefer */
        bool move_existing; /* what is elsewhere already, too */
        int error;          /* of resolving the tier: -ENXIO, it has no node */
        NodeSet nodes;      /* where its pages should be; empty: hands off */
        unsigned first;     /* the nearest of them, where only one can be named */
        bool has_allowed;   /* its cgroup has a cpuset: */
        NodeSet allowed;
};

/* The only thing that comes back from what was done: what is left to be spent. */
struct Budget {
        bool cheap_exhausted; /* CheapMax= is reached, and .nodes is the cheap tier */
};

/* One mapping and its copies, or the memory policy of one thread and no bytes, as just seen. Bytes. */
struct Placed {
        VmaPolicy policy;
        const NodeSet *policy_nodes;
        const NodeSet *given; /* the nodes that we gave it at another time; NULL: we did not */
        bool given_strict;    /* and bound it to them */
        uint64_t cow_bytes;
        uint64_t wanted_bytes; /* of these: on .nodes, or in swap, where no node has them */
};

struct Plan {
        MappingState state;
        PlanReason reason;
        unsigned actions; /* PlanAction */
};

/* The nodes that the rule's tier stands for, for a process in a cgroup that may use @allowed (NULL:
 * any) and that runs on the nodes @home (NULL: anywhere). Always fills @ret_intent. */
void intent_build(const CowRule *cow, const Tiers *tiers, const NodeSet *allowed,
                  const NodeSet *home, Intent *ret_intent);

/* The same for its anonymous memory. What exists is moved, unless ColdAfter= says which pages belong
 * where. */
void anon_intent_build(const AnonRule *anon, const Tiers *tiers, const NodeSet *allowed,
                       const NodeSet *home, Intent *ret_intent);

/* Whether a rule is about anonymous memory at all. */
bool rule_concerns_anon(const Rule *rule);

/* Whether what is seen is the policy of somebody else: a mapping without one of its own shows that of
 * its process, which we may have given it for its anonymous memory. */
bool plan_is_given(VmaPolicy policy, const NodeSet *policy_nodes, const NodeSet *given);

/* The same of a policy that was given bound (@strict) or not. */
bool plan_is_ours(VmaPolicy policy, const NodeSet *policy_nodes, const NodeSet *given, bool strict);

/* Whether memory that belongs on @nodes has a policy by which it is elsewhere, of its own or of its
 * thread: it is where the program wants it. */
bool plan_is_elsewhere(VmaPolicy policy, const NodeSet *policy_nodes, const NodeSet *nodes);

/* What to do about one mapping that cow_match() took, or one thread. */
Plan plan_build(const Intent *intent, const Budget *budget, const Placed *placed);

/* "placed", …: as `daxtier list` has it. */
const char *mapping_state_name(MappingState state);

/* A sentence for people: why, and what to do about it. "" for none. */
const char *plan_reason_text(PlanReason reason);
