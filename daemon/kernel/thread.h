/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which thread of a process to stop. For mbind() any will do, as it acts on the memory that all share;
 * but not each can be stopped without its noticing. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Threads that are looked at: a process may have many thousands. */
#define THREAD_LOOK_MAX 64u

/* How a thread takes being stopped, best first. */
typedef enum ThreadFitness {
        THREAD_WAITS,    /* in a wait that goes on as if nothing had been, or stopped anyway */
        THREAD_RUNS,     /* computing, or in a call that is not known to be either */
        THREAD_DELICATE, /* in a call that a stop cuts short: a write comes back with less */
        THREAD_UNFIT,    /* cannot stop: waits uninterruptibly (vfork(), a disk) or has ended */
} ThreadFitness;

typedef struct ThreadCall ThreadCall;

/* The system call that a thread sleeps in. */
struct ThreadCall {
        long number; /* -1: none is known */
        uint64_t args[6];
        uint64_t stack;
        uint64_t instruction; /* behind the call */
};

/* -ENODATA: it does not sleep in one. */
int thread_call(int process_fd, pid_t tid, ThreadCall *ret_call);

/* A decimal field of the thread's status, as "Seccomp:". -EBADMSG: it has none of that name. */
int thread_status(int process_fd, pid_t tid, const char *field, uint64_t *ret_value);

/* The letter that stat has: R, S, D, T, t, Z, X, ... */
int thread_state(int process_fd, pid_t tid, char *ret_state);

/* The main thread if it waits, else the fittest of the first THREAD_LOOK_MAX. -EAGAIN: all are
 * unfit at the moment. -ESRCH: none is left. */
int thread_choose(int process_fd, pid_t pid, pid_t *ret_tid);

/* Whether this one can be stopped. -EAGAIN: not now, as it is unfit or, without @insist, delicate.
 * -ESRCH: it has ended, or is not of the process. */
int thread_check(int process_fd, pid_t tid, bool insist);
