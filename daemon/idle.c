/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/idle.h"

#include <fcntl.h>
#include <stdio.h>

#include "policy/macro.h"

/* What is less is not worth the start of a process, and may be no more than what is not known exactly. */
#define WORTH_BYTES (UINT64_C(256) << 10)

/* Rounds of ColdAfter= between two guesses that find nothing. */
#define REST_ROUNDS_MAX 63u

bool idle_want(CgroupAccount *cgroup, const AnonRule *anon)
{
        Cold *cold = &cgroup->cold;

        if (anon->cold_tier.kind != TIER_CHEAP) {
                snprintf(
                        cgroup->reason, sizeof(cgroup->reason),
                        "Without DAMON reclaim serves ColdAfter=, and that finds a node by itself: "
                        "ColdTier=cheap is all that it can do.");
                return false;
        }
        if (cold->after_usec != RULE_UNSET && anon->cold_after_usec <= cold->after_usec)
                return false;
        *cold = (Cold){ .after_usec = anon->cold_after_usec };
        return true;
}

bool idle_is_needed(int sys_fd)
{
        return faccessat(sys_fd, "kernel/mm/damon/admin", F_OK, 0) < 0;
}

bool idle_next(const CgroupAccount *cgroup, uint64_t now_usec, RelocateKind *ret_kind,
               uint64_t *ret_due_usec)
{
        static const RelocateKind kinds[] = {
                [COLD_MARK] = RELOCATE_MARK,
                [COLD_MEASURE] = RELOCATE_MEASURE,
                [COLD_DEMOTE] = RELOCATE_COLDEST,
        };
        const Cold *cold = &cgroup->cold;

        if (cold->after_usec == RULE_UNSET) {
                *ret_due_usec = UINT64_MAX;
                return false;
        }
        *ret_due_usec = cold->due_usec;
        if (cold->due_usec > now_usec)
                return false;
        *ret_kind = kinds[cold->phase];
        return true;
}

static unsigned next_rest(unsigned rounds)
{
        return rounds < REST_ROUNDS_MAX ? rounds * 2 + 1 : REST_ROUNDS_MAX;
}

/* Beyond what is known to be idle on the fast tier there may be more, if as much on the cheap one is
 * accessed again. That can only be tried, and costs a few pages that are in use where it is not so:
 * less and less often, then. */
static void measured(Cold *cold, const RelocateResult *result)
{
        cold->is_guess = result->left_bytes < WORTH_BYTES;
        cold->bytes = cold->is_guess ? result->idle_bytes : result->left_bytes;
        cold->phase = COLD_MARK;
        if (result->error < 0 || cold->bytes < WORTH_BYTES)
                return;
        if (cold->is_guess && cold->n_rounds++ < cold->rest_rounds)
                return;
        cold->n_rounds = 0;
        cold->phase = COLD_DEMOTE;
}

static void demoted(Cold *cold, const RelocateResult *result)
{
        if (cold->is_guess)
                cold->rest_rounds =
                        result->moved_bytes >= WORTH_BYTES ? 0 : next_rest(cold->rest_rounds);
        cold->bytes -= result->moved_bytes < cold->bytes ? result->moved_bytes : cold->bytes;
        /* What is left will not go now, and by and by what was accessed would be taken for it. */
        if (result->error < 0 || result->moved_bytes == 0 || cold->bytes < WORTH_BYTES)
                cold->phase = COLD_MARK;
}

void idle_done(CgroupAccount *cgroup, const RelocateRequest *request, const RelocateResult *result,
               uint64_t now_usec)
{
        Cold *cold = &cgroup->cold;

        if (cold->after_usec == RULE_UNSET)
                return; /* not wanted any more */

        switch (request->kind) {
        case RELOCATE_MARK:
                cold->phase = result->error < 0 ? COLD_MARK : COLD_MEASURE;
                cold->due_usec = now_usec + cold->after_usec;
                break;
        case RELOCATE_MEASURE:
                measured(cold, result);
                break;
        default:
                demoted(cold, result);
                break;
        }
}
