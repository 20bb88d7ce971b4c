/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "daemon/online.h"

typedef struct Job Job;

typedef enum JobKind {
        JOB_ONLINE,
        JOB_OFFLINE,
} JobKind;

/* The most steps one job keeps for its report: two for each block of the largest devices, and some.
 * More are counted in .result but not kept. */
#define JOB_STEPS_MAX 65536u

/* What the job's process runs: job_run(), or a test's own. Returns the job's result. */
typedef int (*job_run_fn)(const Job *job, online_step_fn step, void *userdata);

/* Called once when the job has ended, with the job filled in; the job is still its owner's. */
typedef void (*job_done_fn)(Job *job, void *userdata);
/* Called for each step as it arrives; may be NULL. */
typedef void (*job_step_fn)(Job *job, const OnlineStep *step, void *userdata);

/* One onlining or offlining of one device, in a process of its own: the kernel may block it for
 * seconds, and the event loop must not be. */
struct Job {
        JobKind kind;
        char *device; /* as device_find() takes it */
        Zone zone;
        bool dry_run;
        void *request; /* whoever asked for it: its owner's business */

        OnlineStep *steps;
        size_t n_steps;
        int result; /* 0 or -errno, once done; -ECANCELED: killed by a signal */

        job_step_fn on_step;
        job_done_fn on_done;
        void *userdata;
        sd_event_source *pipe_source;
        sd_event_source *child_source;
        int pipe_fd;
        int pidfd; /* -1: not running */
        Job *next; /* in its owner's queue */
};

int job_new(JobKind kind, const char *device, Zone zone, bool dry_run, Job **ret_job);

/* A job that still runs is killed without waiting; cancel it and await its end instead. */
void job_free(Job *job);
void job_freep(Job **job);

/* Forks. @on_done is always called after a 0 was returned, from the event loop. SIGCHLD must be
 * blocked. */
int job_start(Job *job, sd_event *event, job_run_fn run, job_step_fn on_step, job_done_fn on_done,
              void *userdata);
bool job_is_running(const Job *job);

/* Asks a running job to end after the present block; it reports -EINTR or -ECANCELED. */
void job_cancel(Job *job);

/* device_online() or device_offline(). */
int job_run(const Job *job, online_step_fn step, void *userdata);

/* The last failed step, or NULL. */
const OnlineStep *job_failed_step(const Job *job);
