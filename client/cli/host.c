/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/host.h"

#include <errno.h>
#include <fcntl.h>

#include "client/cli/daemonbus.h"
#include "daemon/bus.h"
#include "daemon/kernel/attr.h"
#include "daemon/kernel/conffiles.h"
#include "policy/macro.h"
#include "policy/published.h"

/* What the daemon publishes is a few lines a tier. */
#define PUBLISHED_BYTES_MAX ((size_t)64 * 1024)

int host_config_read(Config *ret_config, ConfigError *ret_error)
{
        _cleanup_(closep) int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (root_fd < 0)
                return -errno;
        return config_load(root_fd, ret_config, ret_error);
}

/* As host_config_read(), but a broken one is as none. */
static int config_read_lenient(Config *ret_config)
{
        _cleanup_(config_error_deinit) ConfigError error = {};
        int r = host_config_read(ret_config, &error);

        if (r < 0 && r != -ENOMEM) {
                config_init(ret_config);
                return 0;
        }
        return r;
}

/* The administrator's word, as the daemon has it: -ENOENT while it is not running. */
static int published_read(Tiers *ret_tiers)
{
        _cleanup_(freep) char *text = NULL;
        size_t size;
        int r = attr_read_all(AT_FDCWD, PUBLISHED_PATH, PUBLISHED_BYTES_MAX, &text, &size);

        return r < 0 ? r : tiers_parse(text, ret_tiers);
}

static int topology_read_published(const Config *config, Topology *ret_topology)
{
        Tiers published;
        Topology topology;
        int r = topology_read(config, &topology);

        if (r < 0)
                return r;
        if (published_read(&published) >= 0)
                tiers_sort(topology.nodes, topology.n_nodes, &published.cheap, &published.fast,
                           &topology.tiers);

        *ret_topology = topology;
        return 0;
}

static int daemon_state_read(DaemonState *ret_state)
{
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        int r = daemon_connect(BUS_SOCKET_PATH, &bus);

        return r < 0 ? r : daemon_read(bus, ret_state);
}

int host_read(Host *ret_host)
{
        _cleanup_(host_deinit) Host host = {};
        int r;

        host.daemon_error = daemon_state_read(&host.daemon);
        if (host.daemon_error == -ENOMEM)
                return -ENOMEM;

        r = devices_read(&host.devices, &host.n_devices);
        if (r < 0 && r != -EOPNOTSUPP)
                return r;
        r = config_read_lenient(&host.config);
        if (r < 0)
                return r;
        r = topology_read_published(&host.config, &host.topology);
        if (r < 0)
                return r;

        *ret_host = host;
        host = (Host){};
        return 0;
}

void host_deinit(Host *host)
{
        devices_free(host->devices, host->n_devices);
        config_deinit(&host->config);
        topology_deinit(&host->topology);
        daemon_state_deinit(&host->daemon);
        *host = (Host){};
}

int host_tier_resolve(const Tier *tier, NodeSet *ret_nodes)
{
        _cleanup_(topology_deinit) Topology topology = {};
        _cleanup_(config_deinit) Config config = {};
        NodeSet nodes, memory = {};
        int r;

        r = config_read_lenient(&config);
        if (r < 0)
                return r;
        r = topology_read_published(&config, &topology);
        if (r < 0)
                return r;
        r = tiers_resolve(&topology.tiers, tier, &nodes);
        if (r < 0)
                return r;

        /* "node:9" may be a word only: mbind() would refuse a node without memory. */
        for (size_t i = 0; i < topology.n_nodes; i++)
                if (topology.nodes[i].has_memory && nodeset_has(&nodes, topology.nodes[i].id))
                        nodeset_add(&memory, topology.nodes[i].id);
        if (tier->kind != TIER_DEFAULT && nodeset_is_empty(&memory))
                return -ENXIO;

        *ret_nodes = memory;
        return 0;
}

void host_sum(const Host *host, const NodeSet *nodes, uint64_t *ret_total, uint64_t *ret_free)
{
        uint64_t total = 0, free_bytes = 0;

        for (size_t i = 0; i < host->topology.n_nodes; i++)
                if (nodeset_has(nodes, host->topology.nodes[i].id)) {
                        total += host->topology.nodes[i].total_bytes;
                        free_bytes += host->topology.nodes[i].free_bytes;
                }

        *ret_total = total;
        *ret_free = free_bytes;
}
