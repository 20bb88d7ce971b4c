/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between the road and the ledger: what a target is given is noted, and one that is seen for the first time
 * is known to have what an earlier run of the service gave it. Without a ledger all of this does nothing. */

#include "daemon/placement.h"

/* A call is about to be made in it that gives it .apply_nodes. Before, not after: the service may be killed
 * in between, and what was noted and never given does no harm. */
void recall_note(Placement *placement, const Target *target, LedgerKind kind);

/* It was looked at for the first time, and may have inherited something. */
void recall_note_inherited(Placement *placement, const Target *target);

/* Before the first look at it: what its threads were given. */
void recall_threads(Placement *placement, Target *target);

/* After it: which of the policies that its mappings have are ours. */
void recall_mappings(Placement *placement, Target *target, const Scan *scan);

/* At start: all that something is known of are looked at, also those that no policy is for any more. */
void recall_all(Placement *placement);
