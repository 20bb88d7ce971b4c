/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/idle.h"
#include "daemon/kernel/cgroup.h"
#include "daemon/placement.h"
#include "daemon/timer.h"
#include "policy/macro.h"

/* Bytes on a tier of a cgroup that has a limit. */
static uint64_t cgroup_tier_bytes(const Placement *placement, const char *cgroup, bool fast)
{
        const NodeSet *nodes = fast ? &placement->tiers.fast : &placement->tiers.cheap;
        uint64_t bytes = 0;

        if (cgroup_node_bytes(placement->host.cgroup_fd, cgroup, nodes, &bytes) >= 0)
                return bytes;

        /* No memory controller there: what was seen at the last look. */
        for (const Target *target = placement->targets.by_pid; target; target = target->hh.next)
                if (target->rule && strcmp(target->subject.cgroup, cgroup) == 0) {
                        bytes += fast ? target->anon.fast_bytes : target->anon.cheap_bytes;
                        for (size_t i = 0; i < target->n_mappings; i++)
                                bytes += fast ? target->mappings[i].fast_bytes
                                              : target->mappings[i].cheap_bytes;
                }
        return bytes;
}

bool limits_is_spent(const Placement *placement, const Target *target, const Intent *intent)
{
        const CgroupAccount *cgroup =
                target->rule ? account_find(&placement->account, target->subject.cgroup) : NULL;

        return cgroup && cgroup->cheap.exhausted &&
               nodeset_first_common(&intent->nodes, &placement->tiers.cheap) >= 0;
}

static void cgroup_look_again(Placement *placement, const char *cgroup)
{
        for (Target *target = placement->targets.by_pid; target; target = target->hh.next)
                if (target->rule && strcmp(target->subject.cgroup, cgroup) == 0) {
                        target->anon.is_settled =
                                false; /* its threads are to lose it, or to have it again */
                        placement_due(placement, target, 0);
                }
}

void limits_read(Placement *placement, CgroupAccount *cgroup)
{
        uint64_t now = placement_now(placement);

        if (cgroup->fast.poll_usec <= now) {
                if (cgroup_limit_update(&cgroup->fast,
                                        cgroup_tier_bytes(placement, cgroup->cgroup, true), now))
                        aging_due(placement); /* whether hot memory may come back */
                cgroup_over_update(cgroup);
        }
        if (cgroup->cheap.poll_usec <= now &&
            cgroup_limit_update(&cgroup->cheap, cgroup_tier_bytes(placement, cgroup->cgroup, false),
                                now))
                cgroup_look_again(placement, cgroup->cgroup);
}

static int poll_arm(Placement *placement);

static int on_poll(sd_event_source *source, uint64_t usec, void *userdata)
{
        Placement *placement = userdata;

        for (CgroupAccount *cgroup = placement->account.cgroups; cgroup; cgroup = cgroup->hh.next)
                limits_read(placement, cgroup);
        demoting_start(placement);
        return poll_arm(placement);
}

static int poll_arm(Placement *placement)
{
        static const TimerKind kind = { "limits", on_poll, 1 };
        uint64_t next = account_next_poll(&placement->account);

        return next == UINT64_MAX ? 0
                                  : timer_set(placement->event, &placement->poll_timer, next, &kind,
                                              placement);
}

/* What its rule has for the demoter to do. */
static bool needs_idle(const Placement *placement, const Rule *rule)
{
        return placement->cold_by_reclaim && rule->anon.cold_after_usec != RULE_UNSET;
}

void limits_look(Placement *placement, const Target *target)
{
        const Rule *rule = target->rule;
        CgroupAccount *cgroup;

        if (rule->limits.cheap_max == RULE_UNSET && rule->limits.fast_max == RULE_UNSET &&
            !needs_idle(placement, rule) &&
            !account_find(&placement->account, target->subject.cgroup))
                return;

        cgroup = account_cgroup(&placement->account, target->subject.cgroup, &rule->limits);
        if (!cgroup)
                return;
        if (needs_idle(placement, rule) && idle_want(cgroup, &rule->anon))
                demoting_due(placement, 0);
        if (cgroup->cheap.poll_usec == 0 || cgroup->fast.poll_usec == 0) {
                limits_read(placement, cgroup);
                poll_arm(placement);
        }
}

void limits_forget(Placement *placement)
{
        Account *account = &placement->account;

        for (CgroupAccount *cgroup = account->cgroups; cgroup; cgroup = cgroup->hh.next)
                cgroup->in_use = false;
        for (const Target *target = placement->targets.by_pid; target; target = target->hh.next) {
                CgroupAccount *cgroup =
                        target->rule ? account_find(account, target->subject.cgroup) : NULL;

                if (cgroup)
                        cgroup->in_use = true;
        }
        for (CgroupAccount *cgroup = account->cgroups, *next; cgroup; cgroup = next) {
                next = cgroup->hh.next;
                if (!cgroup->in_use)
                        account_forget(account, cgroup);
        }
}
