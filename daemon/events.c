/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/log.h"
#include "daemon/placement.h"
#include "policy/macro.h"

/* A child, or a new program, is looked at when it has lived for so long: many do not. Its new
 * mappings are heard of at once. */
#define SETTLE_USEC UINT64_C(10000)

/* Whether a new mapping can matter: most are of libraries, on devices that have no DAX. */
static bool may_concern(Placement *placement, const Target *target, const WatchEvent *event)
{
        if (!target || !target->scanned)
                return !placement->all_dax ||
                       scanner_may_concern(&placement->scanner, &placement->rules[0],
                                           event->dev_major, event->dev_minor);

        return target->rule && scanner_may_concern(&placement->scanner, target->rule,
                                                   event->dev_major, event->dev_minor);
}

static void on_map(Placement *placement, const WatchEvent *event)
{
        Target *target = targets_find(&placement->targets, event->pid);

        placement->account.map_events++;
        if (!may_concern(placement, target, event))
                return;

        target = placement_target(placement, event->pid);
        if (!target)
                return;
        if (target->heard_ns == 0)
                target->heard_ns = event->time_ns;
        placement_due(placement, target, 0);
}

/* It has its parent's mappings, and their policies. */
static void on_fork(Placement *placement, const WatchEvent *event)
{
        const Target *parent = targets_find(&placement->targets, event->parent);
        Target *child;

        /* Without a rule it may be yet to be looked at anew, or to lose what it was given. */
        if (!parent || (parent->scanned && parent->n_mappings == 0 && !parent->anon.is_concerned &&
                        !parent->anon.given))
                return;
        child = placement_target(placement, event->pid);
        if (!child)
                return;
        if (child != parent)
                (void)target_inherit(&placement->targets, child, parent);
        placement_due(placement, child, SETTLE_USEC);
}

static void on_lost(Placement *placement)
{
        int r;

        placement->account.lost_events++;
        r = placement_make_up(placement);
        if (r < 0)
                log_event(LOG_WARNING, LOG_ID_WATCH, NULL, r,
                          "Events were lost, and what they told of is not looked for before the "
                          "next regular check: %s",
                          strerror(-r));
}

static void on_exec(Placement *placement, const WatchEvent *event)
{
        Target *target = targets_find(&placement->targets, event->pid);

        if (target) {
                target_give(target, target_given(&placement->targets, target));
                apply_cancel(TAKE_PTR(target->apply));
                target_stop_moving(placement, target);
                target_forget(&placement->targets, target);
        }
        if (!target)
                target = placement_target(placement, event->pid);
        if (target)
                placement_due(placement, target, SETTLE_USEC);
}

void placement_hear(const WatchEvent *event, void *userdata)
{
        Placement *placement = userdata;
        Target *target;

        switch (event->kind) {
        case WATCH_MAP:
                on_map(placement, event);
                break;
        case WATCH_FORK:
                on_fork(placement, event);
                break;
        case WATCH_EXEC:
                on_exec(placement, event);
                break;
        case WATCH_EXIT:
                target = targets_find(&placement->targets, event->pid);
                if (target)
                        placement_remove(placement, target);
                break;
        case WATCH_LOST:
                on_lost(placement);
                break;
        case WATCH_CGROUPS:
                placement_sweep(placement);
                break;
        }
}
