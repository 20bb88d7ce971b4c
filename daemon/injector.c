/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxtierd-injector: runs one mbind() or set_mempolicy() in one process per request, and nothing else.
 *
 * A tracer that dies between changing a thread's registers and restoring them takes its target along.
 * So this is a service of its own, whose memory is locked, which the OOM killer spares, which holds
 * no state, and which finishes what it has begun when its client is gone.
 *
 * A target that does not stop is let go by the only way there is, the end of its tracer. Therefore a
 * parent does nothing but keep WORKERS processes; each takes a connection, serves its requests one
 * after the other, and if it has to let go of a target answers first, then exits and is replaced.
 * One that waits for a slow target delays only its own connection. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/kernel/inject.h"
#include "policy/macro.h"

#define WORKERS 4u

/* The listening socket: systemd's StandardInput=socket. */
#define LISTEN_FD STDIN_FILENO

/* Waits with SIGTERM open, here alone: it ends a worker between two requests, never within one. */
static int await_input(int fd)
{
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        sigset_t blocked;

        sigfillset(&blocked);
        sigdelset(&blocked, SIGTERM);
        return ppoll(&poll_fd, 1, NULL, &blocked) < 0 ? -errno : 0;
}

/* What came together with a SIGTERM, which ppoll() then leaves pending, is left to others. */
static bool is_to_end(void)
{
        sigset_t pending;

        return sigpending(&pending) == 0 && sigismember(&pending, SIGTERM) > 0;
}

/* One request and its answer. 0: the client is gone. */
static int serve_request(int fd)
{
        InjectRequest request;
        InjectOutcome outcome = {
                .version = INJECT_VERSION,
                .step = INJECT_STEP_REQUEST,
                .error = -EPROTO,
        };
        ssize_t n;

        /* With MSG_TRUNC a longer message shows its length. */
        n = recv(fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0)
                return errno == EAGAIN ? 1 : 0;
        if (n == 0)
                return 0;

        if (n == sizeof(request))
                inject_call(&request, &outcome);

        /* A client that does not read its answers loses them; it is not waited for. */
        n = send(fd, &outcome, sizeof(outcome), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (outcome.flags & INJECT_FLAG_HELD)
                _exit(EXIT_SUCCESS);

        return n < 0 ? 0 : 1;
}

static void serve_connection(void)
{
        /* Several workers wake up for one connection. */
        _cleanup_(closep) int fd = accept4(LISTEN_FD, NULL, NULL, SOCK_CLOEXEC);
        int r = fd < 0 ? 0 : 1;

        while (r > 0) {
                r = await_input(fd);
                if (r >= 0)
                        r = serve_request(fd);
        }
}

static int work(pid_t parent)
{
        /* Memory locks are not inherited. */
        if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
                return EX_OSERR;
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
                return EX_OSERR;

        while (!is_to_end())
                if (await_input(LISTEN_FD) >= 0 && !is_to_end())
                        serve_connection();

        return EXIT_SUCCESS;
}

static int start_worker(pid_t *ret_worker)
{
        pid_t parent = getpid(), worker;

        worker = fork();
        if (worker < 0)
                return -errno;
        if (worker == 0)
                _exit(work(parent));

        *ret_worker = worker;
        return 0;
}

static void stop_workers(const pid_t workers[WORKERS])
{
        for (unsigned i = 0; i < WORKERS; i++)
                if (workers[i] > 0)
                        kill(workers[i], SIGTERM);
        /* A target may be in their hands: for these there is no hurry. */
        for (unsigned i = 0; i < WORKERS; i++)
                if (workers[i] > 0)
                        waitpid(workers[i], NULL, 0);
}

/* Replaces whoever has ended. -EIO: a worker could not even begin. */
static int replace_workers(pid_t workers[WORKERS])
{
        int status, r = 0;
        pid_t ended;

        while (r >= 0 && (ended = waitpid(-1, &status, WNOHANG)) > 0)
                for (unsigned i = 0; i < WORKERS; i++) {
                        if (workers[i] != ended)
                                continue;
                        workers[i] = 0;
                        r = WIFEXITED(status) && WEXITSTATUS(status) != EXIT_SUCCESS
                                    ? -EIO
                                    : start_worker(&workers[i]);
                }

        return r;
}

static int supervise(void)
{
        pid_t workers[WORKERS] = {};
        sigset_t awaited;
        int r = 0, signal = SIGCHLD;

        sigemptyset(&awaited);
        sigaddset(&awaited, SIGCHLD);
        sigaddset(&awaited, SIGTERM);
        sigaddset(&awaited, SIGINT);

        for (unsigned i = 0; r >= 0 && i < WORKERS; i++)
                r = start_worker(&workers[i]);
        while (r >= 0) {
                signal = sigwaitinfo(&awaited, NULL);
                if (signal == SIGTERM || signal == SIGINT)
                        break;
                if (signal == SIGCHLD)
                        r = replace_workers(workers);
        }

        stop_workers(workers);
        return r;
}

int main(void)
{
        int listening = 0, r;
        socklen_t size = sizeof(listening);
        sigset_t all;

        if (getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening ||
            fcntl(LISTEN_FD, F_SETFL, O_NONBLOCK) < 0) {
                fputs("daxtierd-injector serves daxtierd and is started by systemd: its standard "
                      "input has to be the socket of daxtierd-injector.socket. Start that unit.\n",
                      stderr);
                return EX_USAGE;
        }

        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        r = supervise();
        if (r < 0) {
                fputs("daxtierd-injector cannot start its workers: it needs CAP_IPC_LOCK to lock "
                      "their memory, and memory to lock.\n",
                      stderr);
                return EX_OSERR;
        }

        return EXIT_SUCCESS;
}
