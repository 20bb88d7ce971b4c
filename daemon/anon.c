/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The anonymous memory of a process. New pages go by the memory policy of the thread that touches them
 * first: each thread is given ours once, those that it makes, and its children, have it from there. So
 * no mmap() costs anything. Pages from before are moved. */

#include <errno.h>

#include "daemon/log.h"
#include "daemon/outcome.h"
#include "daemon/placement.h"
#include "daemon/recall.h"
#include "policy/macro.h"

/* After threads were given it all of them are looked at again. */
#define AGAIN_USEC UINT64_C(50000)

/* How it stands with a cgroup's ColdAfter= is asked again while it is being begun with. */
#define AGE_AGAIN_USEC UINT64_C(1000000)

static void anon_set_state(Placement *placement, Target *target, MappingState state,
                           const char *reason)
{
        if (target->anon.is_concerned)
                target_set_anon_state(&placement->targets, target, state, reason);
}

static void todo_drop(TargetAnon *anon)
{
        anon->put_off = NULL;
        free(anon->threads);
        anon->threads = NULL;
        anon->n_threads = 0;
        anon->at = 0;
}

/* What this one was given. */
static const Given *given_to(const TargetAnon *anon, const ScanThread *thread)
{
        const Given *before = anon->given_before;

        if (before && plan_is_given(thread->policy, &thread->nodes, &before->nodes) &&
            !(anon->given && plan_is_given(thread->policy, &thread->nodes, &anon->given->nodes)))
                return before;
        return anon->given;
}

static bool is_wanted(const Target *target, bool is_spent)
{
        return target->rule && !is_spent && target->anon_intent.error >= 0 &&
               !nodeset_is_empty(&target->anon_intent.nodes);
}

/* All have been looked at. If there is nothing to do for any, what they have of ours is what is wanted, or
 * a part of it; if nothing is, none has anything. */
static void pass_end(Placement *placement, Target *target, bool is_spent)
{
        TargetAnon *anon = &target->anon;

        anon->is_settled = anon->pass_is_clean;
        if (anon->pass_is_bare)
                anon->given = NULL;
        if (!anon->pass_is_clean)
                return;
        if (anon->given)
                anon->given = is_wanted(target, is_spent)
                                      ? targets_given(&placement->targets,
                                                      &target->anon_intent.nodes, false)
                                      : NULL;
        anon->given_before = NULL;
}

/* What there is to do about the threads, one by one in .threads; how they are all in all is returned. */
static Plan threads_plan(Placement *placement, Target *target, const Scan *scan,
                         const Budget *budget)
{
        TargetAnon *anon = &target->anon;
        bool is_first = anon->threads_after == 0;
        Plan sum = is_first ? (Plan){ .state = MAPPING_PLACED } : anon->plan;

        todo_drop(anon);
        if (is_first)
                anon->pass_is_clean = anon->pass_is_bare = true;
        anon->threads = calloc(scan->n_threads + 1, sizeof(*anon->threads));
        if (!anon->threads) {
                anon->pass_is_clean = false;
                return (Plan){ .state = MAPPING_PLACING };
        }

        for (size_t i = 0; i < scan->n_threads; i++) {
                const ScanThread *thread = &scan->threads[i];
                const Given *given = given_to(anon, thread);
                Placed placed = {
                        .policy = thread->policy,
                        .policy_nodes = &thread->nodes,
                        .given = given ? &given->nodes : NULL,
                };
                Plan plan = plan_build(&target->anon_intent, budget, &placed);
                unsigned action = plan.actions & (PLAN_PLACE | PLAN_RELEASE);

                if (thread->tid == target->pid) {
                        anon->main_policy = thread->policy;
                        anon->main_nodes = thread->nodes;
                }
                anon->pass_is_bare = anon->pass_is_bare && thread->policy == VMA_POLICY_DEFAULT;
                if (action != PLAN_NOTHING)
                        anon->threads[anon->n_threads++] = (TargetThread){
                                .tid = thread->tid,
                                .action = (PlanAction)action,
                        };
                if (plan.state != MAPPING_PLACED && sum.state != MAPPING_PLACING)
                        sum = plan;
                sum.actions |= action;
        }
        anon->pass_is_clean = anon->pass_is_clean && anon->n_threads == 0;
        anon->threads_after = scan->threads_next;
        if (scan->threads_next == 0)
                pass_end(placement, target, budget->cheap_exhausted);
        return sum;
}

static bool is_kept(const Rule *rule)
{
        return rule->anon.cold_after_usec != RULE_UNSET || rule->limits.fast_max != RULE_UNSET;
}

/* All is well with its pages as far as what looks after the whole cgroup can do it. */
static void cgroup_plan(Placement *placement, Target *target)
{
        TargetAnon *anon = &target->anon;
        CgroupUse use;

        aging_use(placement, target->subject.cgroup, target->rule, &use);
        if (use.is_beginning)
                placement_due(placement, target, AGE_AGAIN_USEC);
        if (use.is_beyond_damon) {
                placement->cold_by_reclaim = true; /* the next look asks for that */
                placement_due(placement, target, 0);
        }
        snprintf(anon->cgroup_reason, sizeof(anon->cgroup_reason), "%s", use.reason);
        anon_set_state(placement, target,
                       use.is_beginning         ? MAPPING_PLACING
                       : use.reason[0] == '\0'  ? MAPPING_PLACED
                       : anon->wanted_bytes > 0 ? MAPPING_PARTIAL
                                                : MAPPING_FAILED,
                       anon->cgroup_reason);
}

/* Pages that are elsewhere, once the threads have their policy or are about to. */
static void pages_plan(Placement *placement, Target *target, const Scan *scan, uint64_t now_usec)
{
        TargetAnon *anon = &target->anon;
        const Plan *threads = &anon->plan;
        bool belongs = !nodeset_is_empty(&target->anon_intent.nodes) &&
                       (threads->state == MAPPING_PLACED || threads->state == MAPPING_PLACING);
        bool is_served =
                threads->state == MAPPING_PLACED || target->rule->anon.tier.kind == TIER_DEFAULT;

        anon->actions = PLAN_NOTHING;
        if (!belongs || anon->bytes <= anon->wanted_bytes || !target->anon_intent.move_existing) {
                if (is_served && is_kept(target->rule)) {
                        cgroup_plan(placement, target);
                        return;
                }
                anon_set_state(placement, target, threads->state,
                               plan_reason_text(threads->reason));
                return;
        }

        if (target->move_retry_usec > now_usec) {
                placement_due(placement, target, target->move_retry_usec - now_usec);
                anon_set_state(placement, target, MAPPING_PARTIAL, target->move_reason);
                return;
        }
        anon_set_state(placement, target, MAPPING_PLACING, "");
        /* Since all threads had our policy one may have taken another, by which these pages are right. */
        if (!scan->has_threads) {
                anon->is_settled = false;
                placement_due(placement, target, 0);
                return;
        }
        anon->actions = PLAN_MOVE;
}

/* Whether what the threads have is what they should have, as far as is known without a look at all. */
static bool is_as_given(const Target *target, const Scan *scan, bool is_spent)
{
        const TargetAnon *anon = &target->anon;
        const Given *given = target->anon.given;

        if (scan->n_threads > 0 && (scan->threads->policy != anon->main_policy ||
                                    !nodeset_equal(&scan->threads->nodes, &anon->main_nodes)))
                return false;
        if (!given || !is_wanted(target, is_spent))
                return !given;
        return nodeset_equal(&given->nodes, &target->anon_intent.nodes);
}

/* The main thread's stack is the hottest memory there is: it gets a policy of its own, for the fast
 * tier. Once, be it that it goes wrong; it only makes the program faster. */
static void stack_plan(const Placement *placement, Target *target, const Scan *scan)
{
        const NodeSet *nodes = &target->anon_intent.nodes, *fast = &placement->tiers.fast;
        TargetAnon *anon = &target->anon;

        anon->stack_end = 0;
        if (anon->stack_was_tried || scan->anon.stack_end == 0 || nodeset_is_empty(fast) ||
            nodeset_is_empty(nodes) || nodeset_first_common(nodes, fast) >= 0 ||
            !plan_is_given(scan->anon.stack_policy, &scan->anon.stack_nodes, nodes))
                return;

        anon->stack_start = scan->anon.stack_start;
        anon->stack_end = scan->anon.stack_end;
}

/* Somebody who moves pages by their age, or to keep a limit, can be wrong: that is counted. */
static void sample(Placement *placement, const Target *target)
{
        const Rule *rule = target->rule;
        uint64_t window = 0;

        if (!rule ||
            (rule->anon.cold_after_usec == RULE_UNSET && rule->limits.fast_max == RULE_UNSET)) {
                sampler_leave(placement->sampler, target->pid);
                return;
        }

        if (rule->anon.cold_after_usec != RULE_UNSET)
                window = rule->anon.cold_after_usec;
        if (sampler_want(placement->sampler, target->pid, target->subject.start_time, window) < 0)
                log_event(LOG_DEBUG, NULL, NULL, -ENOMEM,
                          "Process %d: what is moved again is not counted", target->pid);
}

/* There is nothing to do for the threads that were just looked at. Else what there is comes first, and it
 * is looked on after that. */
static void pass_go_on(Placement *placement, Target *target, const Scan *scan, uint64_t now_usec)
{
        TargetAnon *anon = &target->anon;

        if (!scan->has_threads || anon->is_settled) {
                anon->n_failures = 0;
                anon->retry_usec = 0;
        } else if (scan->threads_next != 0)
                placement_due(placement, target, 0);
        else /* some of those before had to be given it: have those that they started? */
                placement_due(placement, target,
                              anon->retry_usec > now_usec ? anon->retry_usec - now_usec
                                                          : AGAIN_USEC);
}

void anon_plan(Placement *placement, Target *target, const Scan *scan, uint64_t now_usec)
{
        TargetAnon *anon = &target->anon;
        Budget budget = {
                .cheap_exhausted = limits_is_spent(placement, target, &target->anon_intent),
        };

        if (scan->has_threads)
                anon->plan = threads_plan(placement, target, scan, &budget);
        else if (!is_as_given(target, scan, budget.cheap_exhausted)) {
                anon->is_settled = false;
                placement_due(placement, target, 0);
        }
        sample(placement, target);
        if (target->rule)
                anon->pause_max_ns = limits_pause_max_ns(&target->rule->limits);

        if (anon->n_threads == 0)
                pass_go_on(placement, target, scan, now_usec);
        else if (anon->retry_usec > now_usec) {
                /* As it was left by the failure; its pages may move all the same. */
                placement_due(placement, target, anon->retry_usec - now_usec);
                todo_drop(anon);
                anon->actions = PLAN_NOTHING;
                if (anon->bytes > anon->wanted_bytes && target->anon_intent.move_existing &&
                    !budget.cheap_exhausted) {
                        if (target->move_retry_usec <= now_usec)
                                anon->actions = PLAN_MOVE;
                        else
                                placement_due(placement, target,
                                              target->move_retry_usec - now_usec);
                }
                return;
        }
        stack_plan(placement, target, scan);
        if (anon->is_concerned)
                pages_plan(placement, target, scan, now_usec);
}

/* Everything that still waits fails alike. */
static void threads_failed(Placement *placement, Target *target, const char *reason, bool for_good)
{
        TargetAnon *anon = &target->anon;
        uint64_t in_usec = placement_retry_usec(++anon->n_failures, for_good);
        bool has_failed = for_good || anon->n_failures >= PLACEMENT_FAILED_AFTER;

        todo_drop(anon);
        anon->is_settled = false;
        anon->retry_usec = placement_now(placement) + in_usec;
        if (has_failed && anon->is_concerned && anon->state != MAPPING_FAILED &&
            anon->state != MAPPING_PARTIAL)
                log_event(LOG_NOTICE, LOG_ID_NOT_PLACED, NULL, 0,
                          "Process %d (%s), %s, anonymous memory: %s", target->pid,
                          target->subject.comm, target->rule->source, reason);
        anon_set_state(placement, target,
                       !has_failed   ? MAPPING_PLACING
                       : anon->given ? MAPPING_PARTIAL
                                     : MAPPING_FAILED,
                       reason);
        placement_due(placement, target, in_usec);
        target_proceed(placement, target); /* its pages may move all the same */
}

static void on_thread_applied(const InjectOutcome *outcome, int error, void *userdata)
{
        Target *target = userdata;
        Placement *placement = target->placement;
        TargetAnon *anon = &target->anon;
        bool is_done = outcome && outcome->error == 0 && outcome->result == 0;

        target->apply = NULL;
        placement->injector_error = outcome ? 0 : error;
        outcome_note(&placement->account, outcome);
        /* Without an answer it may have been made, too: to be taken off, perhaps. */
        if (target->apply_kind == PLAN_PLACE && (is_done || (!outcome && error == -EPIPE)))
                target_give(target,
                            targets_given(&placement->targets, &target->apply_nodes, false));
        /* A look meanwhile may have missed what it started before. */
        anon->is_settled = false;
        if (target->apply_outdated) {
                placement_due(placement, target, 0);
                return;
        }

        if (!outcome)
                threads_failed(placement, target, outcome_error_text(error), false);
        else if (outcome->error == -ESRCH) {
                /* A thread that has ended; or all of them, as a look will tell. */
                placement_due(placement, target, placement_retry_usec(1, false));
                target_proceed(placement, target);
        } else if (outcome->error < 0 && outcome_may_pass(outcome)) {
                anon->put_off = inject_step_text(outcome->step, outcome->error);
                target_proceed(placement, target); /* the others do not wait for it */
        } else if (outcome->error < 0)
                threads_failed(placement, target, inject_step_text(outcome->step, outcome->error),
                               true);
        else if (outcome->result < 0)
                threads_failed(placement, target, outcome_result_text(outcome->result), false);
        else {
                target->was_applied = true; /* so it is looked at again, and is settled then */
                target_proceed(placement, target);
        }
}

static void on_stack_applied(const InjectOutcome *outcome, int error, void *userdata)
{
        Target *target = userdata;
        Placement *placement = target->placement;

        target->apply = NULL;
        placement->injector_error = outcome ? 0 : error;
        outcome_note(&placement->account, outcome);
        if (target->apply_outdated)
                placement_due(placement, target, 0);
        else
                target_proceed(placement, target);
}

static bool stack_begin(Placement *placement, Target *target)
{
        TargetAnon *anon = &target->anon;
        InjectRequest request = {
                .call = INJECT_CALL_MBIND,
                .pause_max_ns = anon->pause_max_ns,
                .nodes = placement->tiers.fast,
                .target = {
                        .pid = target->pid,
                        .start_time = target->subject.start_time,
                        .vma_start = anon->stack_start,
                        .start = anon->stack_start,
                        .end = anon->stack_end,
                },
        };

        anon->stack_end = 0;
        anon->stack_was_tried = true;
        target->apply_kind = PLAN_NOTHING;
        target->apply_outdated = false;
        target->apply_start = target->apply_end = 0; /* no mapping that is under policy */
        return apply_start(placement->applier, &request, on_stack_applied, target,
                           &target->apply) >= 0;
}

bool anon_proceed(Placement *placement, Target *target)
{
        TargetAnon *anon = &target->anon;
        const TargetThread *thread;
        InjectRequest request = {
                .call = INJECT_CALL_SET_MEMPOLICY,
                .first = target->anon_intent.first,
                .pause_max_ns = anon->pause_max_ns,
                .target = {
                        .pid = target->pid,
                        .start_time = target->subject.start_time,
                },
        };
        int r;

        if (anon->at >= anon->n_threads && anon->put_off) {
                threads_failed(placement, target, anon->put_off, false);
                return true;
        }
        if (anon->at >= anon->n_threads)
                return anon->stack_end != 0 && stack_begin(placement, target);

        /* What a stop would cut short is left alone for as long as it may end by itself. */
        request.insist = anon->n_failures >= PLACEMENT_FAILED_AFTER;
        thread = &anon->threads[anon->at++];
        request.target.thread = thread->tid;
        target->apply_kind = thread->action;
        target->apply_nodes = target->anon_intent.nodes;
        target->apply_strict = false;
        target->apply_outdated = false;
        target->apply_start = target->apply_end = 0; /* no mapping */
        if (thread->action == PLAN_PLACE)
                request.nodes = target->apply_nodes;
        recall_note(placement, target, LEDGER_ANON);
        r = apply_start(placement->applier, &request, on_thread_applied, target, &target->apply);
        if (r < 0) {
                threads_failed(placement, target, "The service is short of memory.", false);
                return target->apply != NULL;
        }
        return true;
}

void anon_pretend(Placement *placement, Target *target)
{
        TargetAnon *anon = &target->anon;

        if (anon->n_threads == 0 && anon->actions == PLAN_NOTHING)
                return;

        log_event(LOG_INFO, NULL, NULL, 0,
                  "Dry run: process %d (%s), anonymous memory: would %s %zu threads%s", target->pid,
                  target->subject.comm,
                  target->rule ? "set the memory policy of" : "take the memory policy off",
                  anon->n_threads, anon->actions & PLAN_MOVE ? " and move its pages" : "");
        todo_drop(anon);
        anon->actions = PLAN_NOTHING;
        anon->retry_usec = UINT64_MAX;
        anon_set_state(placement, target, MAPPING_SKIPPED,
                       "This is a dry run: nothing is changed.");
}

const char *anon_engine_name(const Placement *placement, const Target *target)
{
        CgroupUse use = { .engine = "" };

        if (is_kept(target->rule))
                aging_use(placement, target->subject.cgroup, target->rule, &use);
        if (use.engine[0] == '\0' && target->anon.moved_bytes > 0)
                use.engine = engine_name(RELOCATE_MOVE_PAGES);
        return use.engine;
}
