/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Targets whose threads are told apart: each can have a policy of its own. */
#include <fcntl.h>
#include <semaphore.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "policy/macro.h"
#include "tests/unit/inject-target.h"

#define THREADS 3

static int gettid_of_caller(void)
{
        return (int)syscall(SYS_gettid);
}

/* Past stdio: a fork while another thread is in fflush() copies the number that was just written, and
 * the child would say it again. */
static void say_number(void)
{
        expect(dprintf(STDOUT_FILENO, "%d\n", gettid_of_caller()) > 0);
}

static void *wait_for_ever(void *argument)
{
        say_number();
        for (;;)
                pause();
        return NULL;
}

static void start_process(void)
{
        pid_t pid = fork();

        expect(pid >= 0);
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                wait_for_ever(NULL);
        }
}

/* The numbers come in the order of the threads. */
static sem_t is_named;

/* Says its number, then does what it is told to. */
static void *obey(void *argument)
{
        const int *orders = argument;
        char order;

        say_number();
        sem_post(&is_named);
        while (read(orders[0], &order, 1) == 1)
                switch (order) {
                case 't':
                        target_start(wait_for_ever, NULL);
                        break;
                case 'f':
                        start_process();
                        break;
                default:
                        return NULL;
                }
        return NULL;
}

/* The first of its threads starts another ('t') or a process ('f'), whose number is printed, or ends
 * ('e'). */
static void threads(void)
{
        static int orders[THREADS][2];
        char order = 0;

        target_ready();
        expect(sem_init(&is_named, 0, 0) == 0);
        for (size_t i = 0; i < THREADS; i++) {
                expect(pipe2(orders[i], O_CLOEXEC) == 0);
                target_start(obey, orders[i]);
                expect(sem_wait(&is_named) == 0);
        }

        while (order != 'x') {
                expect(read(STDIN_FILENO, &order, 1) == 1);
                if (order != 'x')
                        expect(write(orders[0][1], &order, 1) == 1);
        }
        _exit(0);
}

static void *drain(void *argument)
{
        char buffer[4096];

        target_read_byte();
        while (read(*(int *)argument, buffer, sizeof(buffer)) > 0)
                ;
        return NULL;
}

/* More than the pipe takes. */
static void writing(void)
{
        static char data[1024 * 1024];
        static int ends[2];

        expect(pipe2(ends, O_CLOEXEC) == 0);
        target_start(drain, &ends[0]);
        target_ready();
        expect(write(ends[1], data, sizeof(data)) == (ssize_t)sizeof(data));
}

static const TargetMode modes[] = {
        { "threads", threads },
        { "write", writing },
};

int target_run_threads(const char *mode)
{
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
                if (strcmp(modes[i].name, mode) == 0) {
                        modes[i].run();
                        return 0;
                }

        return 2;
}
