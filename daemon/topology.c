/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/topology.h"

#include <errno.h>
#include <fcntl.h>

#include "daemon/kernel/node.h"
#include "daemon/kernel/replace.h"
#include "policy/macro.h"
#include "policy/published.h"

int topology_read(const Config *config, Topology *ret_topology)
{
        _cleanup_(closep) int sys_fd = -1;
        Topology topology;
        int r;

        sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (sys_fd < 0)
                return -errno;

        r = nodes_read(sys_fd, &topology.nodes, &topology.n_nodes);
        if (r < 0)
                return r;

        tiers_sort(topology.nodes, topology.n_nodes,
                   config->cheap.automatic ? NULL : &config->cheap.nodes,
                   config->fast.automatic ? NULL : &config->fast.nodes, &topology.tiers);
        *ret_topology = topology;
        return 0;
}

void topology_deinit(Topology *topology)
{
        free(topology->nodes);
        *topology = (Topology){};
}

const NodePerf *topology_tier_perf(const Topology *topology, const NodeSet *tier)
{
        int first = nodeset_next(tier, 0);

        for (size_t i = 0; i < topology->n_nodes; i++)
                if (first >= 0 && topology->nodes[i].id == (unsigned)first)
                        return &topology->nodes[i].perf;
        return NULL;
}

int topology_publish(const Topology *topology, const char *path)
{
        _cleanup_(freep) char *text = NULL;
        int r;

        r = tiers_format(&topology->tiers, topology_tier_perf(topology, &topology->tiers.cheap),
                         topology_tier_perf(topology, &topology->tiers.fast), &text);
        if (r < 0)
                return r;

        return file_replace(AT_FDCWD, path, text, 0644);
}
