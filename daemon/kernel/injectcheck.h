/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* inject.c's other half: what is looked at before the call, while the target still runs and once it
 * has stopped. Nothing in here changes the target. */

#include <stdbool.h>
#include <sys/user.h>

#include "daemon/kernel/inject.h"
#include "daemon/kernel/injectarch.h"
#include "daemon/kernel/vdso.h"

typedef struct Injection Injection;

struct Injection {
        const InjectRequest *request;
        InjectOutcome outcome;
        int process_fd; /* /proc/<pid> */
        int thread_fd;  /* its task/<tid>, as the main thread may be the one that has ended */
        pid_t thread;
        Vdso vdso;
        size_t nodes_offset; /* of the node mask in the vdso */
        unsigned maxnode;    /* 0: no mask */
        int mode;
        uint64_t stopped_ns; /* CLOCK_MONOTONIC; 0: not stopped */
        uint64_t vdso_address;
        ArchWait wait; /* its registers: those it had, and those it gets back */
        bool cured;    /* these differ, as our stop made a wait fail */
        bool called;   /* our call was made */
        uint64_t mask;
        int signal; /* one that it was about to take */
};

/* Forwards @r; a failure is noted as that of @step. */
int injection_note(Injection *injection, InjectStep step, int r);

/* All that can be done while the target runs: request, process, ABI, thread. Most of what is refused
 * is refused here, without a stop. */
int injection_make_ready(Injection *injection);

/* -ESRCH: it is gone, or another has its pid. */
int injection_check_process(const Injection *injection);

/* From PTRACE_SEIZE on pid and thread cannot be given to others, so what this finds stays. */
int injection_check_identity(const Injection *injection);

/* Of the stopped thread: registers, and whether it can make a call. */
int injection_check_thread(Injection *injection);

/* The mapping, if it is about one, and the vdso once more: the process may have executed another program. */
int injection_check_memory(Injection *injection);

/* When the target has been stopped for as long as the request allows; CLOCK_MONOTONIC. */
uint64_t injection_pause_deadline(const Injection *injection);
