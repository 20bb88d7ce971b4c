/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/recall.h"

#include "daemon/log.h"
#include "policy/macro.h"

static uint64_t pause_max_ns(const Target *target, LedgerKind kind)
{
        if (kind == LEDGER_ANON)
                return target->anon.pause_max_ns;
        return target->rule ? limits_pause_max_ns(&target->rule->limits) : UINT64_MAX;
}

static void note(Placement *placement, const Target *target, LedgerKind kind, const NodeSet *nodes,
                 bool strict)
{
        const LedgerEntry entry = {
                .nodes = *nodes,
                .strict = strict,
                .pause_max_ns = pause_max_ns(target, kind),
        };
        int r = ledger_note(placement->ledger, target->pid, target->subject.start_time, kind,
                            &entry);

        if (r < 0)
                log_event(LOG_DEBUG, NULL, NULL, r,
                          "Cannot note for the next start what process %d was given: %s",
                          target->pid, strerror(-r));
}

void recall_note(Placement *placement, const Target *target, LedgerKind kind)
{
        if (placement->ledger && target->apply_kind == PLAN_PLACE)
                note(placement, target, kind, &target->apply_nodes, target->apply_strict);
}

static void note_given(Placement *placement, const Target *target, LedgerKind kind,
                       const Given *given)
{
        if (given)
                note(placement, target, kind, &given->nodes, given->strict);
}

void recall_note_inherited(Placement *placement, const Target *target)
{
        if (!placement->ledger || placement->dry_run)
                return;

        note_given(placement, target, LEDGER_ANON, target->anon.given_before);
        note_given(placement, target, LEDGER_ANON, target->anon.given);
        for (size_t i = 0; i < target->n_mappings; i++)
                note_given(placement, target, LEDGER_COPIES, target->mappings[i].given);
}

static const Given *entry_given(Placement *placement, const LedgerEntry *entry)
{
        return targets_given(&placement->targets, &entry->nodes, entry->strict);
}

void recall_threads(Placement *placement, Target *target)
{
        const LedgerProcess *process;
        size_t n;

        if (!placement->ledger || target->anon.given)
                return;
        process = ledger_before(placement->ledger, target->pid);
        n = process ? process->n_entries[LEDGER_ANON] : 0;
        /* The one before, too: not all threads may have been given the latest. */
        for (size_t i = n < 2 ? n : 2; i-- > 0;) {
                target_give(target, entry_given(placement, &process->entries[LEDGER_ANON][i]));
                target->anon.pause_max_ns = process->entries[LEDGER_ANON][i].pause_max_ns;
        }
}

static bool is_of(const Mapping *seen, const LedgerEntry *entry)
{
        return plan_is_ours(seen->policy, &seen->policy_nodes, &entry->nodes, entry->strict);
}

void recall_mappings(Placement *placement, Target *target, const Scan *scan)
{
        const LedgerProcess *process;

        if (!placement->ledger)
                return;
        process = ledger_find(placement->ledger, target->pid, target->subject.start_time);
        if (!process || !process->is_before)
                return;
        for (size_t i = 0; i < target->n_mappings; i++) {
                const LedgerEntry *entries = process->entries[LEDGER_COPIES];
                TargetMapping *mapping = &target->mappings[i];

                for (size_t j = 0; !mapping->given && j < process->n_entries[LEDGER_COPIES]; j++)
                        if (is_of(&scan->mappings[i].mapping, &entries[j]))
                                mapping->given = entry_given(placement, &entries[j]);
        }
        ledger_recalled(placement->ledger, target->pid);
}

void recall_all(Placement *placement)
{
        for (const LedgerProcess *process = placement->ledger ? ledger_first(placement->ledger)
                                                              : NULL;
             process; process = process->hh.next) {
                Target *target = placement_target(placement, process->pid);

                if (target)
                        placement_due(placement, target, 0);
        }
}
