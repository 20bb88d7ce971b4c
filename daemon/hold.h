/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

typedef struct Hold Hold;

/* The kernel's auto-online policy, held at another value while a device is bound to kmem, and put
 * back. It is one setting for the whole machine, so one hold at a time: the caller has a lock. What
 * was there is first written to a state file in @run_fd, from which hold_recover() puts it back
 * after a SIGKILL. */
struct Hold {
        int sys_fd; /* not owned, nor is run_fd */
        int run_fd;
        char found[32]; /* "": nothing was changed */
        char set[32];
};

/* Sets the policy to @wanted, or to "offline" where the kernel does not know @wanted (5.6 and
 * older). A kernel without the setting needs none: nothing is held then. */
int hold_take(int sys_fd, int run_fd, const char *wanted, Hold *ret_hold);

/* Puts back what was found, unless somebody else has changed the policy meanwhile. May be called
 * for a hold that was released already. */
int hold_release(Hold *hold);

/* Puts back what a killed hold left behind; 0 as well if there is nothing. The caller has the lock,
 * so that no hold is alive. */
int hold_recover(int sys_fd, int run_fd);
