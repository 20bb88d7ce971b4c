/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "policy/config.h"

typedef struct OnlineStep OnlineStep;

typedef enum OnlineResult {
        ONLINE_DONE,
        ONLINE_ALREADY, /* found as wanted: adopted */
        ONLINE_WOULD,   /* dry run */
        ONLINE_FAILED,  /* .error says why */
} OnlineResult;

/* One thing that was done to one object. Fixed size: the daemon's job process writes these down a
 * pipe as they happen. */
struct OnlineStep {
        char object
                [48]; /* "dax1.0", "memory144", "memory144-158", "pid 88", "auto_online_blocks" */
        char action[48]; /* "bind kmem", "online_movable", "offline", "verify 15 of 15 blocks", … */
        OnlineResult result;
        int error; /* -errno */
};

/* Called for each step in order; a negative return is forwarded and ends the work at a point
 * where nothing is half done that need not be. */
typedef int (*online_step_fn)(const OnlineStep *step, void *userdata);

/* Binds the device to kmem and onlines each of its blocks in @zone, whatever the kernel's
 * auto-online policy is; that policy is put back as it was found. What is online already is
 * adopted. Verifies count, zone and node afterwards. Blocks for as long as the kernel takes: call
 * it in a process of its own.
 *
 * SIGINT, SIGTERM, SIGHUP and SIGQUIT are held back; one that comes ends the work after the present
 * block with -EINTR, and takes its effect when this returns. One such run at a time on a machine:
 * another one waits.
 * 0: all blocks are online as wanted. -ENODEV: no such device; -ENOTUNIQ: a path: that names
 * several. -EBUSY: a process has the device open. -EUCLEAN: partial, some blocks are not as wanted
 * (each was reported as a step). -EPERM: not root. -EOPNOTSUPP: the kernel has no kmem driver.
 * -ERANGE: the device has no whole memory block. -ENXIO: the firmware gives it no node. */
int device_online(const char *name, Zone zone, bool dry_run, online_step_fn step, void *userdata);

/* How long the pages of one block may take to move away. All the while the kernel keeps a processor
 * busy; what has moved by then is a gain for the next try. */
#define ONLINE_BLOCK_TIMEOUT_SEC 5u

/* Offlines each block, then returns the device to devdax mode. -EUCLEAN: some blocks would not go
 * (in use: EBUSY), the others are offline and the device stays with kmem; call it again. Other
 * errors, and signals, as above. */
int device_offline(const char *name, bool dry_run, online_step_fn step, void *userdata);

/* Puts back an auto-online policy that a killed run left changed (state file in /run/daxtierd). */
int online_recover(void);
