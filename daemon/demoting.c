/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "daemon/idle.h"
#include "daemon/kernel/cgroup.h"
#include "daemon/kernel/process.h"
#include "daemon/log.h"
#include "daemon/placement.h"
#include "daemon/timer.h"
#include "policy/macro.h"
#include "policy/match.h"

/* After a failure it is tried again, less and less often. */
#define RETRY_FIRST_USEC UINT64_C(1000000)
#define RETRY_LAST_USEC  UINT64_C(300000000)

/* A process that was not looked at yet is looked at meanwhile. */
#define LOOK_USEC UINT64_C(100000)

/* A demotion begins with so much of a second's MoveRate= saved, and keeps the rate by itself for so long;
 * then it is another cgroup's turn. */
#define SAVED(rate)  ((rate) / 8u)
#define TURN_SECONDS 2u

/* What one cgroup is to have done. */
typedef struct Demand {
        CgroupAccount *cgroup;
        RelocateKind kind;
        bool for_limit;
        uint64_t keep_bytes;
        uint64_t bytes_max;
} Demand;

static bool rule_may_demote(const Rule *rule)
{
        return rule->limits.fast_max != RULE_UNSET || rule->anon.cold_after_usec != RULE_UNSET;
}

/* Whether whoever is in this cgroup gets such a policy, whatever program it is. */
static bool cgroup_may_demote(const Placement *placement, const char *path)
{
        for (size_t i = 0; i < placement->n_rules; i++) {
                const Rule *rule = &placement->rules[i];

                if (cgroup_match(rule->cgroup, path))
                        return !rule->exe && !rule->user && rule_may_demote(rule);
        }
        return false;
}

/* A kernel thread that works for somebody there, or one that has ended. */
static bool has_no_memory(const Placement *placement, pid_t pid)
{
        _cleanup_(closep) int process_fd = -1;
        _cleanup_(freep) char *exe = NULL;
        int r;

        r = process_open(placement->host.proc_fd, pid, &process_fd);
        if (r >= 0)
                r = process_executable(process_fd, &exe);
        return r == -ESRCH || r == -ENOENT;
}

typedef struct Census {
        Placement *placement;
        pid_t foreign; /* 0: none */
        bool is_open;  /* somebody is yet to be looked at */
} Census;

static int on_cgroup(int cgroup_fd, const char *path, void *userdata)
{
        Census *census = userdata;
        _cleanup_(freep) pid_t *pids = NULL;
        size_t n_pids = 0;
        int r;

        if (cgroup_may_demote(census->placement, path))
                return 1;
        r = cgroup_processes(cgroup_fd, &pids, &n_pids);
        if (r < 0)
                return r == -ENOENT ? 0 : r;

        for (size_t i = 0; i < n_pids && census->foreign == 0; i++) {
                Target *target = placement_target(census->placement, pids[i]);

                if (target && !target->scanned && has_no_memory(census->placement, target->pid))
                        placement_remove(census->placement, target);
                else if (target && !target->scanned) {
                        placement_due(census->placement, target, 0);
                        census->is_open = true;
                } else if (!target || !target->rule || !rule_may_demote(target->rule))
                        census->foreign = pids[i];
        }
        return census->foreign == 0 ? 1 : -EPERM;
}

static void __attribute__((format(printf, 3, 4)))
demand_failed(Placement *placement, CgroupAccount *cgroup, const char *format, ...)
{
        va_list arguments;

        cgroup->n_demote_failures++;
        cgroup->demote_retry_usec =
                placement_now(placement) +
                placement_backoff(cgroup->n_demote_failures, RETRY_FIRST_USEC, RETRY_LAST_USEC);
        va_start(arguments, format);
        vsnprintf(cgroup->reason, sizeof(cgroup->reason), format, arguments);
        va_end(arguments);
}

/* Reclaim takes from all of a cgroup and of those below it: whether all who are there have such a policy.
 * If not, the reason is said. */
static bool is_allowed(Placement *placement, CgroupAccount *cgroup)
{
        Census census = { .placement = placement };
        int r;

        if (nodeset_is_empty(&placement->tiers.cheap)) {
                demand_failed(placement, cgroup, "the cheap tier has no node now");
                return false;
        }

        r = cgroup_walk(placement->host.cgroup_fd, cgroup->cgroup, on_cgroup, &census);
        if (census.foreign != 0)
                demand_failed(placement, cgroup,
                              "process %d, in it or below, has no policy with FastMax= or "
                              "ColdAfter=, and reclaim would take its memory, too",
                              census.foreign);
        else if (r < 0)
                demand_failed(placement, cgroup, "who is in it cannot be told: %s", strerror(-r));
        else if (census.is_open)
                cgroup->demote_retry_usec = placement_now(placement) + LOOK_USEC;
        return r >= 0 && !census.is_open;
}

static uint64_t least(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

/* What there is to do for it, now or at *due_usec, which is made earlier. */
static bool demand_find(CgroupAccount *cgroup, uint64_t now_usec, Demand *ret_demand,
                        uint64_t *due_usec)
{
        Demand demand = { .cgroup = cgroup, .bytes_max = cgroup->cold.bytes };
        uint64_t at = now_usec, wait_usec;

        if (cgroup->is_over) {
                demand.kind = RELOCATE_COLDEST;
                demand.for_limit = true;
                demand.keep_bytes = cgroup_over_aim(cgroup);
                demand.bytes_max = UINT64_MAX;
        } else if (!idle_next(cgroup, now_usec, &demand.kind, &at)) {
                *due_usec = least(*due_usec, at);
                return false;
        }

        if (demand.kind == RELOCATE_COLDEST) {
                bucket_fill(&cgroup->moves, cgroup->move_rate, now_usec);
                wait_usec = bucket_wait_usec(&cgroup->moves, SAVED(cgroup->move_rate));
                at = now_usec + wait_usec;
        }
        if (at < cgroup->demote_retry_usec)
                at = cgroup->demote_retry_usec;
        if (at > now_usec) {
                *due_usec = least(*due_usec, at);
                return false;
        }
        *ret_demand = demand;
        return true;
}

static void on_demoted(Relocation *relocation, void *userdata);

static uint64_t turn_bytes(uint64_t rate)
{
        return rate > UINT64_MAX / TURN_SECONDS ? 0 : rate * TURN_SECONDS;
}

static int demotion_begin(Placement *placement, const Demand *demand)
{
        CgroupAccount *cgroup = demand->cgroup;
        _cleanup_(relocation_freep) Relocation *relocation = NULL;
        RelocateRequest request = {
                .kind = demand->kind,
                .cgroup = cgroup->cgroup,
                .from_nodes = placement->tiers.fast,
                .keep_bytes = demand->keep_bytes,
                .careful = !demand->for_limit,
                .nodes = placement->tiers.cheap,
                .rate = cgroup->move_rate,
                .saved_bytes = SAVED(cgroup->move_rate),
                .bytes_max = least(demand->bytes_max, cgroup_limit_left(&cgroup->cheap)),
                .bytes_turn = turn_bytes(cgroup->move_rate),
                .pause_max_ns = UINT64_MAX,
                .engines = 1u << RELOCATE_RECLAIM,
        };
        int r;

        r = relocation_new(&request, &relocation);
        if (r >= 0)
                r = relocation_start(relocation, placement->event, placement->host.relocate,
                                     on_demoted, placement);
        if (r < 0)
                return r;
        placement->demotion = TAKE_PTR(relocation);
        placement->demotion_for_limit = demand->for_limit;
        return 0;
}

/* What was demoted counts, whatever became of the cgroup. */
static void note_demoted(Placement *placement, CgroupAccount *cgroup, const Relocation *relocation)
{
        const RelocateResult *result = &relocation->result;
        Account *account = &placement->account;

        for (size_t i = 0; i < RELOCATE_ENGINES; i++) {
                account->moved_bytes[i] += result->moved_by[i];
                account->demoted_bytes[i] += result->moved_by[i];
        }
        if (cgroup) {
                cgroup->demoted_bytes += result->moved_bytes;
                /* Spent before it is filled up again: the time that it took was earning, too. */
                bucket_take(&cgroup->moves, result->moved_bytes);
                bucket_fill(&cgroup->moves, relocation->request.rate, placement_now(placement));
        }
        log_event(LOG_DEBUG, NULL, NULL, result->error,
                  "Cgroup %s: demoted %" PRIu64 " bytes, %" PRIu64 " are left: %s",
                  relocation->request.cgroup, result->moved_bytes, result->left_bytes,
                  result->reason[0] != '\0' ? result->reason : "all done");
}

/* One that moved nothing is not begun again at once, whatever it says of itself. */
static void cgroup_served(Placement *placement, CgroupAccount *cgroup, const Relocation *relocation)
{
        const RelocateResult *result = &relocation->result;
        bool for_limit = placement->demotion_for_limit;
        bool has_ended =
                result->error >= 0 || result->error == -EINTR || result->error == -ECANCELED;

        if (!for_limit)
                idle_done(cgroup, &relocation->request, result, placement_now(placement));
        cgroup->fast.poll_usec = 0;
        limits_read(placement, cgroup);

        if (has_ended && (result->moved_bytes > 0 || !cgroup->is_over)) {
                cgroup->n_demote_failures = 0;
                cgroup->demote_retry_usec = 0;
                cgroup->reason[0] = '\0';
        } else if (for_limit || result->error != -EAGAIN)
                demand_failed(placement, cgroup, "%s",
                              result->reason[0] != '\0' ? result->reason
                              : result->error < 0       ? strerror(-result->error)
                                                        : "nothing was demoted; it is tried again");
}

static void on_demoted(Relocation *relocation, void *userdata)
{
        Placement *placement = userdata;
        CgroupAccount *cgroup = account_find(&placement->account, relocation->request.cgroup);

        placement->demotion = NULL;
        if (relocation->result.error == -ECANCELED) /* killed: it could put nothing back */
                moving_recover();
        note_demoted(placement, cgroup, relocation);
        if (cgroup)
                cgroup_served(placement, cgroup, relocation);
        relocation_free(relocation);
        if (!placement->stopping)
                demoting_start(placement);
        else if (!placement->relocation)
                placement->on_idle(placement->userdata);
}

static int on_demote_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        demoting_start(userdata);
        return 0;
}

void demoting_due(Placement *placement, uint64_t at_usec)
{
        static const TimerKind kind = { "demotions", on_demote_timer, 0 };
        int r;

        r = timer_set(placement->event, &placement->demote_timer, at_usec, &kind, placement);
        if (r < 0)
                log_event(LOG_WARNING, NULL, NULL, r, "Cannot set a timer for demotions: %s",
                          strerror(-r));
}

/* The one that has waited longest. */
static bool demand_choose(Placement *placement, Demand *ret_demand, uint64_t *due_usec)
{
        uint64_t now = placement_now(placement);
        bool found = false;

        for (CgroupAccount *cgroup = placement->account.cgroups; cgroup; cgroup = cgroup->hh.next) {
                Demand demand;

                if (demand_find(cgroup, now, &demand, due_usec) &&
                    (!found || cgroup->served_usec < ret_demand->cgroup->served_usec)) {
                        *ret_demand = demand;
                        found = true;
                }
        }
        return found;
}

static void demand_serve(Placement *placement, const Demand *demand)
{
        CgroupAccount *cgroup = demand->cgroup;
        int r;

        cgroup->served_usec = placement_now(placement);
        if (demand->kind == RELOCATE_COLDEST && cgroup_limit_left(&cgroup->cheap) == 0) {
                demand_failed(placement, cgroup,
                              "CheapMax= leaves no room for what is to be demoted");
                return;
        }
        if (!is_allowed(placement, cgroup))
                return;

        /* As the child has it: more that is saved is lost. */
        if (demand->kind == RELOCATE_COLDEST)
                bucket_take(&cgroup->moves,
                            bucket_level(&cgroup->moves) - SAVED(cgroup->move_rate));
        r = demotion_begin(placement, demand);
        if (r < 0) {
                log_event(LOG_WARNING, NULL, NULL, r, "Cannot start to demote: %s", strerror(-r));
                demand_failed(placement, cgroup, "it could not be started: %s", strerror(-r));
        }
}

void demoting_start(Placement *placement)
{
        uint64_t due_usec = UINT64_MAX;
        Demand demand = {};

        while (!placement->demotion && !placement->stopping && !placement->dry_run) {
                due_usec = UINT64_MAX;
                if (!demand_choose(placement, &demand, &due_usec))
                        break;
                demand_serve(placement, &demand); /* if it fails it has a time to be tried again */
        }
        if (!placement->demotion && due_usec != UINT64_MAX)
                demoting_due(placement, due_usec);
}

bool demoting_stop(Placement *placement)
{
        if (placement->demotion)
                relocation_cancel(placement->demotion);
        return placement->demotion != NULL;
}

void demoting_deinit(Placement *placement)
{
        relocation_free(placement->demotion);
        placement->demotion = NULL;
        sd_event_source_disable_unref(placement->demote_timer);
}
