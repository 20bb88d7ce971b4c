/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/device.h"
#include "daemon/job.h"
#include "policy/config.h"

typedef struct Managed Managed;

typedef enum ManagedState {
        MANAGED_ABSENT,
        MANAGED_IDLE,      /* there, but Online=no */
        MANAGED_ONLINING,  /* for the first time, or on request */
        MANAGED_ONLINE,    /* all blocks as wanted */
        MANAGED_PARTIAL,   /* some blocks are not: tried again */
        MANAGED_FAILED,    /* cannot be had now: tried again */
        MANAGED_OFFLINING, /* on request */
        MANAGED_OFFLINE,   /* on request: left so until Online, a re-plug or a restart */
} ManagedState;

/* What the manager should do about a device now. */
typedef enum ManagedWish {
        MANAGED_WISH_NOTHING,
        MANAGED_WISH_ONLINE,
        MANAGED_WISH_OFFLINE,
} ManagedWish;

/* A [Device] section and what has become of it. No system call, no clock: times are handed in. */
struct Managed {
        char *name; /* as configured */
        bool online;
        Zone zone;
        bool offline_on_stop;

        ManagedState state;
        char reason[160]; /* why it is not online; "" */
        bool verified;    /* a job has found all as wanted since the device came */
        bool held;        /* offline on request */
        bool busy;        /* a job for it is queued or runs */
        char chardev[32]; /* "": absent */
        unsigned online_memblocks;
        unsigned total_memblocks;
        int target_node;

        unsigned n_failures;    /* in a row */
        uint64_t retry_at_usec; /* CLOCK_MONOTONIC; 0: at once */
};

const char *managed_state_name(ManagedState state);

/* One for each section of @config. What @old (n_old, may be NULL) knows of a section of the same
 * name goes over, so that a reload changes only what the files changed. */
int managed_build(const Config *config, const Managed *old, size_t n_old, Managed **ret_managed,
                  size_t *ret_n_managed);
void managed_free(Managed *managed, size_t n_managed);

/* The one with this configured name or this chardev, or NULL. */
Managed *managed_find(Managed *managed, size_t n_managed, const char *name);

/* Takes over what the machine has now. @devices is what devices_read() gave. */
void managed_update(Managed *managed, size_t n_managed, const Device *devices, size_t n_devices);

/* What to do now, and if it is nothing yet, when to ask again (UINT64_MAX: not before something
 * happens). */
ManagedWish managed_wish(const Managed *managed, uint64_t now_usec, uint64_t *ret_ask_again_usec);

/* A job for the device was queued; it has ended. While what failed is tried again, the state stays
 * what it was. */
void managed_job_queued(Managed *managed, JobKind kind);
void managed_job_done(Managed *managed, const Job *job, uint64_t now_usec);

/* 1 s, doubling with each failure in a row, up to 60 s. */
uint64_t managed_backoff(unsigned n_failures);

/* On request: try online again at once; stay offline. */
void managed_release(Managed *managed);
void managed_hold(Managed *managed);
