/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "daemon/online.h"

typedef struct DaemonDevice DaemonDevice;
typedef struct DaemonProblem DaemonProblem;
typedef struct DaemonState DaemonState;

/* A [Device] section of the daemon's configuration, as daxtierd sees it. */
struct DaemonDevice {
        char *name;
        char *chardev; /* "" while the device is absent */
        char *state;
        char *reason; /* "": none */
};

struct DaemonProblem {
        char *what;
        char *mend;
};

/* The daemon's answers to `daxtier status`: one consistent snapshot. */
struct DaemonState {
        char *version;
        char *state;
        char *status;
        DaemonProblem *problems;
        size_t n_problems;
        DaemonDevice *devices;
        size_t n_devices;
};

/* Connects to the daemon's own socket: works without a system bus, in containers too.
 * -ECONNREFUSED: it is not running; -EACCES: the socket is not for us. */
int daemon_connect(const char *socket_path, sd_bus **ret_bus);

void daemon_disconnectp(sd_bus **bus);

int daemon_read(sd_bus *bus, DaemonState *ret_state);
void daemon_state_deinit(DaemonState *state);

/* The daemon's view of a device, by chardev; NULL: its configuration does not name it. */
const DaemonDevice *daemon_device_find(const DaemonState *state, const char *chardev);

/* "done", "already", "would", "failed" */
const char *online_result_text(OnlineResult result);

/* Calls Online or Offline and hands each step to @step. 0: all is as wanted. Errors before the
 * first step, and of the step that ended it, are those of device_online() and device_offline();
 * -ECONNRESET: the daemon went away. *ret_message is set on failure only, to what the daemon said
 * in words, if it did; the caller frees it. */
int daemon_online(sd_bus *bus, const char *method, const char *device, bool dry_run,
                  online_step_fn step, void *userdata, char **ret_message);
