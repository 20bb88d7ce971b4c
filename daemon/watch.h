/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What happens in the cgroups that policies are for. Where nothing happens there, nothing happens
 * here: no timer, no poll. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

typedef struct Watch Watch;
typedef struct WatchEvent WatchEvent;

typedef enum WatchEventKind {
        WATCH_MAP,  /* a private mapping was made or its protection changed */
        WATCH_FORK, /* a process inherited its parent's mappings; no WATCH_MAP tells of them */
        WATCH_EXEC, /* a process drops its mappings for those of a program, of which WATCH_MAPs follow. The
                       first that is heard of one that was moved into the cgroup before, as systemd does */
        WATCH_EXIT, /* the first thread of a process has ended: others may live on, with its memory,
                       and nothing tells of the last one; or one of them runs a program (EXEC) */
        WATCH_LOST, /* something was missed, nobody knows of whom: scan everything */
        WATCH_CGROUPS, /* a watched cgroup appeared: scan, as it may have processes already */
} WatchEventKind;

struct WatchEvent {
        WatchEventKind kind;
        pid_t pid;    /* the process (thread group); of WATCH_FORK the child; 0: LOST, CGROUPS */
        pid_t parent; /* WATCH_FORK */
        uint64_t time_ns; /* CLOCK_MONOTONIC, when it happened */

        /* WATCH_MAP */
        uint64_t address;
        uint64_t length; /* bytes */
        uint64_t offset; /* in the file, bytes */
        uint64_t inode;
        uint32_t dev_major; /* as in /proc/PID/maps */
        uint32_t dev_minor;
        unsigned prot;  /* PROT_*, as it was then */
        bool private;   /* always, so far */
        bool anonymous; /* no file behind it; only after watch_set_anonymous() */
};

/* Called from the event loop only, never from within a function below, and must not call one. What
 * happened on one CPU comes in order; of two CPUs only .time_ns tells. Nothing tells of a process that is
 * moved into a cgroup and runs no program there, of mremap() and of munmap(). */
typedef void (*watch_fn)(const WatchEvent *event, void *userdata);

/* Needs CAP_PERFMON, and CAP_IPC_LOCK beyond kernel.perf_event_mlock_kb. -EOPNOTSUPP: this kernel
 * has no perf events. @cgroup_root_fd stays the caller's and must outlive the watch. */
int watch_new(sd_event *event, int cgroup_root_fd, watch_fn fn, void *userdata, Watch **ret_watch);
Watch *watch_free(Watch *watch);
void watch_freep(Watch **watch);

/* Watches exactly these cgroups and all below them, whether they exist or not: "/a/b", "/". One that
 * lies below another costs nothing. What was watched before and still is has no gap. WATCH_CGROUPS
 * follows for what exists, also for the first call. On failure the others are watched all the same,
 * and watch_refresh() tries again. */
int watch_set(Watch *watch, char *const *prefixes, size_t n_prefixes);

/* Whether WATCH_MAP tells of private anonymous memory, too. Off at first. */
void watch_set_anonymous(Watch *watch, bool anonymous);

/* For the reconcile: listens on CPUs that came online meanwhile (WATCH_LOST follows if there are
 * any), stops on those that went, and looks again for cgroups that could not be watched. */
int watch_refresh(Watch *watch);
