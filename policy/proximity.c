/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/proximity.h"

#include <string.h>

#include "policy/tier.h"

/* Greater than any that the kernel prints. */
#define DISTANCE_UNKNOWN (UINT8_MAX + 1u)

static unsigned distance_at(const Proximity *proximity, size_t from, size_t to)
{
        uint8_t distance = proximity->distances[from][to];

        return distance != 0 ? distance : DISTANCE_UNKNOWN;
}

/* -1: a node that we know nothing of. */
static int position_of(const Proximity *proximity, unsigned node)
{
        for (size_t i = 0; i < proximity->n_nodes; i++)
                if (proximity->ids[i] == node)
                        return (int)i;
        return -1;
}

static bool has_cpus(const Proximity *proximity, size_t at)
{
        return nodeset_has(&proximity->cpus, proximity->ids[at]);
}

/* The nodes with CPUs that the memory is at the least distance from: all of them where the firmware
 * says nothing, and the kernel has one distance for everything that is remote. */
static uint64_t initiators_by_distance(const Proximity *proximity, size_t at)
{
        unsigned least = UINT32_MAX;
        uint64_t initiators = 0;

        for (size_t from = 0; from < proximity->n_nodes; from++) {
                unsigned distance = distance_at(proximity, from, at);

                if (!has_cpus(proximity, from) || distance > least)
                        continue;
                if (distance < least)
                        initiators = 0;
                least = distance;
                initiators |= UINT64_C(1) << from;
        }
        return initiators;
}

static uint64_t initiators_of(const Proximity *proximity, const Node *node, size_t at)
{
        uint64_t initiators = 0;

        for (size_t from = 0; from < proximity->n_nodes; from++)
                if (has_cpus(proximity, from) &&
                    nodeset_has(&node->initiators, proximity->ids[from]))
                        initiators |= UINT64_C(1) << from;

        return initiators != 0 ? initiators : initiators_by_distance(proximity, at);
}

void proximity_build(const Node *nodes, size_t n_nodes, Proximity *ret_proximity)
{
        size_t n = n_nodes < PROXIMITY_NODES_MAX ? n_nodes : PROXIMITY_NODES_MAX;
        Proximity *proximity = ret_proximity;

        *proximity = (Proximity){ .n_nodes = (uint32_t)n };
        for (size_t i = 0; i < n_nodes; i++)
                if (nodes[i].has_cpu)
                        nodeset_add(&proximity->cpus, nodes[i].id);

        for (size_t i = 0; i < n; i++) {
                int64_t latency = nodes[i].perf.read_latency_ns;

                proximity->ids[i] = nodes[i].id;
                if (latency > 0 && latency < UINT32_MAX)
                        proximity->latency_ns[i] = (uint32_t)latency;
                for (size_t to = 0; to < n; to++)
                        proximity->distances[i][to] = nodes[i].distances[nodes[to].id];
        }
        for (size_t i = 0; i < n; i++)
                proximity->initiators[i] = initiators_of(proximity, &nodes[i], i);
}

bool proximity_equal(const Proximity *a, const Proximity *b)
{
        return nodeset_equal(&a->cpus, &b->cpus) && a->n_nodes == b->n_nodes &&
               memcmp(a->ids, b->ids, sizeof(a->ids)) == 0 &&
               memcmp(a->latency_ns, b->latency_ns, sizeof(a->latency_ns)) == 0 &&
               memcmp(a->initiators, b->initiators, sizeof(a->initiators)) == 0 &&
               memcmp(a->distances, b->distances, sizeof(a->distances)) == 0;
}

bool proximity_matters(const Proximity *proximity)
{
        return nodeset_count(&proximity->cpus) > 1;
}

/* Adds those of @candidates that are nearest to the node at @from. */
static void add_nearest(const Proximity *proximity, const NodeSet *candidates, size_t from,
                        NodeSet *nearest)
{
        unsigned least = UINT32_MAX;
        NodeSet own = {}, closest = {};

        for (size_t at = 0; at < proximity->n_nodes; at++) {
                unsigned distance = distance_at(proximity, from, at);

                if (!nodeset_has(candidates, proximity->ids[at]))
                        continue;
                if (proximity->initiators[at] & (UINT64_C(1) << from))
                        nodeset_add(&own, proximity->ids[at]);
                if (distance < least)
                        closest = (NodeSet){};
                if (distance <= least) {
                        least = distance;
                        nodeset_add(&closest, proximity->ids[at]);
                }
        }

        nodeset_union(nearest, nodeset_is_empty(&own) ? &closest : &own);
}

/* Whether @home is less than the whole machine. */
static bool is_bound(const Proximity *proximity, const NodeSet *home)
{
        bool anywhere = true, somewhere = false;

        for (int node = nodeset_next(&proximity->cpus, 0); home && node >= 0;
             node = nodeset_next(&proximity->cpus, (unsigned)node + 1)) {
                bool is_home = nodeset_has(home, (unsigned)node);

                anywhere = anywhere && is_home;
                somewhere = somewhere || is_home;
        }
        return somewhere && !anywhere;
}

void proximity_nearest(const Proximity *proximity, const NodeSet *candidates, const NodeSet *home,
                       NodeSet *ret_nearest)
{
        NodeSet nearest = {};

        if (is_bound(proximity, home))
                for (size_t from = 0; from < proximity->n_nodes; from++)
                        if (has_cpus(proximity, from) && nodeset_has(home, proximity->ids[from]))
                                add_nearest(proximity, candidates, from, &nearest);

        *ret_nearest = nodeset_is_empty(&nearest) ? *candidates : nearest;
}

/* The least of all from the nodes of @home; NULL: from any. */
static unsigned distance_from(const Proximity *proximity, const NodeSet *home, size_t to)
{
        unsigned least = UINT32_MAX;

        for (size_t from = 0; from < proximity->n_nodes; from++) {
                unsigned distance = distance_at(proximity, from, to);

                if (has_cpus(proximity, from) &&
                    (!home || nodeset_has(home, proximity->ids[from])) && distance < least)
                        least = distance;
        }
        return least;
}

int proximity_first(const Proximity *proximity, const NodeSet *candidates, const NodeSet *home)
{
        uint32_t best_latency = UINT32_MAX, best_distance = UINT32_MAX;
        NodeSet nearest;
        int best = -1;

        proximity_nearest(proximity, candidates, home, &nearest);
        for (int node = nodeset_next(&nearest, 0); node >= 0;
             node = nodeset_next(&nearest, (unsigned)node + 1)) {
                int at = position_of(proximity, (unsigned)node);
                uint32_t latency = at >= 0 ? proximity->latency_ns[at] : 0;
                uint32_t distance =
                        at >= 0 ? distance_from(proximity, home, (size_t)at) : UINT32_MAX;

                latency = latency != 0 ? latency : UINT32_MAX;
                if (best < 0 || latency < best_latency ||
                    (latency == best_latency && distance < best_distance)) {
                        best = node;
                        best_latency = latency;
                        best_distance = distance;
                }
        }
        return best;
}
