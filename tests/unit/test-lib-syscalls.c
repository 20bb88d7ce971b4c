/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What one daxtier_map() costs in system calls, counted by a tracer in a child of ours. */

#include <errno.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/ptrace.h>

#include "lib-fixture.h"
#include "policy/macro.h"

TestSuite(lib_syscalls, .init = fixture_make, .fini = fixture_remove, .timeout = 60);

/* A system call that nothing else here makes, around what is counted. */
#define MARK SYS_getppid

typedef struct Counts Counts;

struct Counts {
        unsigned all;
        unsigned statx;
        unsigned mmap;
        unsigned mbind;
};

static void count(uint64_t number, Counts *counts)
{
        counts->all++;
        counts->statx += number == SYS_statx;
        counts->mmap += number == SYS_mmap;
        counts->mbind += number == SYS_mbind;
}

/* Lets the stopped child run to its next stop at a system call; false: it ended. */
static bool next_stop(pid_t pid)
{
        int status;

        cr_assert_eq(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status)) {
                cr_assert_eq(WEXITSTATUS(status), 0, "the child failed");
                return false;
        }
        cr_assert(WIFSTOPPED(status));
        return true;
}

/* Counts what @work calls between its two marks. */
static Counts count_syscalls(void (*work)(void))
{
        Counts counts = {};
        bool marked = false;
        int status;
        pid_t pid;

        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
                        _exit(1);
                raise(SIGSTOP);
                work();
                _exit(0);
        }

        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFSTOPPED(status));
        /* Without it PTRACE_GET_SYSCALL_INFO does not say which stop it is. */
        cr_assert_eq(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD), 0);
        while (next_stop(pid)) {
                struct ptrace_syscall_info info;

                cr_assert_gt(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info), 0);
                if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
                        continue;
                if (info.entry.nr == MARK)
                        marked = !marked;
                else if (marked)
                        count(info.entry.nr, &counts);
        }

        return counts;
}

static void check_child(bool condition)
{
        if (!condition)
                _exit(2);
}

static void map_once(void)
{
        void *address;

        syscall(MARK);
        check_child(daxtier_map(handle, fixture_fd, 0, PAGE, NULL, &address) == 0);
        syscall(MARK);
}

static void map_once_by_hand(void)
{
        unsigned long nodes = 1;
        void *address;

        syscall(MARK);
        address = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fixture_fd, 0);
        check_child(syscall(SYS_mbind, address, (size_t)PAGE, MPOL_PREFERRED, &nodes,
                            8 * sizeof(nodes), 0) == 0);
        syscall(MARK);
}

static void map_default(void)
{
        struct daxtier_map_options options = { .size = sizeof(options), .tier = "default" };
        void *address;

        syscall(MARK);
        check_child(daxtier_map(handle, fixture_fd, 0, PAGE, &options, &address) == 0);
        syscall(MARK);
}

Test(lib_syscalls, a_mapping_costs_one_more_than_by_hand)
{
        Counts by_hand = count_syscalls(map_once_by_hand), ours = count_syscalls(map_once);

        cr_assert_eq(by_hand.all, 2);
        cr_assert_eq(ours.all, by_hand.all + 1);
        cr_assert_eq(ours.statx, 1);
        cr_assert_eq(ours.mmap, 1);
        cr_assert_eq(ours.mbind, 1);
}

Test(lib_syscalls, the_default_tier_sets_no_policy)
{
        Counts counts = count_syscalls(map_default);

        cr_assert_eq(counts.all, 2);
        cr_assert_eq(counts.mbind, 0);
}
