/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

/* The first process, below @proc_fd (an open /proc), that has the character device @number open or
 * mapped. -ESRCH: none. A process that we may not look into counts as none, so only root's answer
 * is complete. The kernel unbinds a device from under its users without asking, and kills them with
 * SIGBUS at their next access: ask here first. */
int chardev_find_user(int proc_fd, dev_t number, pid_t *ret_pid);
