/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/* More than any Linux is built for (NR_CPUS is at most 8192). */
#define CPUS_MAX 8192u

/* The CPUs that are online, ascending, from devices/system/cpu/online below @sys_fd. The caller
 * frees *ret_cpus. -EBADMSG: not a list, or a CPU beyond CPUS_MAX. */
int cpus_read_online(int sys_fd, unsigned **ret_cpus, size_t *ret_n_cpus);
