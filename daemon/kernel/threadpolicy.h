/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The threads of a process, and the memory policy that each has of its own: set_mempolicy(2) makes
 * it, threads and processes that are started inherit it, and programs that are executed keep it. It is
 * for memory that has no policy of its own (mbind(2)), and for page cache that the thread reads into. */

#include <stddef.h>
#include <sys/types.h>

#include "policy/mapping.h"
#include "policy/nodeset.h"

/* Threads of one process that we list. */
#define THREADS_MAX ((size_t)64 * 1024)

/* All threads of the process that are there from beginning to end of the reading; one that begins
 * meanwhile may be missing, one that is listed may have ended. The caller frees. -ESRCH: the process
 * is gone; -E2BIG: it has more than THREADS_MAX. */
int threads_list(int process_fd, pid_t **ret_tids, size_t *ret_n_tids);

/* The policy of thread @tid. No system call tells, but numa_maps of the thread prints it for VMAs that
 * have none of their own, and the program's code is taken for one. The kernel walks the page tables
 * (~50 ns a page that is present) of the VMAs up to that: most processes have none below it, a Java
 * heap can be there. Without memory, or on a kernel without NUMA, the policy is the default one.
 * -ESRCH: the thread has ended or is not of the process; -EACCES: it is another user's. */
int thread_policy_read(int process_fd, pid_t tid, VmaPolicy *ret_policy, NodeSet *ret_nodes);
