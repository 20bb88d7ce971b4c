/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "daemon/online.h"

/* "done", "already", "would", "failed" */
const char *online_result_text(OnlineResult result);

/* Calls Online or Offline and hands each step to @step. 0: all is as wanted. Errors before the
 * first step, and of the step that ended it, are those of device_online() and device_offline();
 * -ECONNRESET: the daemon went away. *ret_message is set on failure only, to what the daemon said
 * in words, if it did; the caller frees it. */
int daemon_online(sd_bus *bus, const char *method, const char *device, bool dry_run,
                  online_step_fn step, void *userdata, char **ret_message);
