/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/* A number that changes when the process' mappings, their protection, or its cgroup do: a look at the
 * texts of maps and cgroup, without walking a page table. Two that are equal mean "as before" for all
 * purposes but hostile ones. -ESRCH as in process.h. */
int process_fingerprint(int process_fd, uint64_t *ret_fingerprint);
