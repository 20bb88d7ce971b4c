/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/daemononline.h"

#include <errno.h>
#include <stdio.h>

#include "client/cli/daemonbus.h"
#include "daemon/bus.h"
#include "policy/macro.h"

/* The daemon's words for OnlineResult, which our own tables use, too. */
static const char *const result_names[] = {
        [ONLINE_DONE] = "done",
        [ONLINE_ALREADY] = "already",
        [ONLINE_WOULD] = "would",
        [ONLINE_FAILED] = "failed",
};

const char *online_result_text(OnlineResult result)
{
        return result_names[result];
}

static int step_read(sd_bus_message *message, OnlineStep *ret_step)
{
        const char *object, *action, *result;
        OnlineStep step = {};
        int32_t error;
        int r;

        r = sd_bus_message_read(message, "(sssi)", &object, &action, &result, &error);
        if (r <= 0)
                return r;

        snprintf(step.object, sizeof(step.object), "%s", object);
        snprintf(step.action, sizeof(step.action), "%s", action);
        step.error = error;
        step.result = error < 0 ? ONLINE_FAILED : ONLINE_DONE; /* of words newer than ours */
        for (size_t i = 0; i < ARRAY_SIZE(result_names); i++)
                if (strcmp(result, result_names[i]) == 0)
                        step.result = (OnlineResult)i;

        *ret_step = step;
        return 1;
}

/* Hands on every step. The work as a whole went as its last step did, and a failure before that
 * leaves it done in part. */
static int steps_read(sd_bus_message *message, online_step_fn fn, void *userdata)
{
        OnlineStep step;
        int outcome = 0, r;

        r = sd_bus_message_enter_container(message, 'a', "(sssi)");
        if (r < 0)
                return r;

        while ((r = step_read(message, &step)) > 0) {
                if (step.result == ONLINE_FAILED)
                        outcome = step.error < 0 ? step.error : -EUCLEAN;
                else if (outcome < 0)
                        outcome = -EUCLEAN;
                r = fn(&step, userdata);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : outcome;
}

int daemon_online(sd_bus *bus, const char *method, const char *device, bool dry_run,
                  online_step_fn step, void *userdata, char **ret_message)
{
        _cleanup_(daemon_messagep) sd_bus_message *reply = NULL;
        int r = daemon_call(bus, BUS_INTERFACE, method, DAEMON_WORK_USEC, ret_message, &reply, "sb",
                            device, (int)dry_run);

        return r < 0 ? r : steps_read(reply, step, userdata);
}
