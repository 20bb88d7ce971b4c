/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The perf rings of all CPUs in the event loop, and the cgroups whose records they receive. */

#include <stddef.h>
#include <systemd/sd-event.h>

#include "daemon/kernel/perf.h"

typedef struct Rings Rings;
typedef struct Hearing Hearing;

/* Called from the event loop only, never with PERF_OTHER, and with PERF_LOST once a turn at most: at its
 * end. It must not call what is below. */
typedef void (*rings_fn)(const PerfRecord *record, void *userdata);

/* One ring for each CPU that is online. CPUs that come and go are followed by their uevents, with
 * PERF_LOST for one that came. @sys_fd stays the caller's. Errors as perf_ring_open(). */
int rings_new(sd_event *event, int sys_fd, rings_fn fn, void *userdata, Rings **ret_rings);
void rings_free(Rings *rings);
void rings_freep(Rings **rings);

/* Makes good what a missed uevent or a failure left behind. Returns on how many CPUs there was
 * something to add; what happened there until now is lost. */
int rings_refresh(Rings *rings);

/* Receives the records of a cgroup and all below it. A CPU that goes offline just now is no error.
 * The fd stays the caller's. */
int rings_add(Rings *rings, int cgroup_fd, Hearing **ret_hearing);
void rings_remove(Rings *rings, Hearing *hearing);
