/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "policy/mapping.h"
#include "policy/nodeset.h"

/* mbind(2) on the caller's own range: prefer @nodes (PREFERRED for one node, PREFERRED_MANY for
 * several, with PREFERRED of the first where the kernel is older than 5.15), or bind to them when
 * @strict. Falls back to DRAM when full unless strict; strict and full is an OOM kill by the
 * kernel. Moves nothing that is there already. An empty set resets to the default policy.
 * -EINVAL: @address is not page-aligned, or none of the nodes is online with memory and allowed by
 * the caller's cpuset; -EFAULT: a hole in the range (not noticed when resetting); -ENOMEM: the
 * process has as many mappings as it may have. */
int mempolicy_apply(void *address, size_t length, const NodeSet *nodes, bool strict);

/* get_mempolicy(2): the policy of the caller's own VMA at @address, or that of the calling thread if
 * it has none, as numa_maps prints it; but at once, where numa_maps walks page tables. -EFAULT:
 * nothing is mapped there; -EPERM, -ENOSYS: a seccomp filter, or a kernel without NUMA. */
int mempolicy_read(const void *address, VmaPolicy *ret_policy, NodeSet *ret_nodes);
