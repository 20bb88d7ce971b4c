/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "policy/macro.h"

/* Where the child's end of the pipe goes, the only descriptor it has beside stdio. */
#define CHILD_PIPE_FD 3

_Static_assert(sizeof(OnlineStep) <= 512, "a step must go through a pipe in one piece");

int job_new(JobKind kind, const char *device, Zone zone, bool dry_run, Job **ret_job)
{
        _cleanup_(job_freep) Job *job = NULL;

        job = calloc(1, sizeof(*job));
        if (!job)
                return -ENOMEM;

        *job = (Job){ .kind = kind, .zone = zone, .dry_run = dry_run, .pipe_fd = -1, .pidfd = -1 };
        job->device = strdup(device);
        if (!job->device)
                return -ENOMEM;

        *ret_job = TAKE_PTR(job);
        return 0;
}

void job_free(Job *job)
{
        if (!job)
                return;

        if (job_is_running(job))
                pidfd_send_signal(job->pidfd, SIGKILL, NULL, 0);
        sd_event_source_disable_unref(job->pipe_source);
        sd_event_source_disable_unref(job->child_source);
        closep(&job->pipe_fd);
        closep(&job->pidfd);
        free(job->steps);
        free(job->device);
        free(job);
}

void job_freep(Job **job)
{
        job_free(*job);
}

bool job_is_running(const Job *job)
{
        return job->pidfd >= 0;
}

const OnlineStep *job_failed_step(const Job *job)
{
        for (size_t i = job->n_steps; i > 0; i--)
                if (job->steps[i - 1].result == ONLINE_FAILED)
                        return &job->steps[i - 1];
        return NULL;
}

int job_run(const Job *job, online_step_fn step, void *userdata)
{
        if (job->kind == JOB_ONLINE)
                return device_online(job->device, job->zone, job->dry_run, step, userdata);
        return device_offline(job->device, job->dry_run, step, userdata);
}

/* In the child. A pipe whose reader is gone is no reason to stop half-way. */
static int step_write(const OnlineStep *step, void *userdata)
{
        ssize_t n = TEMP_FAILURE_RETRY(write(CHILD_PIPE_FD, step, sizeof(*step)));

        return n < 0 && errno != EPIPE ? -errno : 0;
}

/* In the child, for ever: nothing of the parent's event loop or bus may be touched, so all of its
 * descriptors go. The result is the exit status; every errno is below 256. */
_Noreturn static void child_main(const Job *job, pid_t parent, int pipe_fd, job_run_fn run)
{
        sigset_t none;
        int r;

        /* A daemon that is killed takes its job along, which then puts everything back. */
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
                _exit(EINTR);

        prctl(PR_SET_NAME, "daxtierd-job");
        signal(SIGPIPE, SIG_IGN);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);

        if (pipe_fd != CHILD_PIPE_FD && dup2(pipe_fd, CHILD_PIPE_FD) < 0)
                _exit(errno);
        close_range(CHILD_PIPE_FD + 1, ~0u, 0);

        r = run(job, step_write, NULL);
        _exit(r < 0 ? -r : 0);
}

static void step_add(Job *job, const OnlineStep *step)
{
        OnlineStep *larger;

        if (job->n_steps >= JOB_STEPS_MAX)
                return;

        /* Doubling whenever the count is a power of two. */
        if ((job->n_steps & (job->n_steps - 1)) == 0) {
                larger = reallocarray(job->steps, job->n_steps > 0 ? job->n_steps * 2 : 1,
                                      sizeof(*larger));
                if (!larger)
                        return;
                job->steps = larger;
        }
        job->steps[job->n_steps++] = *step;
}

/* Takes what is in the pipe; 0 at its end or when it is empty for now. */
static int pipe_drain(Job *job)
{
        for (;;) {
                OnlineStep step;
                ssize_t n = TEMP_FAILURE_RETRY(read(job->pipe_fd, &step, sizeof(step)));

                if (n == 0) {
                        /* Its end stays readable: do not spin until the child is reaped. */
                        sd_event_source_set_enabled(job->pipe_source, SD_EVENT_OFF);
                        return 0;
                }
                if (n < 0)
                        return errno == EAGAIN ? 0 : -errno;
                if ((size_t)n != sizeof(step))
                        return -EBADMSG;

                step.object[sizeof(step.object) - 1] = '\0';
                step.action[sizeof(step.action) - 1] = '\0';
                step_add(job, &step);
                if (job->on_step)
                        job->on_step(job, &step, job->userdata);
        }
}

static int on_pipe(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Job *job = userdata;
        int r;

        r = pipe_drain(job);
        if (r < 0)
                sd_event_source_set_enabled(job->pipe_source, SD_EVENT_OFF);
        return 0;
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
        Job *job = userdata;

        pipe_drain(job);
        job->result = info->si_code == CLD_EXITED ? -info->si_status : -ECANCELED;

        job->pipe_source = sd_event_source_disable_unref(job->pipe_source);
        job->child_source = sd_event_source_disable_unref(job->child_source);
        closep(&job->pidfd);
        job->pidfd = -1;

        job->on_done(job, job->userdata); /* may free the job */
        return 0;
}

static int sources_add(Job *job, sd_event *event)
{
        int r;

        r = sd_event_add_io(event, &job->pipe_source, job->pipe_fd, EPOLLIN, on_pipe, job);
        if (r >= 0)
                r = sd_event_source_set_description(job->pipe_source, "job-steps");
        if (r >= 0)
                r = sd_event_add_child_pidfd(event, &job->child_source, job->pidfd, WEXITED,
                                             on_child, job);
        if (r >= 0)
                r = sd_event_source_set_description(job->child_source, "job-end");
        return r;
}

int job_start(Job *job, sd_event *event, job_run_fn run, job_step_fn on_step, job_done_fn on_done,
              void *userdata)
{
        _cleanup_(closep) int write_fd = -1;
        pid_t parent = getpid(), pid;
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        job->pipe_fd = fds[0];
        write_fd = fds[1];
        if (fcntl(job->pipe_fd, F_SETFL, O_NONBLOCK) < 0)
                return -errno;

        job->on_step = on_step;
        job->on_done = on_done;
        job->userdata = userdata;

        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                child_main(job, parent, write_fd, run);

        job->pidfd = pidfd_open(pid, 0);
        r = job->pidfd < 0 ? -errno : sources_add(job, event);
        if (r < 0) {
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                return r;
        }

        return 0;
}

/* The kernel's offlining only ends at a signal that is not held back, and that is SIGALRM. */
void job_cancel(Job *job)
{
        if (!job_is_running(job))
                return;
        pidfd_send_signal(job->pidfd, SIGTERM, NULL, 0);
        pidfd_send_signal(job->pidfd, SIGALRM, NULL, 0);
}
