/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/timer.h"

#include <errno.h>

int timer_set(sd_event *event, sd_event_source **timer, uint64_t at_usec, const TimerKind *kind,
              void *userdata)
{
        int r;

        if (!*timer) {
                r = sd_event_add_time(event, timer, CLOCK_MONOTONIC, at_usec, kind->accuracy_usec,
                                      kind->fn, userdata);
                if (r >= 0)
                        r = sd_event_source_set_description(*timer, kind->name);
        } else {
                r = sd_event_source_set_time(*timer, at_usec);
                if (r >= 0)
                        r = sd_event_source_set_enabled(*timer, SD_EVENT_ONESHOT);
        }
        return r < 0 ? r : 0;
}

int timer_is_set(sd_event_source *timer)
{
        int enabled = SD_EVENT_OFF, r = 0;

        if (timer)
                r = sd_event_source_get_enabled(timer, &enabled);
        return r < 0 ? r : enabled != SD_EVENT_OFF;
}

int timer_set_in(sd_event *event, sd_event_source **timer, uint64_t in_usec, const TimerKind *kind,
                 void *userdata)
{
        uint64_t now, at;
        int r;

        r = sd_event_now(event, CLOCK_MONOTONIC, &now);
        if (r < 0)
                return r;
        if (__builtin_add_overflow(now, in_usec, &at))
                return -EOVERFLOW;
        return timer_set(event, timer, at, kind, userdata);
}
