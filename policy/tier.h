/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/nodeset.h"
#include "policy/proximity.h"

typedef struct NodePerf NodePerf;
typedef struct Tier Tier;
typedef struct Tiers Tiers;

/* What the firmware's HMAT says of a node as seen from its best initiator. -1: unknown. Never
 * guessed: a missing number stays missing. */
struct NodePerf {
        int64_t read_latency_ns;
        int64_t write_latency_ns;
        int64_t read_bandwidth_mib; /* MiB/s */
        int64_t write_bandwidth_mib;
        bool from_hmat; /* where the numbers come from; false: there are none */
};

#define NODE_PERF_UNKNOWN                                                                          \
        (NodePerf)                                                                                 \
        {                                                                                          \
                .read_latency_ns = -1, .write_latency_ns = -1, .read_bandwidth_mib = -1,           \
                .write_bandwidth_mib = -1,                                                         \
        }

/* A NUMA node as the kernel shows it now. */
struct Node {
        unsigned id;
        bool has_cpu;
        bool has_memory;
        bool is_dax; /* holds memory of a dax device that kmem made system RAM */
        uint64_t total_bytes;
        uint64_t free_bytes;
        NodePerf perf;
        NodeSet initiators;             /* the nodes with CPUs that .perf is of; empty: not known */
        uint8_t distances[NODESET_MAX]; /* to the others; 0: not known. 10: to itself */
};

/* Tier= as it is written in a policy or given to the library. */
typedef enum TierKind {
        TIER_DEFAULT, /* hands off */
        TIER_FAST,
        TIER_CHEAP,
        TIER_NODES, /* "node:2", "node:2-3": .nodes says which */
} TierKind;

struct Tier {
        TierKind kind;
        NodeSet nodes; /* TIER_NODES only */
};

/* The tiers of this machine. A node is in one of them or in none. */
struct Tiers {
        NodeSet cheap;
        NodeSet fast;
        Proximity proximity;
};

/* "cheap", "fast", "default", "node:LIST". -EINVAL: none of these. */
int tier_parse(const char *text, Tier *ret_tier);

/* The reverse of tier_parse(). -ENOSPC: @size too small, 5 + NODESET_TEXT_MAX always fits. */
int tier_format(const Tier *tier, char *text, size_t size);

/* Sorts @nodes into tiers. A configured list (non-NULL) is taken as it is, less nodes without
 * memory; Nodes=auto (NULL) is: cheap = dax-backed and without CPUs, fast = with CPUs. A node that
 * a list names is not also in the other, automatic tier. */
void tiers_sort(const Node *nodes, size_t n_nodes, const NodeSet *cheap, const NodeSet *fast,
                Tiers *ret_tiers);

/* The nodes that @tier stands for. -ENXIO: it has no node on this machine. TIER_DEFAULT is the
 * empty set and succeeds. */
int tiers_resolve(const Tiers *tiers, const Tier *tier, NodeSet *ret_nodes);

/* The same for a process that runs on the nodes @home and may have memory of @allowed (NULL: all, of
 * both): of an automatic tier the nodes that are nearest to it. "node:LIST" is taken as it is. */
int tiers_resolve_near(const Tiers *tiers, const Tier *tier, const NodeSet *allowed,
                       const NodeSet *home, NodeSet *ret_nodes);

/* Whether tiers_resolve_near() depends on where the process runs. */
bool tiers_have_choice(const Tiers *tiers, const Tier *tier);

bool tiers_equal(const Tiers *a, const Tiers *b);

/* "cheap", "fast", or NULL for a node that belongs to no tier. */
const char *tiers_name_of(const Tiers *tiers, unsigned node);
