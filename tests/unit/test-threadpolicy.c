/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <numaif.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/kernel/process.h"
#include "daemon/kernel/threadpolicy.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

/* As low as the kernel lets a program map: below its code. */
#define LOW_ADDRESS ((void *)(uintptr_t)0x10000)

/* A thread that sets its policy, and is there until it is told to end. */
typedef struct Thread {
        pthread_t thread;
        int mode; /* -1: none is set */
        pid_t tid;
        pthread_barrier_t begun, end;
} Thread;

static void set_own_policy(int mode)
{
        unsigned long node0 = 1;
        bool has_nodes = mode != MPOL_DEFAULT && mode != MPOL_LOCAL;

        cr_assert_eq(syscall(SYS_set_mempolicy, mode, has_nodes ? &node0 : NULL,
                             has_nodes ? sizeof(node0) * 8 : 0),
                     0, "%m");
}

static void *thread_run(void *userdata)
{
        Thread *thread = userdata;

        thread->tid = (pid_t)syscall(SYS_gettid);
        if (thread->mode >= 0)
                set_own_policy(thread->mode);
        pthread_barrier_wait(&thread->begun);
        pthread_barrier_wait(&thread->end);
        return NULL;
}

static void thread_start(Thread *thread)
{
        pthread_barrier_init(&thread->begun, NULL, 2);
        pthread_barrier_init(&thread->end, NULL, 2);
        cr_assert_eq(pthread_create(&thread->thread, NULL, thread_run, thread), 0);
        pthread_barrier_wait(&thread->begun);
}

static void thread_end(Thread *thread)
{
        pthread_barrier_wait(&thread->end);
        pthread_join(thread->thread, NULL);
}

static int open_process(pid_t pid)
{
        int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;

        cr_assert_eq(process_open(proc_fd, pid, &fd), 0);
        close(proc_fd);
        return fd;
}

static VmaPolicy policy_of(int process_fd, pid_t tid, NodeSet *ret_nodes)
{
        VmaPolicy policy = VMA_POLICY_OTHER;

        cr_assert_eq(thread_policy_read(process_fd, tid, &policy, ret_nodes), 0);
        return policy;
}

Test(threadpolicy, of_each_thread)
{
        Thread threads[] = { { .mode = -1 },           { .mode = MPOL_PREFERRED },
                             { .mode = MPOL_BIND },    { .mode = MPOL_INTERLEAVE },
                             { .mode = MPOL_DEFAULT }, { .mode = MPOL_LOCAL } };
        static const VmaPolicy expected[] = { VMA_POLICY_DEFAULT, VMA_POLICY_PREFERRED,
                                              VMA_POLICY_BIND,    VMA_POLICY_OTHER,
                                              VMA_POLICY_DEFAULT, VMA_POLICY_OTHER };
        _cleanup_(closep) int self = open_process(0);
        NodeSet nodes;

        for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
                thread_start(&threads[i]);
        for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
                cr_assert_eq(policy_of(self, threads[i].tid, &nodes), expected[i], "%zu", i);
                cr_assert_eq(nodeset_has(&nodes, 0),
                             expected[i] != VMA_POLICY_DEFAULT && threads[i].mode != MPOL_LOCAL);
                cr_assert_leq(nodeset_count(&nodes), 1);
        }
        cr_assert_eq(policy_of(self, getpid(), &nodes), VMA_POLICY_DEFAULT);
        for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
                thread_end(&threads[i]);
}

/* The first VMA of the process has a policy of its own, which is no thread's. */
Test(threadpolicy, not_that_of_memory_below_the_program)
{
        Thread bound = { .mode = MPOL_BIND };
        _cleanup_(closep) int self = open_process(0);
        unsigned long node0 = 1;
        NodeSet nodes;

        if (mmap(LOW_ADDRESS, 4096, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != LOW_ADDRESS)
                cr_skip_test("nothing can be mapped below the program: %m");
        cr_assert_eq(mbind(LOW_ADDRESS, 4096, MPOL_PREFERRED, &node0, sizeof(node0) * 8, 0), 0);
        thread_start(&bound);
        cr_assert_eq(policy_of(self, getpid(), &nodes), VMA_POLICY_DEFAULT);
        cr_assert(nodeset_is_empty(&nodes));
        cr_assert_eq(policy_of(self, bound.tid, &nodes), VMA_POLICY_BIND);
        thread_end(&bound);
}

Test(threadpolicy, no_such_thread)
{
        _cleanup_(closep) int self = open_process(0), other = -1;
        Thread thread = { .mode = -1 };
        VmaPolicy policy;
        NodeSet nodes;
        siginfo_t info;
        pid_t pid;

        thread_start(&thread);
        pid = fork();
        if (pid == 0)
                for (;;)
                        pause();
        other = open_process(pid);
        cr_assert_eq(thread_policy_read(other, pid, &policy, &nodes), 0);
        cr_assert_eq(thread_policy_read(other, thread.tid, &policy, &nodes), -ESRCH);
        cr_assert_eq(thread_policy_read(self, pid, &policy, &nodes), -ESRCH);
        cr_assert_eq(thread_policy_read(self, INT32_MAX, &policy, &nodes), -ESRCH);
        thread_end(&thread);

        kill(pid, SIGKILL);
        cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        cr_assert_eq(thread_policy_read(other, pid, &policy, &nodes), -ESRCH, "a zombie");
        waitpid(pid, NULL, 0);
        cr_assert_eq(thread_policy_read(other, pid, &policy, &nodes), -ESRCH);
}

Test(threadpolicy, a_kernel_thread_has_the_default)
{
        _cleanup_(closep) int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
        VmaPolicy policy = VMA_POLICY_OTHER;
        char name[64];
        NodeSet nodes;

        if (process_open(proc_fd, 2, &fd) < 0 || process_name(fd, name, sizeof(name)) < 0 ||
            strcmp(name, "kthreadd") != 0 || geteuid() != 0)
                cr_skip_test("kthreadd cannot be seen from here");
        cr_assert_eq(thread_policy_read(fd, 2, &policy, &nodes), 0);
        cr_assert_eq(policy, VMA_POLICY_DEFAULT);
}

static bool is_among(pid_t tid, const pid_t *tids, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (tids[i] == tid)
                        return true;
        return false;
}

Test(threadpolicy, lists_all_threads)
{
        enum { N = 40 };
        static Thread threads[N];
        _cleanup_(closep) int self = open_process(0);
        pid_t *tids;
        size_t n;

        for (size_t i = 0; i < N; i++) {
                threads[i].mode = -1;
                thread_start(&threads[i]);
        }
        cr_assert_eq(threads_list(self, &tids, &n), 0);
        cr_assert_geq(n, N + 1);
        cr_assert(is_among(getpid(), tids, n));
        for (size_t i = 0; i < N; i++) {
                cr_assert(is_among(threads[i].tid, tids, n));
                thread_end(&threads[i]);
        }
        free(tids);
}

Test(threadpolicy, lists_none_of_a_process_that_is_gone)
{
        _cleanup_(closep) int fd = -1;
        pid_t pid = fork(), *tids;
        size_t n;

        if (pid == 0)
                for (;;)
                        pause();
        fd = open_process(pid);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        cr_assert_eq(threads_list(fd, &tids, &n), -ESRCH);
}

Test(threadpolicy, lists_no_more_than_it_may)
{
        /* In memory: some file systems take ten seconds for that many. */
        _cleanup_(scratch_freep) Scratch scratch = scratch_new_in("/dev/shm");
        _cleanup_(closep) int task = -1;
        char name[16];
        pid_t *tids;
        size_t n;

        cr_assert_eq(mkdirat(scratch.fd, "task", 0755), 0);
        task = openat(scratch.fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (size_t i = 0; i < THREADS_MAX; i++) {
                snprintf(name, sizeof(name), "%zu", i + 1);
                cr_assert_eq(symlinkat("-", task, name), 0, "%m");
        }
        cr_assert_eq(threads_list(scratch.fd, &tids, &n), 0);
        cr_assert_eq(n, THREADS_MAX);
        free(tids);

        cr_assert_eq(symlinkat("-", task, "0"), 0);
        cr_assert_eq(threads_list(scratch.fd, &tids, &n), -E2BIG);
}
