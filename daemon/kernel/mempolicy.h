/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "policy/nodeset.h"

/* mbind(2) on the caller's own range: prefer @nodes (PREFERRED for one node, PREFERRED_MANY for
 * several, with PREFERRED of the first where the kernel is older than 5.15), or bind to them when
 * @strict. Falls back to DRAM when full unless strict; strict and full is an OOM kill by the
 * kernel. Moves nothing that is there already. An empty set resets to the default policy.
 * -EINVAL: a node that is not online; -ENOMEM: a hole in the range. */
int mempolicy_apply(void *address, size_t length, const NodeSet *nodes, bool strict);
