/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The policy column of numa_maps for the caller's mapping that holds @address: what the kernel says,
 * with none of our own parsers between. */
static inline const char *own_policy(const void *address)
{
        static char policy[64];
        FILE *file = fopen("/proc/self/numa_maps", "re");
        char line[4096];

        cr_assert_not_null(file, "numa_maps: a kernel with CONFIG_NUMA is needed");
        policy[0] = '\0';
        while (fgets(line, sizeof(line), file)) {
                char candidate[64];
                uintptr_t start;

                cr_assert_eq(sscanf(line, "%" SCNxPTR " %63s", &start, candidate), 2);
                if (start <= (uintptr_t)address)
                        memcpy(policy, candidate, sizeof(policy));
        }
        fclose(file);

        return policy;
}
