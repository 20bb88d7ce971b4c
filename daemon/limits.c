/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/kernel/cgroup.h"
#include "daemon/placement.h"
#include "policy/macro.h"

/* Bytes on the cheap tier of a cgroup that has a limit. */
static uint64_t cgroup_cheap_bytes(const Placement *placement, const char *cgroup)
{
        uint64_t bytes = 0;

        if (cgroup_node_bytes(placement->host.cgroup_fd, cgroup, &placement->tiers.cheap, &bytes) >=
            0)
                return bytes;

        /* No memory controller there: what was seen at the last look. */
        for (const Target *target = placement->targets.by_pid; target; target = target->hh.next)
                if (target->rule && strcmp(target->subject.cgroup, cgroup) == 0) {
                        bytes += target->anon.cheap_bytes;
                        for (size_t i = 0; i < target->n_mappings; i++)
                                bytes += target->mappings[i].cheap_bytes;
                }
        return bytes;
}

bool limits_is_spent(const Placement *placement, const Target *target, const Intent *intent)
{
        const CgroupAccount *cgroup =
                target->rule ? account_find(&placement->account, target->subject.cgroup) : NULL;

        return cgroup && cgroup->exhausted &&
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

static int poll_arm(Placement *placement);

static int on_poll(sd_event_source *source, uint64_t usec, void *userdata)
{
        Placement *placement = userdata;
        uint64_t now = placement_now(placement);

        for (CgroupAccount *cgroup = placement->account.cgroups, *next; cgroup; cgroup = next) {
                next = cgroup->hh.next;
                if (cgroup->poll_usec <= now &&
                    cgroup_account_update(cgroup, cgroup_cheap_bytes(placement, cgroup->cgroup),
                                          now))
                        cgroup_look_again(placement, cgroup->cgroup);
        }
        return poll_arm(placement);
}

static int poll_arm(Placement *placement)
{
        uint64_t next = account_next_poll(&placement->account);
        int r;

        if (next == UINT64_MAX)
                return 0;
        if (!placement->poll_timer) {
                r = sd_event_add_time(placement->event, &placement->poll_timer, CLOCK_MONOTONIC,
                                      next, 1, on_poll, placement);
                return r < 0 ? r : sd_event_source_set_description(placement->poll_timer, "limits");
        }

        r = sd_event_source_set_time(placement->poll_timer, next);
        return r < 0 ? r : sd_event_source_set_enabled(placement->poll_timer, SD_EVENT_ONESHOT);
}

void limits_look(Placement *placement, const Target *target)
{
        CgroupAccount *cgroup;

        if (target->rule->limits.cheap_max == RULE_UNSET &&
            !account_find(&placement->account, target->subject.cgroup))
                return;

        cgroup = account_cgroup(&placement->account, target->subject.cgroup, &target->rule->limits);
        if (!cgroup || cgroup->poll_usec != 0)
                return;
        cgroup_account_update(cgroup, cgroup_cheap_bytes(placement, cgroup->cgroup),
                              placement_now(placement));
        poll_arm(placement);
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
