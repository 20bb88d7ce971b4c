/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "policy/tier.h"

/* The NUMA nodes as /sys shows them: @sys_fd is an open /sys. Node.is_dax comes from
 * bus/dax/devices (a device bound to kmem whose target_node it is), Node.perf from the HMAT's
 * access1 (else access0) initiator attributes, .initiators from the links there, .distances from the
 * kernel's table. An array the caller frees, ordered by node. */
int nodes_read(int sys_fd, Node **ret_nodes, size_t *ret_n_nodes);

/* Bytes of the node that nobody uses now. -ENOENT: there is no such node, or it is offline. */
int node_free_bytes(int sys_fd, unsigned node, uint64_t *ret_bytes);

/* The firmware's distance (10: the node itself). -ENOENT as above. */
int node_distance(int sys_fd, unsigned from, unsigned to, unsigned *ret_distance);
