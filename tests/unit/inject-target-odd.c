/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Targets that are more than one thread waiting: under seccomp, in namespaces, with many threads,
 * executing, unmapping. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <stdbool.h>

#include "policy/macro.h"
#include "tests/unit/inject-target.h"

#define THREADS 64

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON           1
#endif

/* To call is to die, where the filter is in force. */
static void expect_deadly(long call)
{
        int status;
        pid_t pid;

        pid = fork();
        if (pid == 0) {
                syscall(call, 0, 0, 0, 0, 0, 0);
                _exit(0);
        }
        expect(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
               WTERMSIG(status) == SIGSYS);
}

/* The calls that we make are deadly, everything else is allowed; its own show that in the end. */
static void under_filter(void)
{
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mbind, 1, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_set_mempolicy, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog code = { .len = ARRAY_SIZE(filter), .filter = filter };

        expect(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        expect(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &code) == 0);
        target_ready();
        target_read_byte();
        expect_deadly(SYS_mbind);
        expect_deadly(SYS_set_mempolicy);
}

static void under_strict(void)
{
        char byte;

        target_ready();
        /* From here on only read, write and exit. */
        expect(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
        if (read(STDIN_FILENO, &byte, 1) != 1)
                syscall(SYS_exit, TARGET_HARMED);
        syscall(SYS_exit, 0);
}

static void dispatching(void)
{
        static char selector; /* 0: allow */

        if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) != 0)
                _exit(TARGET_SKIPS);
        target_ready();
        target_read_byte();
}

static volatile char dispatch_selector; /* 1: every call is redirected */

static void dispatch_no_more(int signal)
{
        dispatch_selector = 0; /* or the return from here would be redirected, too */
}

/* There is no handler for SIGSYS: a call that is redirected is deadly. */
static void redirecting(void)
{
        expect(signal(SIGUSR1, dispatch_no_more) != SIG_ERR);
        if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &dispatch_selector) != 0)
                _exit(TARGET_SKIPS);
        target_ready();
        dispatch_selector = 1;
        while (dispatch_selector)
                ;
}

/* The first process of its own user, pid and mount namespaces; its parent, outside, waits for it. */
static void in_namespaces(void)
{
        int status;
        pid_t pid;

        if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS) != 0)
                _exit(TARGET_SKIPS); /* in a chroot nobody may, or on a machine that forbids it */
        pid = fork();
        expect(pid >= 0);
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                target_ready();
                target_read_byte();
                _exit(0);
        }
        expect(waitpid(pid, &status, 0) == pid && status == 0);
}

static volatile int enough;

static void *write_own_part(void *argument)
{
        size_t part = target_size / THREADS;
        unsigned char *own = target_memory + (size_t)argument * part, value = 0;

        while (!enough) {
                memset(own, ++value, part);
                for (size_t i = 0; i < part; i++)
                        expect(own[i] == value);
        }
        return NULL;
}

static void with_writers(void)
{
        pthread_t threads[THREADS];

        for (size_t i = 0; i < THREADS; i++)
                threads[i] = target_start(write_own_part, (void *)i);
        target_ready();
        target_read_byte();
        enough = 1;
        for (size_t i = 0; i < THREADS; i++)
                expect(pthread_join(threads[i], NULL) == 0);
}

static void *outlive_leader(void *leader)
{
        expect(pthread_join((pthread_t)leader, NULL) == 0);
        target_ready();
        target_read_byte();
        _exit(0);
}

static void without_leader(void)
{
        target_start(outlive_leader, (void *)pthread_self());
        pthread_exit(NULL);
}

/* The range comes and goes, and other memory is in its place. */
static void *remap_for_ever(void *argument)
{
        while (!enough) {
                expect(munmap(target_memory + target_size / 2, target_size / 2) == 0);
                expect(mmap(target_memory + target_size / 2, target_size / 2,
                            PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                            0) != MAP_FAILED);
                memset(target_memory + target_size / 2, 5, target_size / 2);
        }
        return NULL;
}

static void remapping(void)
{
        pthread_t thread = target_start(remap_for_ever, NULL);

        target_ready();
        target_read_byte();
        enough = 1;
        expect(pthread_join(thread, NULL) == 0);
}

static void spinning(void)
{
        target_ready();
        while (!target_signals)
                ;
}

static const TargetMode modes[] = {
        { "filter", under_filter },
        { "strict", under_strict },
        { "dispatch", dispatching },
        { "redirect", redirecting },
        { "namespaces", in_namespaces },
        { "writers", with_writers },
        { "leaderless", without_leader },
        { "remap", remapping },
        { "spin", spinning },
        { "registers", target_spin_on_registers },
        { "rseq", target_spin_in_rseq },
};

/* Executes itself argv[2] times, and then is as quiet as any. */
static void execute(char **argv)
{
        char left[24];
        long n = strtol(argv[2], NULL, 10);

        if (n == 0) {
                target_ready();
                target_read_byte();
                return;
        }

        snprintf(left, sizeof(left), "%ld", n - 1);
        execl("/proc/self/exe", argv[0], argv[1], left, NULL);
        expect(false);
}

int target_run_odd(char **argv)
{
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
                if (strcmp(modes[i].name, argv[1]) == 0) {
                        modes[i].run();
                        return 0;
                }
        if (strcmp(argv[1], "exec") == 0 && argv[2]) {
                execute(argv);
                return 0;
        }

        return target_run_threads(argv[1]);
}
