/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cli/daemonbus.h"

typedef struct DaemonDevice DaemonDevice;
typedef struct DaemonProblem DaemonProblem;
typedef struct DaemonState DaemonState;
typedef struct DaemonTotals DaemonTotals;

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

/* All that is under policy. UINT64_MAX: the daemon does not count this. */
struct DaemonTotals {
        uint64_t processes;
        uint64_t mappings;
        uint64_t placed, placing, partial, skipped, failed; /* of these mappings, by state */
        uint64_t cow_bytes, cow_cheap_bytes, cow_fast_bytes;
        uint64_t anon_bytes, anon_cheap_bytes, anon_fast_bytes;
        /* Since the daemon was started: of all kinds; of anonymous memory, more than once. */
        uint64_t moved_bytes, re_moved_bytes;
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
        bool has_totals; /* older daemons have none */
        DaemonTotals totals;
};

int daemon_read(sd_bus *bus, DaemonState *ret_state);
void daemon_state_deinit(DaemonState *state);

/* The daemon's view of a device, by chardev; NULL: its configuration does not name it. */
const DaemonDevice *daemon_device_find(const DaemonState *state, const char *chardev);
