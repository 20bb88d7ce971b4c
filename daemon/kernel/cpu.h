/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "policy/nodeset.h"

/* More than any Linux is built for (NR_CPUS is at most 8192). */
#define CPUS_MAX 8192u

/* The CPUs that are online, ascending, from devices/system/cpu/online below @sys_fd. The caller
 * frees *ret_cpus. -EBADMSG: not a list, or a CPU beyond CPUS_MAX. */
int cpus_read_online(int sys_fd, unsigned **ret_cpus, size_t *ret_n_cpus);

/* The nodes of @candidates with a CPU of @list ("0-3,8"), by devices/system/node/nodeN/cpulist. The
 * list is cut at its newline. -EBADMSG: not a list. */
int cpus_read_nodes(int sys_fd, char *list, const NodeSet *candidates, NodeSet *ret_nodes);

/* The nodes of @candidates with CPUs that the process may use, by Cpus_allowed_list of its main
 * thread: where it runs, but for threads that it has bound themselves. -ESRCH: it is gone. */
int cpus_read_home(int sys_fd, int process_fd, const NodeSet *candidates, NodeSet *ret_home);
