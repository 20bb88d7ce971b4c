/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/cli/daemonstate.h"
#include "daemon/device.h"
#include "daemon/topology.h"
#include "policy/config.h"

typedef struct Host Host;

/* What the subcommands show: the machine as this process sees it, and as the daemon does. One
 * snapshot, read in the order daemon, machine. */
struct Host {
        Device *devices;
        size_t n_devices;
        Config config;
        Topology topology;
        int daemon_error; /* 0: .daemon is valid; else why it is not, -ECONNREFUSED: not running */
        DaemonState daemon;
};

/* Reads all of it. The tiers are those that daxtierd publishes, else those of the configuration; a
 * configuration that is broken counts as the defaults here: it is for the daemon and for `daxtier
 * policy check` to complain. A kernel without a dax bus has no devices. */
int host_read(Host *ret_host);
void host_deinit(Host *host);

/* The configuration alone. -EBADMSG: *ret_error says where it is wrong. */
int host_config_read(Config *ret_config, ConfigError *ret_error);

/* The nodes that @tier stands for now. -ENXIO: none. Reads only what that takes. */
int host_tier_resolve(const Tier *tier, NodeSet *ret_nodes);

/* Bytes of the nodes of a tier. */
void host_sum(const Host *host, const NodeSet *nodes, uint64_t *ret_total, uint64_t *ret_free);
