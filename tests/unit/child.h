/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A process to look at from outside: it says when it is ready and ends when told to. */

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/kernel/process.h"

typedef struct Child {
        pid_t pid;
        int process_fd; /* /proc/<pid> */
} Child;

/* Forks; in the child runs @set_up and then waits for ever. Returns once @set_up is through. */
static inline Child child_new(void (*set_up)(void *), void *data)
{
        Child child = { .process_fd = -1 };
        int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ready[2];
        char byte;

        cr_assert_geq(proc_fd, 0);
        cr_assert_eq(pipe(ready), 0);
        child.pid = fork();
        cr_assert_geq(child.pid, 0);
        if (child.pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (set_up)
                        set_up(data);
                if (write(ready[1], "", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }

        close(ready[1]);
        cr_assert_eq(read(ready[0], &byte, 1), 1, "the child could not set itself up");
        close(ready[0]);
        cr_assert_eq(process_open(proc_fd, child.pid, &child.process_fd), 0);
        close(proc_fd);
        return child;
}

/* Kills it and leaves it a zombie. */
static inline void child_end(const Child *child)
{
        siginfo_t info;

        cr_assert_eq(kill(child->pid, SIGKILL), 0);
        cr_assert_eq(waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT), 0);
}

static inline void child_reap(const Child *child)
{
        cr_assert_eq(waitpid(child->pid, NULL, 0), child->pid);
}

static inline void child_freep(Child *child)
{
        if (kill(child->pid, SIGKILL) == 0)
                waitpid(child->pid, NULL, 0);
        close(child->process_fd);
}

static inline int own_process(void)
{
        int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;

        cr_assert_eq(process_open(proc_fd, 0, &fd), 0);
        close(proc_fd);
        return fd;
}
