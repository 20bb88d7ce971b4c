/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "policy/config.h"
#include "policy/tier.h"

typedef struct Topology Topology;

/* A snapshot of the machine's nodes and the tiers they make under a configuration. Built new and
 * swapped in, never changed. */
struct Topology {
        Node *nodes; /* ordered by id */
        size_t n_nodes;
        Tiers tiers;
};

int topology_read(const Config *config, Topology *ret_topology);
void topology_deinit(Topology *topology);

/* The numbers of a tier's first node; NULL: the tier has none. Points into @topology. */
const NodePerf *topology_tier_perf(const Topology *topology, const NodeSet *tier);

/* Writes the tiers, world-readable and atomically, to @path (/run/daxtierd/tiers), where
 * libdaxtier reads them (policy/published.h). */
int topology_publish(const Topology *topology, const char *path);
