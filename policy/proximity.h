/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which nodes of memory are near to which processors. Two sources, the better first: the initiators
 * that the HMAT names for a node, and the kernel's table of distances. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/nodeset.h"

typedef struct Node Node;
typedef struct Proximity Proximity;

/* Nodes that we know this of: no machine is known to have more. Of others nothing is said. */
#define PROXIMITY_NODES_MAX 64u

/* Positions are those in .ids. All zeros: nothing is known, and no node is nearer than another. */
struct Proximity {
        NodeSet cpus;     /* the nodes with CPUs */
        uint32_t n_nodes; /* in the rest: */
        uint32_t ids[PROXIMITY_NODES_MAX];
        uint32_t latency_ns[PROXIMITY_NODES_MAX]; /* of a read by its initiators; 0: not known */
        uint64_t initiators[PROXIMITY_NODES_MAX]; /* bits of positions: who it is nearest to */
        uint8_t distances[PROXIMITY_NODES_MAX][PROXIMITY_NODES_MAX]; /* from, to; 0: not known */
};

void proximity_build(const Node *nodes, size_t n_nodes, Proximity *ret_proximity);

bool proximity_equal(const Proximity *a, const Proximity *b);

/* Whether it makes a difference where a process runs: there is more than one node with CPUs. */
bool proximity_matters(const Proximity *proximity);

/* Those of @candidates that a process which runs on the nodes @home has nearest: of each node of
 * @home the ones that it is the best initiator of, and if it is of none, those at the least distance.
 * NULL, or all nodes with CPUs: all of them, the kernel then chooses by where each thread runs. */
void proximity_nearest(const Proximity *proximity, const NodeSet *candidates, const NodeSet *home,
                       NodeSet *ret_nearest);

/* The one to begin with: of the nearest that with the least latency, then at the least distance, then
 * of the lowest number. -1: @candidates is empty. */
int proximity_first(const Proximity *proximity, const NodeSet *candidates, const NodeSet *home);
