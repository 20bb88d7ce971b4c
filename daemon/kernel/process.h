/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* A directory fd of /proc/<pid>, which stays bound to this process even if the pid is reused.
 * -ESRCH: the process is gone. Every function here and in maps.h and pagemap.h maps the several
 * ways the kernel has of saying so (ENOENT, ESRCH, an empty file of a zombie) to -ESRCH.
 * pid 0 is the caller. */
int process_open(int proc_fd, pid_t pid, int *ret_process_fd);

/* Field 22 of stat, clock ticks since boot: with the pid it names a process for ever. */
int process_start_time(int process_fd, uint64_t *ret_ticks);

/* /proc/<pid>/comm; 16 bytes always suffice on current kernels, 64 for kernel threads. */
int process_name(int process_fd, char *name, size_t size);
