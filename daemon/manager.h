/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-device.h>
#include <systemd/sd-event.h>

#include "daemon/device.h"
#include "daemon/job.h"
#include "daemon/managed.h"
#include "daemon/placement.h"
#include "daemon/server.h"
#include "daemon/topology.h"
#include "policy/config.h"

typedef struct Manager Manager;

/* Everything the daemon has. One, on the heap, from main(). */
struct Manager {
        int root_fd; /* where the configuration is found: "/" */
        const char *tiers_path;
        job_run_fn run; /* what a job's process does: job_run() */
        sd_event *event;

        bool dry_run; /* onlines, places and moves nothing */

        Config config;
        char *config_problem; /* why the last reload was refused; NULL: it was not */
        Managed *managed;
        size_t n_managed;
        Topology topology;
        bool published;
        Placement *placement;
        Rule *rules; /* until the placement has them, at the start */
        size_t n_rules;
        Job *jobs; /* the first one runs, the others wait: auto_online_blocks is the machine's */

        Server server;
        sd_device_monitor *monitor;
        sd_event_source *reconcile_timer; /* ReconcileSec, or the next retry */
        sd_event_source *settle_timer;    /* collects bursts of kernel events */
        sd_event_source *signal_sources[3];
        char *status; /* as last told to the service manager */
        bool ready;
        bool stopping;
        bool moving; /* the stop waits for copies that are being moved */
};

/* An empty manager, which needs no privileges: what tests start from. */
int manager_new(int root_fd, Manager **ret_manager);
void manager_free(Manager *manager);
void manager_freep(Manager **manager);

/* Reads the configuration. -EBADMSG, or the errno of reading: @ret_error says which file and why.
 * The configuration in force, if there is one, then stays. */
int manager_configure(Manager *manager, ConfigError *ret_error);

/* Starts listening to the machine and to clients, looks at every device once and tells the service
 * manager that it is ready. Then run the event loop. */
int manager_start(Manager *manager);

/* Reads the configuration again; a refused one leaves the old one and becomes a problem. The same
 * errors as manager_configure(); *ret_text, which the caller frees, is the reason. */
int manager_reload(Manager *manager, char **ret_text);

/* Offlines what is to be offlined on stop, then leaves the event loop. */
int manager_stop(Manager *manager);

/* Looks at the devices, queues what is to be done, looks at the nodes, tells everybody. */
int manager_reconcile(Manager *manager);

/* Appends a job, which the manager owns from then on. */
int manager_job_queue(Manager *manager, Job *job);

/* Ends all that wait or run, with an error for who asked. */
void manager_jobs_free(Manager *manager);

/* Whether a job that a client asked for, for this device by any of its names, is queued or runs. */
bool manager_has_request(const Manager *manager, const char *device);

/* Tells systemctl and the bus how things are, if it has changed. */
void manager_announce(Manager *manager);
