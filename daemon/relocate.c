/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/relocate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "policy/macro.h"

/* A batch is through long before. */
#define CHILD_END_MS 2000

/* Where the child's end of the pipe goes, the only descriptor it has beside stdio. */
#define CHILD_PIPE_FD 3

_Static_assert(sizeof(RelocateResult) <= 512, "a result must go through a pipe in one piece");

int relocation_new(const RelocateRequest *request, Relocation **ret_relocation)
{
        _cleanup_(relocation_freep) Relocation *relocation = NULL;
        _cleanup_(freep) RelocateRange *ranges = NULL;
        _cleanup_(freep) char *cgroup = NULL;

        if (request->kind == RELOCATE_PROCESS && request->n_ranges == 0 && !request->anonymous)
                return -EINVAL;
        if (request->rate == 0 || nodeset_is_empty(&request->nodes))
                return -EINVAL;

        relocation = calloc(1, sizeof(*relocation));
        if (!relocation)
                return -ENOMEM;
        *relocation = (Relocation){
                .pipe_fd = -1,
                .pidfd = -1,
                .result = { .engine = RELOCATE_NONE },
        };

        cgroup = strdup(request->cgroup);
        ranges = calloc(request->n_ranges + 1, sizeof(*ranges));
        if (!cgroup || !ranges)
                return -ENOMEM;
        if (request->n_ranges > 0)
                memcpy(ranges, request->ranges, request->n_ranges * sizeof(*ranges));

        relocation->request = *request;
        relocation->request.cgroup = TAKE_PTR(cgroup);
        relocation->request.ranges = TAKE_PTR(ranges);
        *ret_relocation = TAKE_PTR(relocation);
        return 0;
}

static void child_forget(Relocation *relocation)
{
        relocation->pipe_source = sd_event_source_disable_unref(relocation->pipe_source);
        relocation->child_source = sd_event_source_disable_unref(relocation->child_source);
        closep(&relocation->pipe_fd);
        closep(&relocation->pidfd);
        relocation->pipe_fd = relocation->pidfd = -1;
}

static void child_end(int pidfd)
{
        struct pollfd ended = { .fd = pidfd, .events = POLLIN };
        siginfo_t info;

        pidfd_send_signal(pidfd, SIGTERM, NULL, 0);
        if (TEMP_FAILURE_RETRY(poll(&ended, 1, CHILD_END_MS)) > 0)
                waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
        else /* in the kernel, perhaps: not awaited */
                pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
}

void relocation_free(Relocation *relocation)
{
        if (!relocation)
                return;

        if (relocation_is_running(relocation))
                child_end(relocation->pidfd);
        child_forget(relocation);
        free((char *)relocation->request.cgroup);
        free((RelocateRange *)relocation->request.ranges);
        free(relocation);
}

void relocation_freep(Relocation **relocation)
{
        relocation_free(*relocation);
}

bool relocation_is_running(const Relocation *relocation)
{
        return relocation->pidfd >= 0;
}

void relocation_cancel(Relocation *relocation)
{
        if (relocation_is_running(relocation))
                pidfd_send_signal(relocation->pidfd, SIGTERM, NULL, 0);
}

static void sigterm_only(sigset_t *set)
{
        sigemptyset(set);
        sigaddset(set, SIGTERM);
}

/* In the child, for ever: nothing of the parent's event loop or bus may be touched, so all of its
 * descriptors go. */
_Noreturn static void child_main(const Relocation *relocation, pid_t parent, int pipe_fd,
                                 relocation_run_fn run)
{
        sigset_t mask;

        sigterm_only(&mask);
        sigprocmask(SIG_SETMASK, &mask, NULL);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
                _exit(EINTR);

        prctl(PR_SET_NAME, "daxtierd-move");
        signal(SIGPIPE, SIG_IGN);

        if (pipe_fd != CHILD_PIPE_FD && dup2(pipe_fd, CHILD_PIPE_FD) < 0)
                _exit(errno);
        close_range(CHILD_PIPE_FD + 1, ~0u, 0);

        run(&relocation->request, CHILD_PIPE_FD);
        _exit(0);
}

/* Takes what is in the pipe, the last result being the one. */
static void pipe_drain(Relocation *relocation)
{
        for (;;) {
                RelocateResult result;
                ssize_t n = TEMP_FAILURE_RETRY(read(relocation->pipe_fd, &result, sizeof(result)));

                if (n < 0 && errno == EAGAIN)
                        return;
                if ((size_t)n != sizeof(result)) {
                        /* Its end stays readable: do not spin until the child is reaped. */
                        sd_event_source_set_enabled(relocation->pipe_source, SD_EVENT_OFF);
                        return;
                }
                result.reason[sizeof(result.reason) - 1] = '\0';
                relocation->result = result;
        }
}

static int on_pipe(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        pipe_drain(userdata);
        return 0;
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
        Relocation *relocation = userdata;

        pipe_drain(relocation);
        if (info->si_code != CLD_EXITED)
                relocation->result.error = -ECANCELED;
        else if (info->si_status != 0)
                relocation->result.error = -info->si_status;

        child_forget(relocation);
        relocation->on_done(relocation, relocation->userdata); /* may free the relocation */
        return 0;
}

static int sources_add(Relocation *relocation, sd_event *event)
{
        int r;

        r = sd_event_add_io(event, &relocation->pipe_source, relocation->pipe_fd, EPOLLIN, on_pipe,
                            relocation);
        if (r >= 0)
                r = sd_event_source_set_description(relocation->pipe_source, "relocation-results");
        if (r >= 0)
                r = sd_event_add_child_pidfd(event, &relocation->child_source, relocation->pidfd,
                                             WEXITED, on_child, relocation);
        if (r >= 0)
                r = sd_event_source_set_description(relocation->child_source, "relocation-end");
        return r;
}

int relocation_start(Relocation *relocation, sd_event *event, relocation_run_fn run,
                     relocation_done_fn on_done, void *userdata)
{
        _cleanup_(closep) int read_fd = -1, write_fd = -1, pidfd = -1;
        pid_t parent = getpid(), pid;
        sigset_t mask, old_mask;
        int fds[2], r;

        if (relocation_is_running(relocation))
                return -EBUSY;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        read_fd = fds[0];
        write_fd = fds[1];
        if (fcntl(read_fd, F_SETFL, O_NONBLOCK) < 0)
                return -errno;

        relocation->on_done = on_done;
        relocation->userdata = userdata;
        relocation->result = (RelocateResult){ .engine = RELOCATE_NONE };

        /* From its first moment on a SIGTERM waits for the child's run(), which puts everything back:
         * be it from relocation_cancel(), or because the daemon was killed. */
        sigterm_only(&mask);
        sigprocmask(SIG_BLOCK, &mask, &old_mask);
        pid = fork();
        r = pid < 0 ? -errno : 0;
        if (pid == 0)
                child_main(relocation, parent, write_fd, run);
        sigprocmask(SIG_SETMASK, &old_mask, NULL);
        if (r < 0)
                return r;

        pidfd = pidfd_open(pid, 0);
        r = pidfd < 0 ? -errno : 0;
        relocation->pipe_fd = TAKE_FD(read_fd);
        relocation->pidfd = TAKE_FD(pidfd);
        if (r >= 0)
                r = sources_add(relocation, event);
        if (r < 0) {
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                child_forget(relocation);
                return r;
        }

        return 0;
}
