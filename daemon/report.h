/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/manager.h"

typedef struct Problem Problem;

/* What is wrong, and the command or edit that mends it. */
struct Problem {
        char what[256];
        char mend[256];
};

/* How things are in one word: "starting", "waiting", "running", "degraded". */
const char *report_state(const Manager *manager);

/* The sentence that systemctl shows. The caller frees. */
int report_status(const Manager *manager, char **ret_text);

/* At most one problem for each device, and a few for all policies. The caller frees. */
int report_problems(const Manager *manager, Problem **ret_problems, size_t *ret_n_problems);
