/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The injector as systemd would start it, and its client. */

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "daemon/injection.h"
#include "tests/unit/scratch.h"

typedef struct Injector {
        Scratch scratch;
        char path[96];
        pid_t pid;
} Injector;

static inline Injector injector_new(void)
{
        Injector injector = { .scratch = scratch_new() };
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        cr_assert_not_null(getenv("INJECTOR"), "run me through meson test");
        snprintf(injector.path, sizeof(injector.path), "%s/socket", injector.scratch.path);
        strcpy(address.sun_path, injector.path);
        cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        cr_assert_eq(listen(fd, SOMAXCONN), 0);
        injector.pid = fork();
        cr_assert_geq(injector.pid, 0);
        if (injector.pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGTERM);
                setpriority(PRIO_PROCESS, 0, -20); /* as the unit's Nice= */
                dup2(fd, STDIN_FILENO);
                execl(getenv("INJECTOR"), "daxtierd-injector", NULL);
                _exit(127);
        }

        close(fd);
        return injector;
}

/* As `systemctl stop`, and checks that it went well. */
static inline void injector_end(Injector *injector)
{
        int status;

        cr_assert_eq(kill(injector->pid, SIGTERM), 0);
        cr_assert_eq(waitpid(injector->pid, &status, 0), injector->pid);
        cr_assert_eq(status, 0);
        scratch_freep(&injector->scratch);
}

static inline int injector_connect(const Injector *injector)
{
        int fd = -1;

        cr_assert_eq(injection_connect(injector->path, &fd), 0);
        return fd;
}

/* Sends, awaits the answer. */
static inline int injector_ask(int fd, const InjectRequest *request, InjectOutcome *ret_outcome)
{
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        int r;

        r = injection_send(fd, request);
        if (r < 0)
                return r;

        cr_assert_eq(poll(&poll_fd, 1, -1), 1);
        return injection_receive(fd, ret_outcome);
}
