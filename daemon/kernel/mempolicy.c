/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/mempolicy.h"

#include <errno.h>
#include <numaif.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "policy/macro.h"

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
