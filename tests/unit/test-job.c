/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#include "daemon/job.h"
#include "policy/macro.h"

static sd_event *event;
static Job *job;
static size_t n_seen;

static void setup(void)
{
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        sigaddset(&mask, SIGTERM);
        cr_assert_eq(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
        cr_assert_geq(sd_event_new(&event), 0);
        cr_assert_eq(job_new(JOB_ONLINE, "dax1.0", ZONE_MOVABLE, false, &job), 0);
}

static void teardown(void)
{
        job_free(job);
        sd_event_unref(event);
}

static void on_step(Job *its_job, const OnlineStep *step, void *userdata)
{
        n_seen++;
}

static void on_done(Job *its_job, void *userdata)
{
        cr_assert_eq(sd_event_exit(event, 0), 0);
}

static void run_to_end(job_run_fn run)
{
        cr_assert_eq(job_start(job, event, run, on_step, on_done, NULL), 0);
        cr_assert(job_is_running(job));
        cr_assert_eq(sd_event_loop(event), 0);
        cr_assert_not(job_is_running(job));
}

/* More than a pipe holds. */
#define MANY 5000u

static int many_steps(const Job *its_job, online_step_fn step, void *userdata)
{
        for (unsigned i = 0; i < MANY; i++) {
                OnlineStep one = { .action = "online_movable" };

                snprintf(one.object, sizeof(one.object), "memory%u", i);
                if (i == 7) {
                        one.result = ONLINE_FAILED;
                        one.error = -EBUSY;
                }
                if (step(&one, userdata) < 0)
                        return -EIO;
        }
        return -EUCLEAN;
}

TestSuite(job, .init = setup, .fini = teardown, .timeout = 60);

Test(job, brings_every_step_and_the_result)
{
        run_to_end(many_steps);
        cr_assert_eq(job->result, -EUCLEAN);
        cr_assert_eq(job->n_steps, MANY);
        cr_assert_eq(n_seen, MANY);
        cr_assert_str_eq(job->steps[MANY - 1].object, "memory4999");
        cr_assert_str_eq(job_failed_step(job)->object, "memory7");
}

static int no_step(const Job *its_job, online_step_fn step, void *userdata)
{
        return strcmp(its_job->device, "dax1.0") == 0 ? 0 : -EINVAL;
}

Test(job, without_steps_has_its_result)
{
        run_to_end(no_step);
        cr_assert_eq(job->result, 0);
        cr_assert_null(job_failed_step(job));
}

static int kill_self(const Job *its_job, online_step_fn step, void *userdata)
{
        raise(SIGKILL);
        return 0;
}

Test(job, that_is_killed_was_canceled)
{
        run_to_end(kill_self);
        cr_assert_eq(job->result, -ECANCELED);
}

/* The parent's descriptors, its bus among them, are not the child's, and its signals come through. */
static int look_around(const Job *its_job, online_step_fn step, void *userdata)
{
        sigset_t mask;

        if (fcntl(4, F_GETFD) >= 0 || errno != EBADF)
                return -EBADF;
        sigprocmask(SIG_BLOCK, NULL, &mask);
        return sigismember(&mask, SIGTERM) ? -EINTR : 0;
}

Test(job, has_nothing_of_its_parent)
{
        cr_assert_geq(fcntl(STDERR_FILENO, F_DUPFD, 4), 4);
        run_to_end(look_around);
        cr_assert_eq(job->result, 0);
}

static int wait_for_alarm(const Job *its_job, online_step_fn step, void *userdata)
{
        sigset_t mask;
        int number;

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGALRM);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        step(&(OnlineStep){ .object = "ready" }, userdata);
        /* Both come: the one says to end, the other ends what the kernel is at. */
        if (sigwait(&mask, &number) != 0 || sigwait(&mask, &number) != 0)
                return -EIO;
        return -EINTR;
}

static void cancel_when_ready(Job *its_job, const OnlineStep *step, void *userdata)
{
        job_cancel(its_job);
}

Test(job, canceled_ends_in_its_own_way)
{
        cr_assert_eq(job_start(job, event, wait_for_alarm, cancel_when_ready, on_done, NULL), 0);
        cr_assert_eq(sd_event_loop(event), 0);
        cr_assert_eq(job->result, -EINTR);
}
