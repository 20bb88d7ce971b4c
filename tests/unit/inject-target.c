/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program to run calls in: it waits in one way, named by its argument, and fails if the wait ends in
 * any way but the one it asked for. */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "policy/macro.h"
#include "tests/unit/inject-target.h"

/* Long against what a test takes, short against what a person waits. */
#define SLEEP_NS UINT64_C(800000000)

unsigned char *target_memory;
size_t target_size;
volatile sig_atomic_t target_signals;

static void on_signal(int signal)
{
        target_signals++;
}

static uint64_t now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void target_ready(void)
{
        printf("ready %p\n", (void *)target_memory);
        fflush(stdout);
}

void target_read_byte(void)
{
        char byte;

        expect(read(STDIN_FILENO, &byte, 1) == 1);
}

/* A thread that does @wake once the test says so. */
pthread_t target_start(void *(*wake)(void *), void *argument)
{
        pthread_t thread;

        expect(pthread_create(&thread, NULL, wake, argument) == 0);
        return thread;
}

static int epoll_on_stdin(void)
{
        struct epoll_event event = { .events = EPOLLIN };
        int fd = epoll_create1(EPOLL_CLOEXEC);

        expect(fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0);
        return fd;
}

static void wait_epoll(void)
{
        struct epoll_event event;
        int fd = epoll_on_stdin();

        target_ready();
        expect(epoll_wait(fd, &event, 1, -1) == 1);
}

static void wait_epoll_timeout(void)
{
        struct epoll_event event;
        int fd = epoll_on_stdin();

        target_ready();
        expect(epoll_wait(fd, &event, 1, 3600 * 1000) == 1);
}

static void wait_epoll_pwait(void)
{
        struct epoll_event event;
        int fd = epoll_on_stdin();
        sigset_t mask;

        sigemptyset(&mask);
        target_ready();
        expect(epoll_pwait(fd, &event, 1, -1, &mask) == 1);
}

/* The wait that must end with EINTR: a signal came that has a handler. */
static void wait_epoll_signal(void)
{
        struct epoll_event event;
        int fd = epoll_on_stdin();

        target_ready();
        expect(epoll_wait(fd, &event, 1, -1) == -1 && errno == EINTR && target_signals == 1);
}

static void *wake_futex(void *word)
{
        target_read_byte();
        *(volatile int *)word = 1;
        syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
        return NULL;
}

static void wait_futex(void)
{
        static int word;

        target_start(wake_futex, &word);
        target_ready();
        expect(syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0) == 0 || errno == EAGAIN);
}

/* How late it wakes is the machine's business; that it does at all is the test's. */
static void expect_slept(uint64_t since)
{
        expect(now_ns() - since >= SLEEP_NS);
}

static void wait_futex_timeout(void)
{
        struct timespec limit = { .tv_nsec = SLEEP_NS };
        uint64_t since;
        int word = 0;

        target_ready();
        since = now_ns();
        expect(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &limit, NULL, 0) == -1 &&
               errno == ETIMEDOUT);
        expect_slept(since);
}

static void wait_nanosleep(void)
{
        struct timespec time = { .tv_nsec = SLEEP_NS };
        uint64_t since;

        target_ready();
        since = now_ns();
        expect(syscall(SYS_nanosleep, &time, NULL) == 0);
        expect_slept(since);
}

static void wait_poll_timeout(void)
{
        struct pollfd poll_fd = { .fd = STDIN_FILENO, .events = POLLIN };
        uint64_t since;

        target_ready();
        since = now_ns();
        expect(poll(&poll_fd, 1, (int)(SLEEP_NS / 1000000)) == 0);
        expect_slept(since);
}

static void wait_read(void)
{
        target_ready();
        target_read_byte();
}

static void wait_poll(void)
{
        struct pollfd poll_fd = { .fd = STDIN_FILENO, .events = POLLIN };

        target_ready();
        expect(poll(&poll_fd, 1, -1) == 1);
}

static void wait_ppoll(void)
{
        struct pollfd poll_fd = { .fd = STDIN_FILENO, .events = POLLIN };
        sigset_t mask, before = {}, after = {};

        sigfillset(&mask);
        sigprocmask(SIG_SETMASK, NULL, &before);
        target_ready();
        expect(ppoll(&poll_fd, 1, NULL, &mask) == 1);
        sigprocmask(SIG_SETMASK, NULL, &after);
        expect(memcmp(&before, &after, sizeof(before)) == 0);
}

static void wait_select(void)
{
        fd_set fds;

        FD_ZERO(&fds);
        FD_SET(STDIN_FILENO, &fds);
        target_ready();
        expect(select(1, &fds, NULL, NULL, NULL) == 1);
}

static void block_usr1(void)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Not sigwait(), which hides EINTR. */
static void wait_sigwait(void)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        block_usr1();
        target_ready();
        expect(sigwaitinfo(&set, NULL) == SIGUSR1);
        expect(target_signals == 0);
}

static void wait_sigsuspend(void)
{
        sigset_t none, blocked;

        sigemptyset(&none);
        block_usr1();
        target_ready();
        expect(sigsuspend(&none) == -1 && errno == EINTR && target_signals == 1);
        sigprocmask(SIG_SETMASK, NULL, &blocked);
        expect(sigismember(&blocked, SIGUSR1) && !sigismember(&blocked, SIGUSR2));
}

static void wait_pause(void)
{
        target_ready();
        expect(pause() == -1 && errno == EINTR && target_signals == 1);
}

static void wait_wait4(void)
{
        int status;
        pid_t pid;

        pid = fork();
        expect(pid >= 0);
        if (pid == 0) {
                target_read_byte();
                _exit(7);
        }

        target_ready();
        expect(wait4(pid, &status, 0, NULL) == pid && WIFEXITED(status) &&
               WEXITSTATUS(status) == 7);
}

/* The parent sleeps uninterruptibly until the child ends. */
static void wait_vfork(void)
{
        pid_t pid;

        target_ready();
        pid = vfork();
        if (pid == 0) {
                char byte;

                _exit(read(STDIN_FILENO, &byte, 1) == 1 ? 0 : 1);
        }
        expect(pid > 0 && waitpid(pid, NULL, 0) == pid);
}

typedef struct Listener {
        int fd;
        struct sockaddr_un address;
        socklen_t size;
} Listener;

static void *wake_accept(void *argument)
{
        const Listener *listener = argument;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        target_read_byte();
        expect(connect(fd, (const struct sockaddr *)&listener->address, listener->size) == 0);
        return NULL;
}

static void accept_one(const struct timeval *limit)
{
        static Listener listener = { .address = { .sun_family = AF_UNIX },
                                     .size = sizeof(listener.address) };
        struct sockaddr *address = (struct sockaddr *)&listener.address;

        listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        expect(setsockopt(listener.fd, SOL_SOCKET, SO_RCVTIMEO, limit, sizeof(*limit)) == 0);
        /* A bare family: the kernel chooses a name. */
        expect(bind(listener.fd, address, sizeof(sa_family_t)) == 0);
        expect(listen(listener.fd, 1) == 0);
        expect(getsockname(listener.fd, address, &listener.size) == 0);
        target_start(wake_accept, &listener);
        target_ready();
        expect(accept(listener.fd, NULL, NULL) >= 0);
}

static void wait_accept(void)
{
        accept_one(&(struct timeval){});
}

/* With a time limit the kernel gives EINTR where it would restart without one. */
static void wait_accept_timeout(void)
{
        accept_one(&(struct timeval){ .tv_sec = 3600 });
}

static void *wake_semaphore(void *argument)
{
        struct sembuf up = { .sem_op = 1 };

        target_read_byte();
        expect(semop(*(int *)argument, &up, 1) == 0);
        return NULL;
}

static void wait_semop(void)
{
        struct sembuf down = { .sem_op = -1 };
        static int set;
        int r;

        set = semget(IPC_PRIVATE, 1, 0600);
        expect(set >= 0);
        target_start(wake_semaphore, &set);
        target_ready();
        r = semop(set, &down, 1);
        semctl(set, 0, IPC_RMID);
        expect(r == 0);
}

static const TargetMode modes[] = {
        { "epoll", wait_epoll },
        { "epoll-timeout", wait_epoll_timeout },
        { "epoll-pwait", wait_epoll_pwait },
        { "epoll-signal", wait_epoll_signal },
        { "futex", wait_futex },
        { "futex-timeout", wait_futex_timeout },
        { "nanosleep", wait_nanosleep },
        { "poll-timeout", wait_poll_timeout },
        { "read", wait_read },
        { "poll", wait_poll },
        { "ppoll", wait_ppoll },
        { "select", wait_select },
        { "sigwait", wait_sigwait },
        { "sigsuspend", wait_sigsuspend },
        { "pause", wait_pause },
        { "wait4", wait_wait4 },
        { "vfork", wait_vfork },
        { "accept", wait_accept },
        { "accept-timeout", wait_accept_timeout },
        { "semop", wait_semop },
};

static void map_memory(void)
{
        /* A private mapping of a file, not all of whose pages are copied. */
        int fd = memfd_create("inject-target", MFD_CLOEXEC);

        target_size = (size_t)sysconf(_SC_PAGESIZE) * TARGET_PAGES;
        expect(fd >= 0 && ftruncate(fd, (off_t)target_size * 2) == 0);
        target_memory = mmap(NULL, target_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd,
                             (off_t)target_size);
        expect(target_memory != MAP_FAILED);
        target_memory[0] = 1;
        close(fd);
}

int main(int argc, char **argv)
{
        struct sigaction action = { .sa_handler = on_signal };

        /* No target outlives its test. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (argc < 2)
                return 2;
        expect(sigaction(SIGUSR1, &action, NULL) == 0);
        map_memory();

        for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
                if (strcmp(modes[i].name, argv[1]) == 0) {
                        modes[i].run();
                        return 0;
                }

        return target_run_odd(argv);
}
