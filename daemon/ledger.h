/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What processes were given, over a restart of the service: memory policies stay when it goes, however it
 * goes, and the next one has to know which of them are ours to take off. A file in /run/daxtierd, to which
 * a line is added before a policy is given, and which is written anew when most of it is about processes
 * that have ended. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uthash.h>

#include "policy/nodeset.h"

/* Of one process the latest so many are kept, of each kind. */
#define LEDGER_ENTRIES_MAX 4u

typedef enum LedgerKind {
        LEDGER_COPIES, /* to mappings of files */
        LEDGER_ANON,   /* to threads */
        LEDGER_KINDS,
} LedgerKind;

typedef struct Ledger Ledger;
typedef struct LedgerEntry LedgerEntry;
typedef struct LedgerProcess LedgerProcess;

struct LedgerEntry {
        NodeSet nodes;
        bool strict;
        uint64_t pause_max_ns; /* of the policy that gave it; UINT64_MAX: no limit */
};

struct LedgerProcess {
        pid_t pid;
        uint64_t start_time;
        LedgerEntry entries[LEDGER_KINDS][LEDGER_ENTRIES_MAX]; /* the latest first */
        size_t n_entries[LEDGER_KINDS];
        bool is_before; /* all that is known is of an earlier run, and nobody has asked for it yet */
        UT_hash_handle hh;
};

/* Reads what is about processes that still are, as @proc_fd shows them; a line that is damaged is left
 * out. Nothing is written before something is noted: a dry run beside the service, or a start that fails, would
 * take its file away from it. Both fds stay the caller's and have to live as long. */
int ledger_open(int run_fd, int proc_fd, Ledger **ret_ledger);

/* The file stays. */
Ledger *ledger_free(Ledger *ledger);

/* Notes it, unless it is the latest already. That it could not be written is returned, and it is known all
 * the same. */
int ledger_note(Ledger *ledger, pid_t pid, uint64_t start_time, LedgerKind kind,
                const LedgerEntry *entry);

/* NULL: nothing is known of it. It stays the ledger's, until the next call that changes it. */
const LedgerProcess *ledger_find(const Ledger *ledger, pid_t pid, uint64_t start_time);

/* The same, of a process that still is, if all that is known is of an earlier run: one that nothing is known
 * of costs nothing. */
const LedgerProcess *ledger_before(const Ledger *ledger, pid_t pid);

/* What it has from an earlier run is known to the caller: .is_before is false from now on. */
void ledger_recalled(Ledger *ledger, pid_t pid);

/* The process has ended. */
void ledger_forget(Ledger *ledger, pid_t pid);

/* All that something is known of: the first one, in no order; the others follow it by .hh.next. */
const LedgerProcess *ledger_first(const Ledger *ledger);
