/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls to be blocked in. Each may end in one way only. */
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "target.h"

static int disk_fd = -1;

/* Before the filesystem is frozen: afterwards open() would wait, too. */
void command_open(const char *argument)
{
        disk_fd = open(argument, O_WRONLY | O_CLOEXEC);
        expect(disk_fd >= 0);
        say("opened");
}

static void wait_read(void)
{
        read_line();
}

static void wait_epoll(void)
{
        struct epoll_event event = { .events = EPOLLIN };
        int fd = epoll_create1(EPOLL_CLOEXEC);

        expect(fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0);
        expect(epoll_wait(fd, &event, 1, -1) == 1);
        close(fd);
        read_line();
}

static void wait_poll(void)
{
        struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

        expect(poll(&input, 1, -1) == 1);
        read_line();
}

static uint32_t futex_word;

static void *wake_futex(void *argument)
{
        (void)argument;
        read_line();
        __atomic_store_n(&futex_word, 1, __ATOMIC_SEQ_CST);
        syscall(SYS_futex, &futex_word, FUTEX_WAKE, 1, NULL, NULL, 0);
        return NULL;
}

static void wait_futex(void)
{
        pthread_t thread;

        futex_word = 0;
        expect(pthread_create(&thread, NULL, wake_futex, NULL) == 0);
        expect(syscall(SYS_futex, &futex_word, FUTEX_WAIT, 0, NULL, NULL, 0) == 0 ||
               errno == EAGAIN);
        expect(pthread_join(thread, NULL) == 0);
}

/* Ends with the test's SIGUSR1, and knows how long it would have slept. */
static void wait_nanosleep(void)
{
        struct timespec time = { .tv_sec = 1000 }, left = {};
        uint64_t since = now_ns(), slept;

        signals = 0;
        expect(syscall(SYS_nanosleep, &time, &left) == -1 && errno == EINTR && signals == 1);
        slept = (now_ns() - since) / 1000000000;
        expect((uint64_t)left.tv_sec + slept >= 998 && (uint64_t)left.tv_sec + slept <= 1060);
}

/* Not sigwait(), which hides EINTR. */
static void wait_sigwait(void)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        signals = 0;
        sigprocmask(SIG_BLOCK, &set, NULL);
        expect(sigwaitinfo(&set, NULL) == SIGUSR1 && signals == 0);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* The parent sleeps uninterruptibly, but for a fatal signal, until the child ends. */
static void wait_vfork(void)
{
        int status;
        pid_t pid = vfork();

        if (pid == 0) {
                read_line();
                _exit(7);
        }
        expect(pid > 0 && waitpid(pid, &status, 0) == pid);
        expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

/* The test has frozen the filesystem. */
static void wait_disk(void)
{
        expect(write(disk_fd, "x", 1) == 1);
}

static const struct {
        const char *name;
        void (*run)(void);
} waits[] = {
        { "read", wait_read },   { "epoll", wait_epoll },         { "poll", wait_poll },
        { "futex", wait_futex }, { "nanosleep", wait_nanosleep }, { "sigwait", wait_sigwait },
        { "vfork", wait_vfork }, { "disk", wait_disk },
};

void command_wait(const char *argument)
{
        for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
                if (strcmp(waits[i].name, argument) == 0) {
                        say("waiting");
                        waits[i].run();
                        say("woken");
                        return;
                }
        say("no such wait: %s", argument);
}
