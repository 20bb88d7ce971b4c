/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* ColdAfter= on kernels whose DAMON moves nothing: round by round the accessed bits of a cgroup's
 * anonymous memory are cleared, after ColdAfter= it is seen how much was not accessed since, and so much
 * is demoted by reclaim, which takes what was not accessed first. HotTier= is not served: what is cold
 * stays cold. */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/account.h"
#include "daemon/relocate.h"

/* That is wanted for the cgroup, until account_rules_changed(); of several times the longest holds.
 * Returns whether it is new. How it stands is in .reason and .demoted_bytes. */
bool idle_want(CgroupAccount *cgroup, const AnonRule *anon);

/* Whether this machine needs it: there is no DAMON that one could ask. */
bool idle_is_needed(int sys_fd);

/* For demoting.c. What is to be done for it now; false: nothing, until *ret_due_usec. */
bool idle_next(const CgroupAccount *cgroup, uint64_t now_usec, RelocateKind *ret_kind,
               uint64_t *ret_due_usec);

/* That was done, or has failed. */
void idle_done(CgroupAccount *cgroup, const RelocateRequest *request, const RelocateResult *result,
               uint64_t now_usec);
