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
        subject_deinit(&target->subject);
        target->rule = NULL;
        target->intent = (Intent){};
        target->scanned = false;
        target->n_move_failures = 0;
        target->move_retry_usec = 0;
        target->move_reason[0] = '\0';
}

void target_rules_changed(Targets *targets, Target *target)
{
        bool is_getting = target->apply && target->apply_kind == PLAN_PLACE;

        target->rule = NULL;
        target->rest_usec = 0;
        target->n_move_failures = 0;
        target->move_retry_usec = 0;
        target->move_reason[0] = '\0';
        for (size_t i = 0; i < target->n_mappings; i++) {
                TargetMapping *mapping = &target->mappings[i];

                mapping->n_failures = 0;
                mapping->retry_usec = 0;
                mapping->actions = PLAN_NOTHING;
                if (is_getting && mapping->start < target->apply_end &&
                    mapping->end > target->apply_start)
                        mapping->given = targets_given(targets, &target->apply_nodes);
        }
}

void target_set_state(Targets *targets, TargetMapping *mapping, MappingState state,
                      const char *reason)
{
        targets->totals[mapping->state]--;
        targets->totals[state]++;
        mapping->state = state;
        mapping->reason = reason;
}

const NodeSet *targets_given(Targets *targets, const NodeSet *nodes)
{
        Given *given;

        for (given = targets->given; given; given = given->next)
                if (nodeset_equal(&given->nodes, nodes))
                        return &given->nodes;

        given = malloc(sizeof(*given));
        if (!given)
                return NULL;
        *given = (Given){ .nodes = *nodes, .next = targets->given };
        targets->given = given;
        return &given->nodes;
}

/* Whether it is still the same mapping, however much of it was unmapped or added at its end. */
static bool is_same(const TargetMapping *old, const Mapping *seen)
{
        return old->start == seen->start && old->offset == seen->offset &&
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

int target_update(Targets *targets, Target *target, Scan *scan)
{
        TargetMapping *mappings = NULL;
        size_t at = 0;

        if (scan->n_mappings > 0) {
                mappings = calloc(scan->n_mappings, sizeof(*mappings));
                if (!mappings)
                        return -ENOMEM;
        }

        if (target->scanned && target->subject.start_time != scan->subject.start_time)
                target_forget(targets, target);

        for (size_t i = 0; i < scan->n_mappings; i++) {
                const Mapping *seen = &scan->mappings[i].mapping;

                mappings[i].state = MAPPING_PLACING;
                mappings[i].reason = "";
                while (at < target->n_mappings && target->mappings[at].start < seen->start)
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
        target->scanned = true;
        return 0;
}
