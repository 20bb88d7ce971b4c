/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What an answer of the injector means. */

#include <stdbool.h>

#include "daemon/account.h"
#include "daemon/kernel/inject.h"

/* When the injector could not be had: -EPIPE, it ended meanwhile. */
const char *outcome_error_text(int error);

/* What the kernel said to the call itself. */
const char *outcome_result_text(int result);

/* Whether what stood in the way may pass by itself. */
bool outcome_may_pass(const InjectOutcome *outcome);

/* Counts it; NULL: there was none, as of apply_done_fn. */
void outcome_note(Account *account, const InjectOutcome *outcome);
