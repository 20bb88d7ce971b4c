/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What running a call in another process needs to know of the machine. One file of these a machine
 * is built: inject-x86-64.c or inject-aarch64.c. Both are little-endian, which the search for node
 * masks relies on. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

#include "daemon/kernel/thread.h"

#define ARCH_CALL_ARGS 6

typedef struct ArchWait ArchWait;

/* Whether a register set of @size bytes is of a thread in the machine's own 64-bit mode. */
bool arch_is_native(const struct user_regs_struct *registers, size_t size);

uint64_t arch_instruction(const struct user_regs_struct *registers);

/* Whether what a thread was doing when it was stopped has to be looked up before, in /proc: the
 * .call of an ArchWait. */
extern const bool arch_needs_call;

/* A thread that was stopped, and what it gets back. */
struct ArchWait {
        ThreadCall call;                   /* the one it was last seen asleep in */
        struct user_regs_struct found;     /* as it was when it stopped */
        struct user_regs_struct after;     /* to be given back behind a call of ours */
        struct user_regs_struct untouched; /* to be given back when none was made */
};

/* Fills in the rest from .call and .found. A wait that our stop made return EINTR, although no signal
 * came, is made to restart. True if it was one. */
bool arch_cure(ArchWait *wait);

/* Registers that make a thread with @from run call @number by the instruction at @call. The kernel
 * must not take the new state for that of a call which it has to restart. */
struct user_regs_struct arch_prepare(const struct user_regs_struct *from, uint64_t call,
                                     long number, const uint64_t args[ARCH_CALL_ARGS]);

/* Whether one more call, which does nothing, has to follow ours by the same instruction before
 * .after is given back; then *ret_registers make it. */
bool arch_settle(const ArchWait *wait, uint64_t call, struct user_regs_struct *ret_registers);

/* Behind the call: what it returned. */
int64_t arch_result(const struct user_regs_struct *registers);

/* How a thread that sleeps in call @number takes being stopped; -1: it is in none. */
ThreadFitness arch_call_fitness(long number);

/* The offset of a system call instruction in the vdso. -ENOENT. */
int arch_find_call(const unsigned char *image, size_t size, size_t *ret_offset);
