/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "daemon/heatwork.h"

typedef struct HeatProcess HeatProcess;

/* What the process does. */
typedef void (*heat_run_fn)(const HeatWorld *world, HeatWork *work);

/* Called from the event loop once it has ended. @work: what has become of it; NULL: it was killed, and
 * nobody knows. */
typedef void (*heat_done_fn)(const HeatWork *work, void *userdata);

/* A step in a process of its own: DAMON answers after up to a second or two. */
struct HeatProcess {
        heat_done_fn on_done;
        void *userdata;
        sd_event_source *pipe_source;
        sd_event_source *child_source;
        int pipe_fd;
        int pidfd; /* -1: none runs */
        HeatWork *received;
        size_t n_received;
};

#define HEAT_PROCESS_NONE                                                                          \
        (HeatProcess)                                                                              \
        {                                                                                          \
                .pipe_fd = -1, .pidfd = -1                                                         \
        }

/* @on_done is called after a 0. One at a time. */
int heat_process_start(HeatProcess *process, sd_event *event, heat_run_fn run,
                       const HeatWorld *world, const HeatWork *work, heat_done_fn on_done,
                       void *userdata);
bool heat_process_is_running(const HeatProcess *process);

/* Ends it at once; @on_done is not called. Whether there was one: it has done nobody knows what. */
bool heat_process_kill(HeatProcess *process);
