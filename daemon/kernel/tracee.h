/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One thread of another process under ptrace(2): seize, stop, run to a point, let go. Never with
 * PTRACE_O_EXITKILL: a tracer that dies leaves its target running. The caller has SIGCHLD blocked.
 * A thread that is gone, or being killed, is -ESRCH everywhere; what is left of it is reaped. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

typedef struct TraceeStop TraceeStop;

typedef enum StopKind {
        STOP_TRAP,    /* PTRACE_INTERRUPT, or a group stop (SIGSTOP): a quiet point */
        STOP_SYSCALL, /* entry or exit of a system call */
        STOP_SIGNAL,  /* about to take .signal */
} StopKind;

struct TraceeStop {
        StopKind kind;
        int signal; /* of STOP_SIGNAL, else 0 */
};

#define TRACEE_NO_DEADLINE UINT64_MAX

/* CLOCK_MONOTONIC */
uint64_t tracee_now_ns(void);

/* -EPERM: somebody else traces it (TracerPid in its status), or the kernel forbids it. */
int tracee_seize(pid_t tid);

/* The next stop. -ETIMEDOUT: none until @deadline_ns. */
int tracee_wait(pid_t tid, uint64_t deadline_ns, TraceeStop *ret_stop);

/* PTRACE_INTERRUPT and the wait for it. Signals that arrive first are delivered as ever. */
int tracee_stop(pid_t tid, uint64_t deadline_ns);

/* From here on a stop; each gives -errno. */
int tracee_interrupt(pid_t tid);
int tracee_resume_to_syscall(pid_t tid);
int tracee_detach(pid_t tid, int signal);

/* System calls become stops of their own kind; with @suspend_seccomp no filter sees them either.
 * That is asked for while the thread is stopped, so that it never runs a call of its own unfiltered.
 * -EPERM, -EINVAL: we, or this kernel, cannot suspend filters. */
int tracee_set_options(pid_t tid, bool suspend_seccomp);

int tracee_get_registers(pid_t tid, struct user_regs_struct *ret_registers, size_t *ret_size);
int tracee_set_registers(pid_t tid, const struct user_regs_struct *registers);
int tracee_get_mask(pid_t tid, uint64_t *ret_mask);
int tracee_set_mask(pid_t tid, uint64_t mask);

/* At a STOP_SYSCALL: whether it is the entry, and into which call. */
int tracee_syscall(pid_t tid, bool *ret_entry, uint64_t *ret_number);

/* At a STOP_SIGNAL: whether the kernel made the signal because of what the thread did. */
int tracee_signal_is_fault(pid_t tid, bool *ret_fault);

/* Whether the thread's system calls are redirected to a handler. On kernels before 6.4, which do not
 * tell, false. */
int tracee_has_dispatch(pid_t tid, bool *ret_dispatch);

/* Whether @address is inside a restartable sequence of the thread. */
int tracee_in_rseq(pid_t tid, uint64_t address, bool *ret_inside);

/* Reads, never writes, its memory. -EFAULT: not all of it is there. */
int tracee_read(pid_t tid, uint64_t address, void *buffer, size_t size);
