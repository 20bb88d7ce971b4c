/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
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

/* Whether this is the calling process. False if another mount of proc was used to open it. */
bool process_is_caller(int process_fd);

/* Forwards @result, a failure of anything below @process_fd, or turns it into -ESRCH if the process
 * is gone. */
int process_result(int process_fd, int result);

/* What it means that the kernel shows no memory of this process: 0 for a kernel thread, which never
 * has any, -ESRCH for one that is exiting or a zombie. */
int process_without_memory(int process_fd);

/* The effective user, from status. */
int process_user(int process_fd, uint32_t *ret_uid);

/* The path of the executable as its mount namespace has it, without " (deleted)": an upgrade does not
 * make another program of it. -ENOENT: a kernel thread, which has none. The caller frees. */
int process_executable(int process_fd, char **ret_path);
