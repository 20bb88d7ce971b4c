/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/damonlist.h"
#include "daemon/kernel/memblock.h"
#include "policy/macro.h"

/* Settings of the kernel that anybody may have changed. */

#define DAMON_KDAMONDS "kernel/mm/damon/admin/kdamonds"
#define KDAMONDS_MAX   64u

int probe_auto_online(const Check *check, const Patient *patient, Findings *findings)
{
        char policy[32];
        int r = auto_online_read(patient->sys_fd, policy, sizeof(policy));

        if (r == -ENOENT)
                return findings_add(findings, VERDICT_OK, NULL,
                                    "the kernel has no policy for memory that appears");
        if (r < 0)
                return r;
        if (strcmp(policy, "offline") == 0)
                return findings_add(findings, VERDICT_OK, NULL,
                                    "the kernel leaves memory that appears offline");

        /* Not a fault: daxctl gives up here, daxtierd works around it. */
        return findings_add(findings, VERDICT_INFO, NULL,
                            "the kernel puts memory that appears online by itself (%s); daxtierd "
                            "turns that off for the moment of its own onlining",
                            policy);
}

int probe_overcommit(const Check *check, const Patient *patient, Findings *findings)
{
        uint64_t mode;
        int r = attr_read_u64(patient->proc_fd, "sys/vm/overcommit_memory", &mode);

        if (r < 0)
                return r;
        if (mode != 2)
                return findings_add(findings, VERDICT_OK, NULL,
                                    "private mappings may be larger than memory");

        return findings_add(findings, VERDICT_WARN, "sysctl vm.overcommit_memory=0",
                            "strict overcommit: the kernel counts every writable private mapping "
                            "in full and refuses those beyond the limit");
}

/* Bit 0 samples and moves pages towards the CPU that uses them, bit 1 promotes hot pages from slow
 * nodes. Both leave DAX mappings and mappings with a policy alone (vma_migratable(), MPOL_F_MOF). */
int probe_numa_balancing(const Check *check, const Patient *patient, Findings *findings)
{
        uint64_t mode;
        int r = attr_read_u64(patient->proc_fd, "sys/kernel/numa_balancing", &mode);

        if (r == -ENOENT || (r >= 0 && mode == 0))
                return findings_add(findings, VERDICT_OK, NULL, "NUMA balancing is off");
        if (r < 0)
                return r;

        return findings_add(findings, VERDICT_WARN, "sysctl kernel.numa_balancing=0",
                            "NUMA balancing is on (%s): memory that was moved to the cheap tier "
                            "and has no policy of its own, as cold anonymous memory, comes back",
                            mode & 2 ? "tiering: it promotes hot pages"
                                     : "it moves pages to the CPU that uses them");
}

static bool attr_is(int dir_fd, const char *path, const char *first, const char *second)
{
        char text[64];

        if (attr_read(dir_fd, path, text, sizeof(text)) < 0)
                return false;
        return strcmp(text, first) == 0 || strcmp(text, second) == 0;
}

static int probe_kdamonds(const Patient *patient, Findings *findings)
{
        uint64_t n_kdamonds;
        int r = attr_read_u64(patient->sys_fd, DAMON_KDAMONDS "/nr_kdamonds", &n_kdamonds);

        if (r == -ENOENT || (r >= 0 && damon_is_ours(patient->sys_fd)))
                return 0;
        if (r < 0)
                return r;

        for (unsigned i = 0; i < n_kdamonds && i < KDAMONDS_MAX; i++) {
                char path[64], mend[128];

                snprintf(path, sizeof(path), DAMON_KDAMONDS "/%u/state", i);
                if (!attr_is(patient->sys_fd, path, "on", "on"))
                        continue;
                snprintf(mend, sizeof(mend), "echo off >/sys/%s", path);
                r = findings_add(findings, VERDICT_WARN, mend,
                                 "DAMON is busy: somebody runs kdamond %u, so daxtierd cannot use "
                                 "DAMON for ColdAfter=, nor to move copies that exist already",
                                 i);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The kernel's own users of DAMON: each makes every other use -EBUSY. */
int probe_damon(const Check *check, const Patient *patient, Findings *findings)
{
        static const char *const modules[] = { "damon_stat", "damon_reclaim", "damon_lru_sort" };
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
                char path[64], mend[128];

                snprintf(path, sizeof(path), "module/%s/parameters/enabled", modules[i]);
                if (!attr_is(patient->sys_fd, path, "Y", "1"))
                        continue;
                snprintf(mend, sizeof(mend), "echo N >/sys/%s", path);
                r = findings_add(findings, VERDICT_WARN, mend,
                                 "DAMON is busy: %s is enabled, so daxtierd cannot use DAMON for "
                                 "ColdAfter=, nor to move copies that exist already%s",
                                 modules[i],
                                 i == 0 ? "; [Daemon] Damon=take switches it off when needed" : "");
                if (r < 0)
                        return r;
        }

        r = probe_kdamonds(patient, findings);
        if (r < 0)
                return r;
        if (findings->n_items == 0)
                return findings_add(findings, VERDICT_OK, NULL, "nobody else uses DAMON");
        return 0;
}

int probe_demotion(const Check *check, const Patient *patient, Findings *findings)
{
        if (faccessat(patient->sys_fd, "kernel/mm/numa/demotion_enabled", F_OK, 0) < 0 &&
            errno == ENOENT)
                return findings_add(
                        findings, VERDICT_INFO, NULL,
                        "the kernel's reclaim cannot demote pages to slower nodes, which "
                        "FastMax= takes, and what moves pages where DAMON cannot");
        if (attr_is(patient->sys_fd, "kernel/mm/numa/demotion_enabled", "true", "1"))
                return findings_add(findings, VERDICT_OK, NULL,
                                    "reclaim demotes cold pages to slower nodes");

        return findings_add(findings, VERDICT_INFO,
                            "echo true >/sys/kernel/mm/numa/demotion_enabled",
                            "reclaim does not demote cold pages to slower nodes; daxtierd turns "
                            "that on while it needs it");
}
