/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/target.h"

#include <errno.h>

#include "policy/macro.h"

static void mappings_drop(Targets *targets, Target *target)
{
        for (size_t i = 0; i < target->n_mappings; i++) {
                targets->totals[target->mappings[i].state]--;
                free(target->mappings[i].file);
        }
        free(target->mappings);
        target->mappings = NULL;
        target->n_mappings = 0;
}

/* All but what outlives an exec. */
static void anon_drop(Targets *targets, Target *target)
{
        TargetAnon *anon = &target->anon;

        if (anon->is_concerned)
                targets->totals[anon->state]--;
        free(anon->threads);
        *anon = (TargetAnon){
                .given = anon->given,
                .given_before = anon->given_before,
                .pause_max_ns = anon->pause_max_ns,
        };
}

void targets_deinit(Targets *targets)
{
        Target *target, *next;

        HASH_ITER (hh, targets->by_pid, target, next)
                targets_remove(targets, target);
        while (targets->given) {
                Given *given = targets->given;

                targets->given = given->next;
                free(given);
        }
}

Target *targets_find(const Targets *targets, pid_t pid)
{
        Target *target;

        HASH_FIND_INT(targets->by_pid, &pid, target);
        return target;
}

int targets_add(Targets *targets, pid_t pid, Target **ret_target)
{
        Target *target;

        target = calloc(1, sizeof(*target));
        if (!target)
                return -ENOMEM;

        target->pid = pid;
        target->due_usec = UINT64_MAX;
        HASH_ADD_INT(targets->by_pid, pid, target);
        if (!target->hh.tbl) { /* uthash could not grow */
                free(target);
                return -ENOMEM;
        }

        *ret_target = target;
        return 0;
}

void targets_remove(Targets *targets, Target *target)
{
        HASH_DEL(targets->by_pid, target);
        target_forget(targets, target);
        sd_event_source_disable_unref(target->timer);
        free(target);
}

void target_forget(Targets *targets, Target *target)
{
        mappings_drop(targets, target);
        anon_drop(targets, target);
        subject_deinit(&target->subject);
        target->rule = NULL;
        target->intent = (Intent){};
        target->anon_intent = (Intent){};
        target->scanned = false;
        target->is_outdated = false;
        target->n_move_failures = 0;
        target->move_retry_usec = 0;
        target->move_reason[0] = '\0';
}

void target_rules_changed(Target *target)
{
        target->rule = NULL;
        target->is_outdated = target->scanned;
        target->intent = (Intent){};
        target->anon_intent = (Intent){};
        target->anon.is_settled = false;
        target->anon.n_failures = 0;
        target->anon.retry_usec = 0;
        target->anon.actions = PLAN_NOTHING;
        target->anon.plan = (Plan){ .state = MAPPING_PLACED };
        target->anon.n_threads = target->anon.at = 0;
        target->anon.put_off = NULL;
        target->anon.threads_after = 0;
        target->anon.stack_end = 0;
        target->anon.stack_was_tried = false;
        target->apply_outdated = target->apply != NULL;
        target->rest_usec = 0;
        target->n_move_failures = 0;
        target->move_retry_usec = 0;
        target->move_reason[0] = '\0';
        for (size_t i = 0; i < target->n_mappings; i++) {
                TargetMapping *mapping = &target->mappings[i];

                mapping->n_failures = 0;
                mapping->retry_usec = 0;
                mapping->actions = PLAN_NOTHING;
        }
}

void target_give(Target *target, const Given *given)
{
        TargetAnon *anon = &target->anon;

        if (given == anon->given)
                return;
        if (anon->given)
                anon->given_before = anon->given;
        anon->given = given;
}

void target_set_state(Targets *targets, TargetMapping *mapping, MappingState state,
                      const char *reason)
{
        targets->totals[mapping->state]--;
        targets->totals[state]++;
        mapping->state = state;
        mapping->reason = reason;
}

void target_set_anon_state(Targets *targets, Target *target, MappingState state, const char *reason)
{
        targets->totals[target->anon.state]--;
        targets->totals[state]++;
        target->anon.state = state;
        target->anon.reason = reason;
}

const Given *targets_given(Targets *targets, const NodeSet *nodes, bool strict)
{
        Given *given;

        for (given = targets->given; given; given = given->next)
                if (given->strict == strict && nodeset_equal(&given->nodes, nodes))
                        return given;

        given = malloc(sizeof(*given));
        if (!given)
                return NULL;
        *given = (Given){ .nodes = *nodes, .strict = strict, .next = targets->given };
        targets->given = given;
        return given;
}

/* Whether it is still the same mapping or a part of it, however much was unmapped, or added at its end:
 * where part of one is protected in another way the kernel makes several of it. */
static bool is_same(const TargetMapping *old, const Mapping *seen)
{
        return old->start <= seen->start && seen->start < old->end &&
               seen->start - old->start == seen->offset - old->offset &&
               old->inode == seen->inode && old->dev_major == seen->dev_major &&
               old->dev_minor == seen->dev_minor;
}

static void mapping_take(TargetMapping *mapping, ScanMapping *seen)
{
        mapping->start = seen->mapping.start;
        mapping->end = seen->mapping.end;
        mapping->offset = seen->mapping.offset;
        mapping->inode = seen->mapping.inode;
        mapping->dev_major = seen->mapping.dev_major;
        mapping->dev_minor = seen->mapping.dev_minor;
        mapping->file = TAKE_PTR(seen->mapping.file);
        mapping->kind = seen->mapping.kind;
        mapping->cow_bytes = seen->cow_bytes;
        mapping->cheap_bytes = seen->cheap_bytes;
        mapping->fast_bytes = seen->fast_bytes;
        mapping->wanted_bytes = seen->wanted_bytes;
}

/* What we know of it from before. */
static void mapping_keep(TargetMapping *mapping, const TargetMapping *old)
{
        mapping->given = old->given;
        mapping->n_failures = old->n_failures;
        mapping->retry_usec = old->retry_usec;
        mapping->state = old->state;
        mapping->reason = old->reason;
}

const Given *target_given(Targets *targets, const Target *target)
{
        bool is_of_thread = target->apply && target->apply_end == 0;

        if (target->anon.given || !is_of_thread || target->apply_kind != PLAN_PLACE)
                return target->anon.given;
        return targets_given(targets, &target->apply_nodes, false);
}

int target_inherit(Targets *targets, Target *child, const Target *parent)
{
        TargetMapping *mappings;
        size_t n = 0;

        if (!child->anon.given) {
                child->anon.given = target_given(targets, parent);
                child->anon.given_before = parent->anon.given_before;
                child->anon.pause_max_ns = parent->anon.pause_max_ns;
        }
        if (child->scanned)
                return 0;

        mappings = calloc(parent->n_mappings + 1, sizeof(*mappings));
        if (!mappings)
                return -ENOMEM;

        for (const TargetMapping *of = parent->mappings; of < parent->mappings + parent->n_mappings;
             of++)
                if (of->given)
                        mappings[n++] = (TargetMapping){
                                .start = of->start,
                                .end = of->end,
                                .offset = of->offset,
                                .inode = of->inode,
                                .dev_major = of->dev_major,
                                .dev_minor = of->dev_minor,
                                .state = MAPPING_PLACING,
                                .reason = "",
                                .given = of->given,
                        };

        mappings_drop(targets, child);
        child->mappings = mappings;
        child->n_mappings = n;
        targets->totals[MAPPING_PLACING] += n;
        return 0;
}

static void anon_take(Targets *targets, Target *target, const Scan *scan)
{
        TargetAnon *anon = &target->anon;
        bool was_concerned = anon->is_concerned;

        anon->is_concerned = scan->rule && rule_concerns_anon(scan->rule);
        if (anon->is_concerned && !was_concerned) {
                anon->state = MAPPING_PLACING;
                anon->reason = "";
                targets->totals[anon->state]++;
        }
        if (!anon->is_concerned && was_concerned)
                targets->totals[anon->state]--;
        anon->bytes = scan->anon.bytes;
        anon->cheap_bytes = scan->anon.cheap_bytes;
        anon->fast_bytes = scan->anon.fast_bytes;
        anon->wanted_bytes = scan->anon.wanted_bytes;
}

int target_update(Targets *targets, Target *target, Scan *scan)
{
        TargetMapping *mappings = NULL;
        size_t at = 0;

        if (scan->n_mappings > 0) {
                mappings = calloc(scan->n_mappings, sizeof(*mappings));
                if (!mappings)
                        return -ENOMEM;
        }

        if (target->scanned && target->subject.start_time != scan->subject.start_time) {
                target_forget(targets, target);
                target->anon = (TargetAnon){};
        }

        for (size_t i = 0; i < scan->n_mappings; i++) {
                const Mapping *seen = &scan->mappings[i].mapping;

                mappings[i].state = MAPPING_PLACING;
                mappings[i].reason = "";
                while (at < target->n_mappings && target->mappings[at].end <= seen->start)
                        at++;
                if (at < target->n_mappings && is_same(&target->mappings[at], seen))
                        mapping_keep(&mappings[i], &target->mappings[at]);
                mapping_take(&mappings[i], &scan->mappings[i]);
                targets->totals[mappings[i].state]++;
        }

        mappings_drop(targets, target);
        target->mappings = mappings;
        target->n_mappings = scan->n_mappings;
        subject_deinit(&target->subject);
        target->subject = scan->subject;
        scan->subject = (Subject){};
        target->rule = scan->rule;
        target->intent = scan->intent;
        target->anon_intent = scan->anon_intent;
        anon_take(targets, target, scan);
        target->scanned = true;
        target->is_outdated = false;
        return 0;
}
