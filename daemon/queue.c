/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The manager's jobs, one at a time: auto_online_blocks is the machine's. And the stop, which waits for
 * the last of them. */
#include <errno.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "daemon/log.h"
#include "daemon/manager.h"
#include "policy/macro.h"

/* More than one block and one rebinding take; asked for again at each step. */
#define STOP_EXTEND_USEC (4u * ONLINE_BLOCK_TIMEOUT_SEC * 1000000u)

/* A device may have thousands of blocks that fail for one reason. */
#define LOGGED_STEPS_MAX 32u

void manager_jobs_free(Manager *manager)
{
        while (manager->jobs) {
                Job *job = manager->jobs;

                manager->jobs = job->next;
                job->result = -ECANCELED;
                bus_job_done(job);
                job_free(job);
        }
}

static bool is_for(const Manager *manager, const Job *job, const char *device)
{
        const Managed *asked = managed_find(manager->managed, manager->n_managed, device);

        return strcmp(job->device, device) == 0 ||
               (asked && managed_find(manager->managed, manager->n_managed, job->device) == asked);
}

bool manager_has_request(const Manager *manager, const char *device)
{
        for (const Job *job = manager->jobs; job; job = job->next)
                if (job->request && is_for(manager, job, device))
                        return true;
        return false;
}

/* Whether something for the same device is yet to be done, so that this outcome is not the last. */
static bool is_superseded(const Manager *manager, const Job *done)
{
        for (const Job *job = manager->jobs; job; job = job->next)
                if (!job->dry_run && is_for(manager, job, done->device))
                        return true;
        return false;
}

static void on_job_step(Job *job, const OnlineStep *step, void *userdata)
{
        const Manager *manager = userdata;

        if (manager->stopping)
                sd_notifyf(false, "EXTEND_TIMEOUT_USEC=%u", STOP_EXTEND_USEC);
}

static void jobs_start(Manager *manager);

static void log_outcome(const Managed *managed, const Job *job)
{
        size_t n_logged = 0;

        for (size_t i = 0; i < job->n_steps && n_logged < LOGGED_STEPS_MAX; i++) {
                const OnlineStep *step = &job->steps[i];

                if (step->result != ONLINE_FAILED || strncmp(step->object, "memory", 6) != 0)
                        continue;
                log_event(LOG_WARNING, NULL, managed->name, step->error, "%s: %s: %s: %s",
                          managed->name, step->object, step->action, strerror(-step->error));
                n_logged++;
        }

        switch (managed->state) {
        case MANAGED_ONLINE:
                log_event(LOG_INFO, LOG_ID_ONLINE, managed->name, 0,
                          "%s: all memory is online as configured (%s)", managed->name,
                          job->n_steps > 0 && job->steps[0].result == ONLINE_ALREADY ? "found so"
                                                                                     : "done now");
                break;
        case MANAGED_OFFLINE:
                log_event(LOG_INFO, LOG_ID_OFFLINE, managed->name, 0,
                          "%s: offline on request, left so until asked, re-plugged or restarted",
                          managed->name);
                break;
        case MANAGED_PARTIAL:
                log_event(LOG_WARNING, LOG_ID_PARTIAL, managed->name, job->result,
                          "%s: some blocks are not as wanted: %s", managed->name, managed->reason);
                break;
        default:
                log_event(LOG_WARNING, LOG_ID_FAILED, managed->name, job->result, "%s: %s",
                          managed->name, managed->reason);
        }
}

/* The outcome of a job for the device it was for. The same failure once more is no news. */
static void outcome_take(Manager *manager, const Job *job)
{
        Managed *managed = managed_find(manager->managed, manager->n_managed, job->device);
        char before[sizeof(managed->reason)];
        unsigned n_failures;
        uint64_t now;

        if (!managed || job->dry_run || is_superseded(manager, job) ||
            sd_event_now(manager->event, CLOCK_MONOTONIC, &now) < 0)
                return;

        memcpy(before, managed->reason, sizeof(before));
        n_failures = managed->n_failures;
        managed_job_done(managed, job, now);
        if (n_failures == 0 || strcmp(before, managed->reason) != 0)
                log_outcome(managed, job);
}

/* The last of what the stop waits for ends the event loop. */
static void exit_if_done(Manager *manager)
{
        if (manager->stopping && !manager->jobs && !manager->moving)
                sd_event_exit(manager->event, EXIT_SUCCESS);
}

static void on_placement_idle(void *userdata)
{
        Manager *manager = userdata;

        manager->moving = false;
        exit_if_done(manager);
}

static void on_job_done(Job *job, void *userdata)
{
        Manager *manager = userdata;

        manager->jobs = job->next;
        outcome_take(manager, job);
        manager_reconcile(manager);
        bus_job_done(job); /* after the properties show it */
        job_free(job);

        jobs_start(manager);
        exit_if_done(manager);
}

/* Starts the first job in the queue, unless it runs. One that cannot be started has failed. */
static void jobs_start(Manager *manager)
{
        while (manager->jobs && !job_is_running(manager->jobs)) {
                Job *job = manager->jobs;
                int r;

                r = job_start(job, manager->event, manager->run, on_job_step, on_job_done, manager);
                if (r >= 0)
                        return;

                job->result = r;
                manager->jobs = job->next;
                outcome_take(manager, job);
                bus_job_done(job);
                job_free(job);
        }
}

int manager_job_queue(Manager *manager, Job *job)
{
        Managed *managed = managed_find(manager->managed, manager->n_managed, job->device);
        Job **last = &manager->jobs;

        /* A request does not wait for the end of our own try at the opposite. */
        if (job->request && !job->dry_run && manager->jobs && !manager->jobs->request &&
            manager->jobs->kind != job->kind && is_for(manager, manager->jobs, job->device))
                job_cancel(manager->jobs);

        if (managed && !job->dry_run) {
                if (job->request && job->kind == JOB_OFFLINE)
                        managed_hold(managed);
                else if (job->request)
                        managed_release(managed);
                managed_job_queued(managed, job->kind);
        }

        while (*last)
                last = &(*last)->next;
        *last = job;

        jobs_start(manager);
        manager_announce(manager);
        return 0;
}

/* What waits is dropped; what runs ends after its present block. */
static void jobs_cancel(Manager *manager)
{
        Job *waiting;

        if (!manager->jobs)
                return;

        job_cancel(manager->jobs);
        waiting = manager->jobs->next;
        manager->jobs->next = NULL;
        while (waiting) {
                Job *job = waiting;

                waiting = job->next;
                job->result = -ECANCELED;
                bus_job_done(job);
                job_free(job);
        }
}

int manager_stop(Manager *manager)
{
        bool again = manager->stopping;

        manager->stopping = true;
        sd_notifyf(false, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%u", STOP_EXTEND_USEC);
        jobs_cancel(manager);
        if (!again)
                manager->moving = placement_stop(manager->placement, on_placement_idle, manager);

        for (size_t i = 0; !again && !manager->dry_run && i < manager->n_managed; i++) {
                const Managed *managed = &manager->managed[i];
                Job *job;
                int r;

                if (!managed->online || !managed->offline_on_stop || managed->chardev[0] == '\0')
                        continue;

                r = job_new(JOB_OFFLINE, managed->name, managed->zone, false, &job);
                if (r < 0)
                        return r;
                manager_job_queue(manager, job);
        }

        manager_announce(manager);
        exit_if_done(manager);
        return 0;
}
