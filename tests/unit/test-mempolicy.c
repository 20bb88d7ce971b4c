/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <numaif.h>
#include <sys/mman.h>

#include "daemon/kernel/mempolicy.h"
#include "policy/macro.h"

#define LENGTH ((size_t)16 * 4096)

/* The policy that the kernel has for the page at @address. */
static int policy_of(void *address, NodeSet *ret_nodes)
{
        int mode;

        *ret_nodes = (NodeSet){};
        cr_assert_eq(get_mempolicy(&mode, ret_nodes->bits, NODESET_MAX + 1, address, MPOL_F_ADDR),
                     0, "%m");
        return mode;
}

static char *map_anonymous(void)
{
        char *map = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        cr_assert_neq(map, MAP_FAILED);
        return map;
}

static NodeSet set_of(const char *text)
{
        NodeSet set;

        cr_assert_eq(nodeset_parse(text, &set), 0);
        return set;
}

Test(mempolicy, prefers_binds_and_resets_just_the_range)
{
        char *map = map_anonymous(), *middle = map + LENGTH / 4;
        NodeSet node0 = set_of("0"), none = {}, seen;

        cr_assert_eq(mempolicy_apply(middle, LENGTH / 2, &node0, false), 0);
        cr_assert_eq(policy_of(middle, &seen), MPOL_PREFERRED);
        cr_assert(nodeset_equal(&seen, &node0));
        cr_assert_eq(policy_of(middle + LENGTH / 2 - 1, &seen), MPOL_PREFERRED);
        cr_assert_eq(policy_of(middle - 1, &seen), MPOL_DEFAULT);
        cr_assert_eq(policy_of(middle + LENGTH / 2, &seen), MPOL_DEFAULT);

        cr_assert_eq(mempolicy_apply(middle, LENGTH / 2, &node0, true), 0);
        cr_assert_eq(policy_of(middle, &seen), MPOL_BIND);
        cr_assert(nodeset_equal(&seen, &node0));

        cr_assert_eq(mempolicy_apply(middle, LENGTH / 2, &none, false), 0);
        cr_assert_eq(policy_of(middle, &seen), MPOL_DEFAULT);
        munmap(map, LENGTH);
}

Test(mempolicy, several_nodes_are_preferred_together)
{
        char *map = map_anonymous();
        NodeSet nodes = set_of("0-1"), seen;

        /* Of these the kernel keeps the ones that are online: on any machine node 0. */
        cr_assert_eq(mempolicy_apply(map, LENGTH, &nodes, false), 0);
        cr_assert_eq(policy_of(map, &seen), MPOL_PREFERRED_MANY);
        cr_assert(nodeset_has(&seen, 0));
        munmap(map, LENGTH);
}

Test(mempolicy, refuses_absent_nodes_unaligned_addresses_and_holes)
{
        char *map = map_anonymous();
        NodeSet node0 = set_of("0"), absent = set_of("1023"), several = set_of("1020-1023"),
                none = {}, seen;

        cr_assert_eq(mempolicy_apply(map, LENGTH, &absent, false), -EINVAL);
        cr_assert_eq(mempolicy_apply(map, LENGTH, &absent, true), -EINVAL);
        cr_assert_eq(mempolicy_apply(map, LENGTH, &several, false), -EINVAL);
        cr_assert_eq(mempolicy_apply(map + 1, LENGTH - 4096, &node0, false), -EINVAL);
        cr_assert_eq(policy_of(map, &seen), MPOL_DEFAULT, "nothing happened");

        cr_assert_eq(munmap(map + LENGTH / 2, 4096), 0);
        cr_assert_eq(mempolicy_apply(map, LENGTH, &node0, false), -EFAULT);
        cr_assert_eq(mempolicy_apply(map, LENGTH, &none, false), 0);
        munmap(map, LENGTH);
}
