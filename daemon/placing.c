/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>

#include "daemon/log.h"
#include "daemon/outcome.h"
#include "daemon/placement.h"
#include "daemon/recall.h"
#include "policy/macro.h"

/* After a policy was put on a mapping it is looked at again: were copies made before it was there? */
#define VERIFY_USEC UINT64_C(50000)

/* What the plan leaves to be done now, seen what has failed lately. */
static void mapping_decide(Placement *placement, Target *target, TargetMapping *mapping,
                           const Plan *plan, uint64_t now_usec)
{
        unsigned actions = plan->actions;

        if ((actions & PLAN_MOVE) && target->move_retry_usec > now_usec) {
                actions &= ~(unsigned)PLAN_MOVE;
                placement_due(placement, target, target->move_retry_usec - now_usec);
                if (!(actions & PLAN_PLACE)) {
                        mapping->actions = actions;
                        target_set_state(&placement->targets, mapping, MAPPING_PARTIAL,
                                         target->move_reason);
                        return;
                }
        }
        if ((actions & (PLAN_PLACE | PLAN_RELEASE)) && mapping->retry_usec > now_usec) {
                /* As it was left by the failure. */
                mapping->actions = actions & PLAN_MOVE;
                placement_due(placement, target, mapping->retry_usec - now_usec);
                return;
        }

        mapping->actions = actions;
        /* One that fails again and again is called failed while it is tried once more. */
        if (!(actions & PLAN_PLACE) || mapping->n_failures < PLACEMENT_FAILED_AFTER)
                target_set_state(&placement->targets, mapping, plan->state,
                                 plan_reason_text(plan->reason));
}

/* Whether a mapping has no policy of its own, and shows what we gave its thread. That it serves as well
 * where the copies belong to the same nodes. */
static bool is_of_the_thread(const Target *target, const Mapping *seen)
{
        const Given *given = target->anon.given, *before = target->anon.given_before;

        return ((given && plan_is_given(seen->policy, &seen->policy_nodes, &given->nodes)) ||
                (before && plan_is_given(seen->policy, &seen->policy_nodes, &before->nodes))) &&
               !plan_is_given(seen->policy, &seen->policy_nodes, &target->intent.nodes);
}

void target_plan(Placement *placement, Target *target, const Scan *scan, uint64_t now_usec)
{
        Budget budget = {
                .cheap_exhausted = limits_is_spent(placement, target, &target->intent),
        };
        bool wants_policy = false;

        for (size_t i = 0; i < target->n_mappings; i++) {
                TargetMapping *mapping = &target->mappings[i];
                const Mapping *seen = &scan->mappings[i].mapping;
                Placed placed = {
                        .policy = seen->policy,
                        .policy_nodes = &seen->policy_nodes,
                        .given = mapping->given ? &mapping->given->nodes : NULL,
                        .given_strict = mapping->given && mapping->given->strict,
                        .cow_bytes = mapping->cow_bytes,
                        .wanted_bytes = mapping->wanted_bytes,
                };
                Plan plan;

                if (is_of_the_thread(target, seen))
                        placed.policy = VMA_POLICY_DEFAULT;
                plan = plan_build(&target->intent, &budget, &placed);

                if (seen->policy == VMA_POLICY_DEFAULT)
                        mapping->given = NULL; /* unmapped and mapped anew, or taken off */
                if (!(plan.actions & (PLAN_PLACE | PLAN_RELEASE))) {
                        mapping->n_failures = 0;
                        mapping->retry_usec = 0;
                }
                mapping_decide(placement, target, mapping, &plan, now_usec);
                wants_policy = wants_policy || (plan.actions & PLAN_PLACE);
        }
        if (!wants_policy)
                target->placing_ns = 0;
        anon_plan(placement, target, scan, now_usec);
}

/* Mappings that one call can serve: neighbours, parts of one mapping of a file. */
static bool is_continued(const TargetMapping *mapping, const TargetMapping *next)
{
        return mapping->end == next->start && mapping->actions == next->actions &&
               mapping->inode == next->inode && mapping->dev_major == next->dev_major &&
               mapping->dev_minor == next->dev_minor &&
               mapping->offset + (mapping->end - mapping->start) == next->offset;
}

static TargetMapping *first_to_apply(Target *target)
{
        for (size_t i = 0; i < target->n_mappings; i++)
                if (target->mappings[i].actions & (PLAN_PLACE | PLAN_RELEASE))
                        return &target->mappings[i];
        return NULL;
}

static void for_range(Target *target, uint64_t start, uint64_t end,
                      void (*fn)(Placement *, Target *, TargetMapping *), Placement *placement)
{
        for (size_t i = 0; i < target->n_mappings; i++)
                if (target->mappings[i].start < end && target->mappings[i].end > start)
                        fn(placement, target, &target->mappings[i]);
}

/* What the call gave it. */
static void mapping_given(Placement *placement, Target *target, TargetMapping *mapping)
{
        mapping->given = target->apply_kind == PLAN_PLACE
                                 ? targets_given(&placement->targets, &target->apply_nodes,
                                                 target->apply_strict)
                                 : NULL;
}

static void mapping_done(Placement *placement, Target *target, TargetMapping *mapping)
{
        mapping_given(placement, target, mapping);
        mapping->actions &= ~(unsigned)(PLAN_PLACE | PLAN_RELEASE);
        mapping->n_failures = 0;
        mapping->retry_usec = 0;
        if (target->apply_kind == PLAN_PLACE && !(mapping->actions & PLAN_MOVE))
                target_set_state(&placement->targets, mapping, MAPPING_PLACED, "");
}

/* Everything that still waits in this process fails alike: it is the process that cannot be had, not
 * this mapping. */
static void target_failed(Placement *placement, Target *target, const char *reason, bool for_good)
{
        uint64_t now = placement_now(placement), soonest = UINT64_MAX;
        bool is_news = false;

        for (size_t i = 0; i < target->n_mappings; i++) {
                TargetMapping *mapping = &target->mappings[i];

                if (!(mapping->actions & (PLAN_PLACE | PLAN_RELEASE)))
                        continue;

                mapping->actions &= ~(unsigned)(PLAN_PLACE | PLAN_RELEASE);
                mapping->n_failures++;
                mapping->retry_usec = now + placement_retry_usec(mapping->n_failures, for_good);
                if (mapping->retry_usec < soonest)
                        soonest = mapping->retry_usec;
                if (for_good || mapping->n_failures >= PLACEMENT_FAILED_AFTER) {
                        is_news = is_news || mapping->state != MAPPING_FAILED;
                        target_set_state(&placement->targets, mapping, MAPPING_FAILED, reason);
                } else
                        target_set_state(&placement->targets, mapping, MAPPING_PLACING, reason);
        }

        if (is_news)
                log_event(LOG_NOTICE, LOG_ID_NOT_PLACED, NULL, 0, "Process %d (%s), %s: %s",
                          target->pid, target->subject.comm, target->rule->source, reason);
        if (soonest != UINT64_MAX)
                placement_due(placement, target, soonest - now);
        target_proceed(placement, target); /* its copies may move all the same */
}

static void note_applied(Placement *placement, Target *target, const InjectOutcome *outcome)
{
        outcome_note(&placement->account, outcome);
        if (outcome->error < 0 || outcome->result < 0)
                return;

        if (target->placing_ns != 0)
                histogram_add(&placement->account.place_latency,
                              placement_clock_ns() - target->placing_ns);
        target->placing_ns = 0;
}

/* The process can be had: what kept it from us was of the moment. Else a process of thousands of
 * mappings, a call in two hundred of which comes too late, waits for longer after each of these. */
static void target_reached(Target *target)
{
        target->n_stale = 0;
        for (size_t i = 0; i < target->n_mappings; i++)
                target->mappings[i].n_failures = 0;
}

static void mapping_gone(Placement *placement, Target *target, TargetMapping *mapping)
{
        mapping->actions &= ~(unsigned)(PLAN_PLACE | PLAN_RELEASE);
}

/* It has changed since it was looked at. The others do not wait for the next look: a program that maps
 * and unmaps without end would keep them from their turn. */
static void target_stale(Placement *placement, Target *target, bool proceed)
{
        target->n_stale++;
        for_range(target, target->apply_start, target->apply_end, mapping_gone, placement);
        placement_due(placement, target, placement_retry_usec(target->n_stale, false));
        if (proceed)
                target_proceed(placement, target);
}

static void on_applied(const InjectOutcome *outcome, int error, void *userdata)
{
        Target *target = userdata;
        Placement *placement = target->placement;

        target->apply = NULL;
        placement->injector_error = outcome ? 0 : error;
        /* It may have been made, or was, by a policy that is gone: to be taken off, perhaps. */
        if ((!outcome && error == -EPIPE && target->apply_kind == PLAN_PLACE) ||
            (target->apply_outdated && outcome && outcome->error == 0 && outcome->result == 0))
                for_range(target, target->apply_start, target->apply_end, mapping_given, placement);
        if (target->apply_outdated) {
                if (outcome)
                        note_applied(placement, target, outcome);
                placement_due(placement, target, 0);
                return;
        }
        if (!outcome) {
                placement->account.injections_failed++;
                target_failed(placement, target, outcome_error_text(error), false);
                return;
        }

        note_applied(placement, target, outcome);
        if (outcome->error == -ESRCH || outcome->error == -ESTALE ||
            (outcome->error == 0 && outcome->result == -EFAULT)) {
                target_stale(placement, target, outcome->error != -ESRCH);
                return;
        }
        if (outcome->error < 0) {
                target_failed(placement, target, inject_step_text(outcome->step, outcome->error),
                              !outcome_may_pass(outcome));
                return;
        }
        if (outcome->result < 0) {
                target_failed(placement, target, outcome_result_text(outcome->result), false);
                return;
        }

        target->was_applied = true;
        target_reached(target);
        for_range(target, target->apply_start, target->apply_end, mapping_done, placement);
        log_event(LOG_DEBUG, NULL, NULL, 0, "Process %d (%s): policy %s [%" PRIx64 ", %" PRIx64 ")",
                  target->pid, target->subject.comm,
                  target->apply_kind == PLAN_PLACE ? "placed on" : "taken off", target->apply_start,
                  target->apply_end);
        target_proceed(placement, target);
}

/* Says what would be done, and counts it as left alone. */
static void pretend(Placement *placement, Target *target)
{
        for (TargetMapping *mapping = target->mappings;
             mapping < target->mappings + target->n_mappings; mapping++) {
                if (mapping->actions == PLAN_NOTHING)
                        continue;
                log_event(LOG_INFO, NULL, NULL, 0,
                          "Dry run: process %d (%s), %s at %" PRIx64 ": would %s%s%s", target->pid,
                          target->subject.comm, mapping->file, mapping->start,
                          mapping->actions & PLAN_PLACE     ? "give it its policy"
                          : mapping->actions & PLAN_RELEASE ? "take its policy off"
                                                            : "",
                          mapping->actions & PLAN_PLACE && mapping->actions & PLAN_MOVE ? " and "
                                                                                        : "",
                          mapping->actions & PLAN_MOVE ? "move its copies" : "");
                mapping->actions = PLAN_NOTHING;
                mapping->retry_usec = UINT64_MAX;
                target_set_state(&placement->targets, mapping, MAPPING_SKIPPED,
                                 "This is a dry run: nothing is changed.");
        }
        anon_pretend(placement, target);
}

static int apply_begin(Placement *placement, Target *target, const TargetMapping *first)
{
        const TargetMapping *last = first, *end = target->mappings + target->n_mappings;
        InjectRequest request = {
                .strict = target->intent.strict,
                .first = target->intent.first,
                .pause_max_ns = limits_pause_max_ns(&target->rule->limits),
                .target = {
                        .pid = target->pid,
                        .start_time = target->subject.start_time,
                        .dev_major = first->dev_major,
                        .dev_minor = first->dev_minor,
                        .inode = first->inode,
                        .vma_start = first->start,
                        .vma_offset = first->offset,
                        .start = first->start,
                },
        };

        while (last + 1 < end && is_continued(last, last + 1))
                last++;
        request.target.end = last->end;

        target->apply_kind = first->actions & PLAN_PLACE ? PLAN_PLACE : PLAN_RELEASE;
        target->apply_nodes = target->intent.nodes;
        target->apply_strict = target->intent.strict;
        target->apply_outdated = false;
        target->apply_start = first->start;
        target->apply_end = last->end;
        if (target->apply_kind == PLAN_PLACE)
                request.nodes = target->apply_nodes;
        recall_note(placement, target, LEDGER_COPIES);
        return apply_start(placement->applier, &request, on_applied, target, &target->apply);
}

static void target_verify(Placement *placement, Target *target)
{
        if (target->was_applied)
                placement_due(placement, target, VERIFY_USEC);
        target->was_applied = false;
}

void target_proceed(Placement *placement, Target *target)
{
        const TargetMapping *first;
        bool wants_move = false;
        int r;

        if (target->apply || placement->stopping)
                return;
        if (placement->dry_run) {
                pretend(placement, target);
                return;
        }
        if (!target->rule) {
                if (!anon_proceed(placement, target)) /* to take off what it was given */
                        target_verify(placement, target);
                return;
        }

        first = first_to_apply(target);
        if (first) {
                r = apply_begin(placement, target, first);
                if (r < 0)
                        target_failed(placement, target, "The service is short of memory.", false);
                return;
        }

        if (anon_proceed(placement, target))
                return;

        wants_move = target->anon.actions & PLAN_MOVE;
        for (size_t i = 0; i < target->n_mappings && !wants_move; i++)
                wants_move = target->mappings[i].actions & PLAN_MOVE;
        if (wants_move)
                target_move(placement, target);
        target_verify(placement, target);
}
