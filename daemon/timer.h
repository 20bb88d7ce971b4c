/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A timer of the event loop that is set again and again, and made when it is set first. */

#include <stdint.h>
#include <systemd/sd-event.h>

typedef struct TimerKind TimerKind;

struct TimerKind {
        const char *name;
        sd_event_time_handler_t fn;
        uint64_t accuracy_usec; /* 0: sd-event's own */
};

/* Fires once, at @at_usec of CLOCK_MONOTONIC; *timer is NULL before the first time, and the caller's to
 * unref. */
int timer_set(sd_event *event, sd_event_source **timer, uint64_t at_usec, const TimerKind *kind,
              void *userdata);

/* 1: it has been set, and has not fired since. 0: not; or NULL. */
int timer_is_set(sd_event_source *timer);

/* As timer_set(), so long after the present turn of the event loop began. */
int timer_set_in(sd_event *event, sd_event_source **timer, uint64_t in_usec, const TimerKind *kind,
                 void *userdata);
