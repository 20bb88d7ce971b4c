/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

typedef struct Hold Hold;

/* Settings of the whole machine that we change for a while. */
typedef enum HoldSetting {
        HOLD_AUTO_ONLINE, /* the kernel's auto-online policy, while a device is bound to kmem */
        HOLD_DEMOTION,    /* whether reclaim demotes pages, while we reclaim for that */
        HOLD_DAMON_STAT,  /* the kernel's damon_stat, which keeps DAMON from us, while we use it */
} HoldSetting;

/* A setting, held at another value and put back. One hold of a setting at a time: the caller has a
 * lock. What was there is first written to a state file in @run_fd, from which hold_recover() puts
 * it back after a SIGKILL. */
struct Hold {
        int sys_fd; /* not owned, nor is run_fd */
        int run_fd;
        HoldSetting setting;
        char found[32]; /* "": nothing was changed */
        char set[32];
};

/* Sets it to @wanted; an auto-online policy that the kernel does not know (5.6 and older) becomes
 * "offline". A kernel without the setting needs none: nothing is held then. */
int hold_take(int sys_fd, int run_fd, HoldSetting setting, const char *wanted, Hold *ret_hold);

/* Puts back what was found, unless somebody else has changed the setting meanwhile. May be called
 * for a hold that was released already. */
int hold_release(Hold *hold);

/* Puts back what a killed hold left behind; 0 as well if there is nothing. The caller has the lock,
 * so that no hold is alive. */
int hold_recover(int sys_fd, int run_fd, HoldSetting setting);
