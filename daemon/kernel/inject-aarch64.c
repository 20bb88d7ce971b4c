/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Compiled by a cross compiler, not yet run: the rules below are read from the kernel's source. */

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "daemon/kernel/injectarch.h"
#include "policy/macro.h"

#define REGISTER_CALL 8

/* PSTATE: the mode is nRW (bit 4); BTYPE would make our landing look like a stray branch; SS is a
 * pending single step. */
#define PSTATE_32BIT 0x10ull
#define PSTATE_BTYPE 0xc00ull
#define PSTATE_STEP  0x200000ull

#define INSTRUCTION_SVC_0 0xd4000001u

/* Here the kernel rewinds an interrupted call before it stops, so that registers that are restored
 * restart it, and it does not tell that there was one. What cannot be told apart cannot be cured:
 * calls that return EINTR for every wake-up, and sleeps, which would begin anew with their whole
 * time, are left to be the last choice. */
ThreadFitness arch_call_fitness(long number)
{
        static const long restarting[] = {
                SYS_futex, SYS_ppoll,  SYS_pselect6, SYS_rt_sigsuspend, SYS_wait4,   SYS_waitid,
                SYS_flock, SYS_msgrcv, SYS_read,     SYS_accept,        SYS_accept4,
        };

        if (number < 0)
                return THREAD_RUNS;
        for (size_t i = 0; i < ARRAY_SIZE(restarting); i++)
                if (restarting[i] == number)
                        return THREAD_WAITS;

        return THREAD_DELICATE;
}

bool arch_is_native(const struct user_regs_struct *registers, size_t size)
{
        return size == sizeof(*registers) && (registers->pstate & PSTATE_32BIT) == 0;
}

uint64_t arch_instruction(const struct user_regs_struct *registers)
{
        return registers->pc;
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

int64_t arch_result(const struct user_regs_struct *registers)
{
        return (int64_t)registers->regs[0];
}

bool arch_cure(struct user_regs_struct *registers)
{
        return false;
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
