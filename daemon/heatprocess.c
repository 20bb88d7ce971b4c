/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/heatprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "policy/macro.h"

/* DAMON lets go of it when it has answered. */
#define END_MS 3000

static void process_forget(HeatProcess *process)
{
        process->pipe_source = sd_event_source_disable_unref(process->pipe_source);
        process->child_source = sd_event_source_disable_unref(process->child_source);
        closep(&process->pipe_fd);
        closep(&process->pidfd);
        process->pipe_fd = process->pidfd = -1;
        free(process->received);
        process->received = NULL;
        process->n_received = 0;
}

bool heat_process_is_running(const HeatProcess *process)
{
        return process->pidfd >= 0;
}

bool heat_process_kill(HeatProcess *process)
{
        struct pollfd ended = { .fd = process->pidfd, .events = POLLIN };
        siginfo_t info;

        if (!heat_process_is_running(process))
                return false;

        pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0);
        if (TEMP_FAILURE_RETRY(poll(&ended, 1, END_MS)) > 0)
                waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED);
        process_forget(process);
        return true;
}

static int compare_fds(const void *a, const void *b)
{
        const int *left = a, *right = b;

        return (*left > *right) - (*left < *right);
}

/* Nothing of the parent's event loop, bus or injector stays open; what the step needs keeps its number. */
static void close_all_but(int *fds, size_t n)
{
        unsigned from = STDERR_FILENO + 1;

        qsort(fds, n, sizeof(*fds), compare_fds);
        for (size_t i = 0; i < n; i++) {
                if (fds[i] < (int)from)
                        continue;
                if (fds[i] > (int)from)
                        close_range(from, (unsigned)fds[i] - 1, 0);
                from = (unsigned)fds[i] + 1;
        }
        close_range(from, ~0u, 0);
}

static int write_all(int fd, const void *bytes, size_t size)
{
        for (size_t done = 0; done < size;) {
                ssize_t n = TEMP_FAILURE_RETRY(write(fd, (const char *)bytes + done, size - done));

                if (n < 0)
                        return -errno;
                done += (size_t)n;
        }
        return 0;
}

/* In the child, for ever. A step is not interrupted half-way when the daemon ends: it takes a second, and
 * the daemon kills it if it will not wait. */
_Noreturn static void child_main(const HeatWorld *world, HeatWork *work, pid_t parent, int pipe_fd,
                                 heat_run_fn run)
{
        int fds[] = { world->sys_fd, world->cgroup_fd, world->run_fd, world->claim->lock_fd,
                      pipe_fd };
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(EINTR);

        prctl(PR_SET_NAME, "daxtierd-heat");
        signal(SIGPIPE, SIG_IGN);
        close_all_but(fds, ARRAY_SIZE(fds));

        run(world, work);
        _exit(write_all(pipe_fd, work, sizeof(*work)) < 0);
}

static void pipe_drain(HeatProcess *process)
{
        for (;;) {
                size_t left = sizeof(*process->received) - process->n_received;
                ssize_t n = TEMP_FAILURE_RETRY(read(
                        process->pipe_fd, (char *)process->received + process->n_received, left));

                if (n < 0 && errno == EAGAIN)
                        return;
                if (n <= 0) {
                        /* Its end stays readable: do not spin until the child is reaped. */
                        sd_event_source_set_enabled(process->pipe_source, SD_EVENT_OFF);
                        return;
                }
                process->n_received += (size_t)n;
        }
}

static int on_pipe(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        pipe_drain(userdata);
        return 0;
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
        HeatProcess *process = userdata;
        _cleanup_(freep) HeatWork *work = NULL;
        bool complete;

        pipe_drain(process);
        complete = info->si_code == CLD_EXITED && info->si_status == 0 &&
                   process->n_received == sizeof(*work);
        work = TAKE_PTR(process->received);
        process_forget(process);
        process->on_done(complete ? work : NULL, process->userdata);
        return 0;
}

static int sources_add(HeatProcess *process, sd_event *event)
{
        int r;

        r = sd_event_add_io(event, &process->pipe_source, process->pipe_fd, EPOLLIN, on_pipe,
                            process);
        if (r >= 0)
                r = sd_event_source_set_description(process->pipe_source, "heat-result");
        if (r >= 0)
                r = sd_event_add_child_pidfd(event, &process->child_source, process->pidfd, WEXITED,
                                             on_child, process);
        if (r >= 0)
                r = sd_event_source_set_description(process->child_source, "heat-end");
        return r;
}

int heat_process_start(HeatProcess *process, sd_event *event, heat_run_fn run,
                       const HeatWorld *world, const HeatWork *work, heat_done_fn on_done,
                       void *userdata)
{
        _cleanup_(closep) int write_fd = -1;
        pid_t parent = getpid(), pid;
        int fds[2], r;

        if (heat_process_is_running(process))
                return -EBUSY;
        process->on_done = on_done;
        process->userdata = userdata;
        process->received = malloc(sizeof(*process->received));
        if (!process->received)
                return -ENOMEM;
        *process->received = *work;

        r = pipe2(fds, O_CLOEXEC) < 0 ? -errno : 0;
        if (r >= 0) {
                process->pipe_fd = fds[0];
                write_fd = fds[1];
                r = fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
        }
        pid = r >= 0 ? fork() : -1;
        if (pid == 0)
                child_main(world, process->received, parent, write_fd, run);
        if (r >= 0 && pid < 0)
                r = -errno;
        if (r >= 0) {
                process->pidfd = pidfd_open(pid, 0);
                r = process->pidfd < 0 ? -errno : sources_add(process, event);
                if (r < 0) {
                        kill(pid, SIGKILL);
                        waitpid(pid, NULL, 0);
                }
        }
        if (r < 0)
                process_forget(process);
        return r;
}
