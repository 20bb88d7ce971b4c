/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/mempolicy.h"

#include <errno.h>
#include <numaif.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "policy/macro.h"

/* get_mempolicy(2) returns the mode with its flags in the upper bits of 16. */
#define MODE_MASK 0xfff

/* Not libnuma's mbind(): the preload shim would bring that library, whose constructor reads /sys,
 * into every process of a program that runs under it. */
static int bind_range(void *address, size_t length, int mode, const NodeSet *nodes)
{
        /* The kernel reads one bit less than maxnode says. */
        if (syscall(SYS_mbind, address, length, mode, nodes ? nodes->bits : NULL,
                    nodes ? NODESET_MAX + 1UL : 0UL, 0UL) < 0)
                return -errno;

        return 0;
}

int mempolicy_apply(void *address, size_t length, const NodeSet *nodes, bool strict)
{
        NodeSet first = {};
        int r;

        if (nodeset_is_empty(nodes))
                return bind_range(address, length, MPOL_DEFAULT, NULL);
        if (strict)
                return bind_range(address, length, MPOL_BIND, nodes);

        if (nodeset_count(nodes) > 1) {
                /* Before 5.15 there is no PREFERRED_MANY, and it answers as to any nonsense. What
                 * is nonsense for another reason is so for PREFERRED, too. */
                r = bind_range(address, length, MPOL_PREFERRED_MANY, nodes);
                if (r != -EINVAL)
                        return r;
        }

        nodeset_add(&first, (unsigned)nodeset_next(nodes, 0));
        return bind_range(address, length, MPOL_PREFERRED, &first);
}

static int get_policy(const void *address, unsigned long flags, int *ret_mode, NodeSet *ret_nodes)
{
        NodeSet nodes = {};
        int mode;

        if (syscall(SYS_get_mempolicy, &mode, nodes.bits, NODESET_MAX + 1UL, address, flags) < 0)
                return -errno;

        *ret_mode = mode & MODE_MASK;
        *ret_nodes = nodes;
        return 0;
}

int mempolicy_read(const void *address, VmaPolicy *ret_policy, NodeSet *ret_nodes)
{
        VmaPolicy policy = VMA_POLICY_OTHER;
        NodeSet nodes = {};
        int mode = MPOL_DEFAULT, r;

        r = get_policy(address, MPOL_F_ADDR, &mode, &nodes);
        if (r >= 0 && mode == MPOL_DEFAULT)
                r = get_policy(NULL, 0, &mode, &nodes);
        if (r < 0)
                return r;

        if (mode == MPOL_DEFAULT)
                policy = VMA_POLICY_DEFAULT;
        else if (mode == MPOL_BIND)
                policy = VMA_POLICY_BIND;
        else if ((mode == MPOL_PREFERRED || mode == MPOL_PREFERRED_MANY) &&
                 !nodeset_is_empty(&nodes)) /* preferring no node is the old way to say local */
                policy = VMA_POLICY_PREFERRED;

        *ret_policy = policy;
        *ret_nodes = nodes;
        return 0;
}
