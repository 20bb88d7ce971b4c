/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/check.h"

#include <errno.h>
#include <fcntl.h>

#include "daemon/kernel/damon.h"
#include "daemon/kernel/engine.h"
#include "daemon/kernel/reclaim.h"
#include "policy/macro.h"

/* What moves pages that exist: copies, cold memory, and what is more than FastMax=. */

/* False: only root can tell. */
static bool engines_read(const Patient *patient, EngineState ret_states[static RELOCATE_ENGINES])
{
        _cleanup_(closep) int beside_fd = openat(patient->sys_fd, "fs/cgroup/unified",
                                                 O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                              cgroup_fd = openat(patient->sys_fd, "fs/cgroup",
                                                 O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (faccessat(patient->sys_fd, "kernel/mm", W_OK, AT_EACCESS) < 0 && errno == EACCES)
                return false;
        engine_probe(patient->sys_fd, beside_fd >= 0 ? beside_fd : cgroup_fd, ret_states);
        return true;
}

static int unknown_add(Findings *findings, const char *what)
{
        return findings_add(findings, VERDICT_UNKNOWN, "sudo daxtier doctor",
                            "only root can tell what %s", what);
}

/* Copies in DAX mappings are moved by the first three engines; move_pages() cannot. */
int probe_relocation(const Check *check, const Patient *patient, Findings *findings)
{
        EngineState states[RELOCATE_ENGINES];
        char names[64] = "";

        if (!engines_read(patient, states))
                return unknown_add(findings, "moves copies that exist already");

        for (unsigned i = 0; i < RELOCATE_RECLAIM; i++)
                if (states[i].available) {
                        strcat(names, engine_name(i));
                        strcat(names, ", ");
                }
        if (*names)
                return findings_add(findings, VERDICT_OK, NULL,
                                    "copies that exist already are moved by the first that will: "
                                    "%s%s",
                                    names,
                                    states[RELOCATE_RECLAIM].available
                                            ? engine_name(RELOCATE_RECLAIM)
                                            : "no other");
        if (states[RELOCATE_RECLAIM].available)
                return findings_add(findings, VERDICT_WARN, NULL,
                                    "only reclaim moves copies that exist already: coarsely, and "
                                    "not those always in use. DAMON: %s",
                                    states[RELOCATE_DAMON_PADDR].reason);

        return findings_add(findings, VERDICT_WARN, NULL,
                            "nothing moves copies that exist already. DAMON: %s. Reclaim: %s",
                            states[RELOCATE_DAMON_PADDR].reason, states[RELOCATE_RECLAIM].reason);
}

/* Reclaim demotes to lower memory tiers only, which the kernel makes of what the firmware states. */
static int demotion_judge(const Patient *patient, EngineState *state)
{
        const NodeSet *fast = &patient->host->topology.tiers.fast,
                      *cheap = &patient->host->topology.tiers.cheap;
        bool goes = true;

        if (!state->available)
                return 0;

        for (int n = nodeset_next(fast, 0); goes && n >= 0;
             n = nodeset_next(fast, (unsigned)n + 1)) {
                int r = reclaim_goes_to(patient->sys_fd, (unsigned)n, cheap, &goes);

                if (r < 0)
                        return r;
        }
        if (!goes) {
                state->available = false;
                strcpy(state->reason, "the kernel has the cheap nodes in no lower memory tier than "
                                      "the fast ones, and demotes to such only");
        }
        return 0;
}

int probe_cold(const Check *check, const Patient *patient, Findings *findings)
{
        EngineState states[RELOCATE_ENGINES];
        const EngineState *damon = &states[RELOCATE_DAMON_PADDR];
        EngineState *reclaim = &states[RELOCATE_RECLAIM];
        bool is_taken;
        char holder[160];
        int r;

        if (!engines_read(patient, states))
                return unknown_add(findings, "serves ColdAfter=");
        if (damon->available)
                return findings_add(findings, VERDICT_OK, NULL, "ColdAfter= is served by DAMON");

        is_taken = damon_is_taken(patient->sys_fd, holder, sizeof(holder));
        if (is_taken && patient->host->config.damon_take)
                return findings_add(findings, VERDICT_INFO, NULL,
                                    "ColdAfter= is served by DAMON, which Damon=take gets when a "
                                    "policy needs it, unless it runs for another program: %s",
                                    holder);
        if (is_taken)
                return findings_add(findings, VERDICT_WARN, NULL,
                                    "ColdAfter= waits for DAMON, which has one user at a time: %s",
                                    holder);

        r = demotion_judge(patient, reclaim);
        if (r < 0)
                return r;
        if (reclaim->available)
                return findings_add(findings, VERDICT_WARN, NULL,
                                    "ColdAfter= is only served by reclaim: coarsely, of whole "
                                    "cgroups, not while swap is on, and HotTier= not at all. "
                                    "DAMON: %s",
                                    damon->reason);
        return findings_add(findings, VERDICT_WARN, NULL,
                            "nothing serves ColdAfter=. DAMON: %s. Reclaim: %s", damon->reason,
                            reclaim->reason);
}

int probe_fast_max(const Check *check, const Patient *patient, Findings *findings)
{
        EngineState states[RELOCATE_ENGINES];
        EngineState *reclaim = &states[RELOCATE_RECLAIM];
        int r;

        if (!engines_read(patient, states))
                return unknown_add(findings, "serves FastMax=");

        r = demotion_judge(patient, reclaim);
        if (r < 0)
                return r;
        if (reclaim->available)
                return findings_add(findings, VERDICT_OK, NULL,
                                    "FastMax= is served by reclaim, which demotes");
        return findings_add(findings, VERDICT_WARN, NULL, "nothing serves FastMax=. Reclaim: %s",
                            reclaim->reason);
}
