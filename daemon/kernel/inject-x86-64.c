/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/syscall.h>

#include "daemon/kernel/injectarch.h"
#include "policy/macro.h"

/* Trap flag: a program that single-steps itself would trap inside our call. */
#define FLAG_TRAP 0x100ull

/* Not in a system call that the kernel might restart. */
#define NO_CALL UINT64_MAX

/* Of the kernel's linux/errno.h: "restart unless a handler runs, else EINTR". */
#define ERESTARTNOHAND 514

/* Waits that give EINTR for every wake-up without a result (signal(7)), ours too. When they do they
 * have done nothing yet. A time limit starts anew: a timeout may come late, by at most itself; it
 * may not come early, nor may an EINTR that the program has no signal for. */
static bool call_is_curable(long number)
{
        static const long curable[] = {
                SYS_epoll_wait,
                SYS_epoll_pwait,
                441 /* epoll_pwait2 */,
                SYS_rt_sigtimedwait,
                SYS_semop,
                SYS_semtimedop,
                SYS_io_getevents,
                426 /* io_uring_enter */,
                /* sockets with SO_RCVTIMEO or SO_SNDTIMEO, and FUSE files */
                SYS_read,
                SYS_recvfrom,
                SYS_recvmsg,
                SYS_accept,
                SYS_accept4,
                SYS_write,
                SYS_sendto,
                SYS_sendmsg,
        };

        for (size_t i = 0; i < ARRAY_SIZE(curable); i++)
                if (curable[i] == number)
                        return true;

        return false;
}

/* A write that had moved a part before it had to wait returns that part when woken. */
static bool call_is_cut_short(long number)
{
        return number == SYS_write || number == SYS_sendto || number == SYS_sendmsg;
}

ThreadFitness arch_call_fitness(long number)
{
        /* These the kernel restarts by itself, with what is left of a time limit. */
        static const long restarting[] = {
                SYS_futex,
                SYS_poll,
                SYS_ppoll,
                SYS_select,
                SYS_pselect6,
                SYS_nanosleep,
                SYS_clock_nanosleep,
                SYS_pause,
                SYS_rt_sigsuspend,
                SYS_wait4,
                SYS_waitid,
                SYS_flock,
                SYS_msgrcv,
                219 /* restart_syscall */,
                449 /* futex_waitv */,
        };

        if (number < 0)
                return THREAD_RUNS;
        for (size_t i = 0; i < ARRAY_SIZE(restarting); i++)
                if (restarting[i] == number)
                        return THREAD_WAITS;
        if (call_is_curable(number) && !call_is_cut_short(number))
                return THREAD_WAITS;

        return THREAD_DELICATE;
}

bool arch_is_native(const struct user_regs_struct *registers, size_t size)
{
        unsigned long long own;

        /* Not a constant: Xen has another selector for 64-bit code. */
        __asm__("mov %%cs, %0" : "=r"(own));
        return size == sizeof(*registers) && (registers->cs & 0xffff) == (own & 0xffff);
}

uint64_t arch_instruction(const struct user_regs_struct *registers)
{
        return registers->rip;
}

struct user_regs_struct arch_prepare(const struct user_regs_struct *from, uint64_t call,
                                     long number, const uint64_t args[ARCH_CALL_ARGS])
{
        struct user_regs_struct registers = *from;

        registers.rip = call;
        registers.orig_rax = NO_CALL;
        registers.rax = (unsigned long long)number;
        registers.rdi = args[0];
        registers.rsi = args[1];
        registers.rdx = args[2];
        registers.r10 = args[3];
        registers.r8 = args[4];
        registers.r9 = args[5];
        registers.eflags &= ~FLAG_TRAP;
        return registers;
}

bool arch_settle(const ArchWait *wait, uint64_t call, struct user_regs_struct *ret_registers)
{
        return false;
}

int64_t arch_result(const struct user_regs_struct *registers)
{
        return (int64_t)registers->rax;
}

/* Number and result of the call are among the registers. */
const bool arch_needs_call = false;

bool arch_cure(ArchWait *wait)
{
        bool cured = (int64_t)wait->found.rax == -EINTR && (int64_t)wait->found.orig_rax >= 0 &&
                     call_is_curable((long)wait->found.orig_rax);

        wait->after = wait->found;
        /* PTRACE_DETACH makes the kernel look at this once more, as if the call itself had returned
         * it: it restarts the call, unless a signal with a handler came meanwhile: then the program
         * gets its EINTR. */
        if (cured)
                wait->after.rax = (unsigned long long)-ERESTARTNOHAND;
        wait->untouched = wait->after;
        return cured;
}

int arch_find_call(const unsigned char *image, size_t size, size_t *ret_offset)
{
        /* "syscall", at any offset: what follows it never runs. */
        for (size_t at = 0; at + 1 < size; at++)
                if (image[at] == 0x0f && image[at + 1] == 0x05) {
                        *ret_offset = at;
                        return 0;
                }

        return -ENOENT;
}
