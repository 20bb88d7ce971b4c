/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What makes this machine the harder one (the kernel's do_signal()): it rewinds a call that is to be
 * restarted before it stops for us, and then shows neither that there was a call nor why it ended.
 * Registers that are put back as they were restart it whatever comes meanwhile: a wait that a signal
 * should end goes on. And the first argument of a call is gone from the registers once it has
 * returned; the kernel's own copy is overwritten at the entry of our call.
 *
 * So what the thread sleeps in is read from /proc just before the stop, and recognised afterwards by
 * place, stack, number and arguments. Behind our call comes a second one, getpid(), with that first
 * argument, which makes the kernel's copy of it right. Behind that the thread gets what the call that
 * was interrupted had returned, and at PTRACE_DETACH the kernel decides about it anew.
 *
 * (To change the argument of ours at its entry does not do: some kernels change their copy, too.) */

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "daemon/kernel/injectarch.h"
#include "policy/macro.h"

#define REGISTER_CALL 8

/* PSTATE: the mode is nRW (bit 4); BTYPE would make our landing look like a stray branch; SS is a
 * pending single step. */
#define PSTATE_32BIT 0x10ull
#define PSTATE_BTYPE 0xc00ull
#define PSTATE_STEP  0x200000ull

#define INSTRUCTION_SVC_0 0xd4000001u
#define INSTRUCTION_SIZE  4u

/* Newer than the C library of Debian 12 knows. */
#define CALL_EPOLL_PWAIT2 441
#define CALL_FUTEX_WAITV  449

/* Of the kernel's linux/errno.h. */
enum {
        NOT_RESTARTED = 0,
        ERESTARTSYS = 512,           /* unless a handler without SA_RESTART runs, else EINTR */
        ERESTARTNOINTR = 513,        /* always */
        ERESTARTNOHAND = 514,        /* unless a handler runs */
        ERESTART_RESTARTBLOCK = 516, /* likewise, with what is left of its time */
};

/* What the kernel restarts by itself, and how. */
typedef struct Restart {
        long number;
        int error;
} Restart;

static const Restart restarts[] = {
        { SYS_ppoll, ERESTARTNOHAND },
        { SYS_pselect6, ERESTARTNOHAND },
        { SYS_rt_sigsuspend, ERESTARTNOHAND },
        { SYS_msgrcv, ERESTARTNOHAND },
        { SYS_nanosleep, ERESTART_RESTARTBLOCK },
        { SYS_restart_syscall, ERESTART_RESTARTBLOCK },
        { SYS_wait4, ERESTARTSYS },
        { SYS_waitid, ERESTARTSYS },
        { SYS_flock, ERESTARTSYS },
        { SYS_read, ERESTARTSYS },
        { SYS_recvfrom, ERESTARTSYS },
        { SYS_recvmsg, ERESTARTSYS },
        { SYS_accept, ERESTARTSYS },
        { SYS_accept4, ERESTARTSYS },
        { CALL_FUTEX_WAITV, ERESTARTSYS },
};

/* Waits that give EINTR for every wake-up without a result (signal(7)), ours too; see
 * inject-x86-64.c. */
static const long curable[] = {
        SYS_epoll_pwait, CALL_EPOLL_PWAIT2, SYS_rt_sigtimedwait, SYS_semop,
        SYS_semtimedop,  SYS_io_getevents,  SYS_io_uring_enter,  SYS_read,
        SYS_recvfrom,    SYS_recvmsg,       SYS_accept,          SYS_accept4,
        SYS_write,       SYS_sendto,        SYS_sendmsg,
};

static bool call_is_curable(long number)
{
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

static int futex_restart(const ThreadCall *call)
{
        switch (call->args[1] & FUTEX_CMD_MASK) {
        case FUTEX_WAIT:
        case FUTEX_WAIT_BITSET:
                return call->args[3] == 0 ? ERESTARTSYS : ERESTART_RESTARTBLOCK;
        default:
                return ERESTARTNOINTR;
        }
}

static int call_restart(const ThreadCall *call)
{
        if (call->number == SYS_futex)
                return futex_restart(call);
        if (call->number == SYS_clock_nanosleep)
                return call->args[1] & TIMER_ABSTIME ? ERESTARTNOHAND : ERESTART_RESTARTBLOCK;
        for (size_t i = 0; i < ARRAY_SIZE(restarts); i++)
                if (restarts[i].number == call->number)
                        return restarts[i].error;

        return NOT_RESTARTED;
}

ThreadFitness arch_call_fitness(long number)
{
        const ThreadCall call = { .number = number };

        if (number < 0)
                return THREAD_RUNS;

        return call_restart(&call) != NOT_RESTARTED ||
                               (call_is_curable(number) && !call_is_cut_short(number))
                       ? THREAD_WAITS
                       : THREAD_DELICATE;
}

bool arch_is_native(const struct user_regs_struct *registers, size_t size)
{
        return size == sizeof(*registers) && (registers->pstate & PSTATE_32BIT) == 0;
}

uint64_t arch_instruction(const struct user_regs_struct *registers)
{
        return registers->pc;
}

const bool arch_needs_call = true;

/* Whether these are the registers of a thread that has just come out of the call, but for the first. */
static bool is_behind_call(const struct user_regs_struct *registers, const ThreadCall *call)
{
        if (call->number < 0 || registers->sp != call->stack ||
            registers->regs[REGISTER_CALL] != (unsigned long long)call->number)
                return false;
        for (size_t i = 1; i < ARRAY_SIZE(call->args); i++)
                if (registers->regs[i] != call->args[i])
                        return false;

        return true;
}

bool arch_cure(ArchWait *wait)
{
        const ThreadCall *call = &wait->call;
        const struct user_regs_struct *found = &wait->found;
        bool behind = is_behind_call(found, call),
             rewound = behind && found->pc == call->instruction - INSTRUCTION_SIZE &&
                       found->regs[0] == call->args[0],
             failed = behind && found->pc == call->instruction &&
                      (int64_t)found->regs[0] == -EINTR && call_is_curable(call->number);
        int restart = rewound ? call_restart(call) : failed ? ERESTARTNOHAND : NOT_RESTARTED;

        wait->after = wait->untouched = *found;
        if (restart != NOT_RESTARTED && restart != ERESTARTNOINTR) {
                wait->after.pc = call->instruction;
                wait->after.regs[0] = (unsigned long long)-restart;
        }
        /* Without a call of ours the kernel does not look at it again. */
        if (failed) {
                wait->untouched.pc = call->instruction - INSTRUCTION_SIZE;
                wait->untouched.regs[0] = call->args[0];
        }

        return failed;
}

struct user_regs_struct arch_prepare(const struct user_regs_struct *from, uint64_t call,
                                     long number, const uint64_t args[ARCH_CALL_ARGS])
{
        struct user_regs_struct registers = *from;

        /* At another pc the kernel does not take this for the call that it rewound. */
        registers.pc = call;
        registers.regs[REGISTER_CALL] = (unsigned long long)number;
        for (size_t i = 0; i < ARCH_CALL_ARGS; i++)
                registers.regs[i] = args[i];
        registers.pstate &= ~(PSTATE_BTYPE | PSTATE_STEP);
        return registers;
}

bool arch_settle(const ArchWait *wait, uint64_t call, struct user_regs_struct *ret_registers)
{
        const uint64_t args[ARCH_CALL_ARGS] = { wait->call.args[0] };

        if (wait->after.pc == wait->found.pc && wait->after.regs[0] == wait->found.regs[0])
                return false;

        *ret_registers = arch_prepare(&wait->found, call, SYS_getpid, args);
        return true;
}

int64_t arch_result(const struct user_regs_struct *registers)
{
        return (int64_t)registers->regs[0];
}

int arch_find_call(const unsigned char *image, size_t size, size_t *ret_offset)
{
        static const uint32_t call = INSTRUCTION_SVC_0;

        for (size_t at = 0; at + sizeof(call) <= size; at += sizeof(call))
                if (memcmp(image + at, &call, sizeof(call)) == 0) {
                        *ret_offset = at;
                        return 0;
                }

        return -ENOENT;
}
