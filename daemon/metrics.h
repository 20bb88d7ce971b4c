/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/placement.h"

/* Everything that is counted, as OpenMetrics text. The caller frees. */
int metrics_format(const Placement *placement, char **ret_text);

/* How many processes have a policy. */
size_t metrics_processes(const Placement *placement);

/* Copies under policy, as last seen, bytes: all, on the cheap tier, on the fast one. */
void metrics_copies(const Placement *placement, uint64_t *ret_all, uint64_t *ret_cheap,
                    uint64_t *ret_fast);

/* The sums of the bytes of anonymous memory; nothing else is set. */
void metrics_anon(const Placement *placement, TargetAnon *ret_sum);
