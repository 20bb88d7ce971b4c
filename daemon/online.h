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
        char object[48]; /* "dax1.0", "memory144", "auto_online_blocks" */
        char action[48]; /* "bind kmem", "online_movable", "offline", "verify zone", … */
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
 * 0: all blocks are online as wanted. -ENODEV: no such device. -EBUSY: a process has the device
 * open. -EUCLEAN: partial, some blocks are not as wanted (each was reported as a step).
 * -EPERM: not root. -EOPNOTSUPP: the kernel has no kmem driver. */
int device_online(const char *name, Zone zone, bool dry_run, online_step_fn step, void *userdata);

/* Offlines each block, then returns the device to devdax mode. -EUCLEAN: some blocks would not go
 * (in use: EBUSY), the others are offline and the device stays with kmem; call it again. */
int device_offline(const char *name, bool dry_run, online_step_fn step, void *userdata);

/* Puts back an auto-online policy that a killed run left changed (state file in /run/daxtierd). */
int online_recover(void);
