/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One mbind(2) or set_mempolicy(2), run by a thread of another process: there is no process_mbind(),
 * and no policy of a thread that another could set. A transaction: stop one thread, prepare, call,
 * restore, resume. Not a byte of the target's memory is written.
 *
 * The structs are also what the injector's socket carries, so their members have fixed widths and no
 * padding. */

#include <assert.h>
#include <stdint.h>

#include "policy/nodeset.h"

typedef enum InjectStep InjectStep;
typedef enum InjectCall InjectCall;
typedef struct InjectTarget InjectTarget;
typedef struct InjectRequest InjectRequest;
typedef struct InjectOutcome InjectOutcome;

/* Changes whenever one of the structs does; an injector of another version refuses. */
#define INJECT_VERSION 3u

/* A target that does not stop within this long is let go: it sleeps uninterruptibly. */
#define INJECT_STOP_MAX_NS UINT64_C(20000000)

/* The same for one that would stop, or go on, but has to wait for a CPU. It must be long: a wait that
 * has been interrupted, but whose thread was then let go before it stopped, fails with EINTR, and
 * nobody is there to cure it. */
#define INJECT_BUSY_MAX_NS UINT64_C(30000000000)

/* Where a transaction failed. Up to INJECT_STEP_PAUSE the target was at most stopped for a moment;
 * nothing of it was changed. */
enum InjectStep {
        INJECT_DONE,         /* the call was made, .result has its answer */
        INJECT_STEP_REQUEST, /* the request makes no sense */
        INJECT_STEP_FIND,    /* the process is gone, or another has its pid */
        INJECT_STEP_THREAD, /* it, or none of them, can be stopped safely now; -ESRCH: it is gone */
        INJECT_STEP_SEIZE,  /* PTRACE_SEIZE */
        INJECT_STEP_STOP,   /* the thread did not stop */
        INJECT_STEP_ABI,    /* not a program of this machine's own ABI */
        INJECT_STEP_DISPATCH, /* Syscall User Dispatch is on */
        INJECT_STEP_RSEQ,     /* inside a restartable sequence */
        INJECT_STEP_VMA,      /* the mapping is no longer the one that was asked for */
        INJECT_STEP_VDSO,     /* the target has no vdso like ours to take an instruction from */
        INJECT_STEP_NODES,    /* no node mask like this in the vdso */
        INJECT_STEP_SECCOMP,  /* it has a filter that we may not suspend */
        INJECT_STEP_PAUSE,    /* the checks alone took as long as the target may be stopped */
        INJECT_STEP_PREPARE,  /* registers and signal mask */
        INJECT_STEP_ENTER,    /* the thread did not reach the call */
        INJECT_STEP_CALL,     /* it did not come back from it: the process was killed */
        INJECT_STEP_RESTORE, /* registers and signal mask; only a process being killed fails here */
        INJECT_STEP_DETACH,  /* likewise */
        INJECT_STEP_LAST = INJECT_STEP_DETACH,
};

enum InjectCall {
        INJECT_CALL_MBIND,         /* the policy of a range, whoever writes to it */
        INJECT_CALL_SET_MEMPOLICY, /* that of a thread, and of what it starts from then on */
};

/* A process, and which of its memory or which of its threads. All of the memory's members are 0 for
 * INJECT_CALL_SET_MEMPOLICY. */
struct InjectTarget {
        int32_t pid;
        uint32_t dev_major; /* of the mapped file, as maps has it; all 0: anonymous memory */
        uint32_t dev_minor;
        int32_t thread; /* a thread of .pid, to be used; for INJECT_CALL_MBIND 0: any will do */
        uint64_t start_time; /* process_start_time() */
        uint64_t inode;
        uint64_t vma_start;  /* an address, and */
        uint64_t vma_offset; /* the place in the file that is mapped there */
        uint64_t start;      /* the range to place: whole pages */
        uint64_t end;
};

/* What to do there. */
struct InjectRequest {
        uint32_t version;  /* INJECT_VERSION */
        uint32_t call;     /* InjectCall */
        uint32_t strict;   /* 1: bind. 0: prefer */
        uint32_t insist;   /* for a named thread: see inject_call() */
        uint32_t first;    /* of several .nodes, the one where only one can be named; one that is
                                  none of them: the lowest */
        uint32_t reserved; /* 0 */
        uint64_t pause_max_ns; /* longest stop of the target that is acceptable */
        InjectTarget target;
        NodeSet nodes; /* empty: back to the default policy */
};

/* Bits of InjectOutcome.flags. */
#define INJECT_FLAG_HELD       1u /* see inject_call() */
#define INJECT_FLAG_FIRST_NODE 2u /* the policy has only one of .nodes, .first */
#define INJECT_FLAG_CURED      4u /* a wait that our stop made fail with EINTR was restarted */

struct InjectOutcome {
        uint32_t version;
        uint32_t step;     /* InjectStep: INJECT_DONE, or where .error arose */
        int32_t error;     /* of the mechanism: 0 or -errno */
        int32_t result;    /* of the remote call: 0 or -errno. Only if .error is 0 */
        int32_t thread;    /* which thread was stopped; 0: none */
        uint32_t flags;    /* INJECT_FLAG_* */
        uint64_t stop_ns;  /* from asking the thread to stop until it had stopped */
        uint64_t pause_ns; /* from there until it was let go; 0: it never stopped */
};

static_assert(sizeof(InjectTarget) == 64, "no padding");
static_assert(sizeof(InjectRequest) == 32 + 64 + NODESET_MAX / 8, "no padding");
static_assert(sizeof(InjectOutcome) == 40, "no padding");

/* Makes the range, or the thread, prefer the nodes (PREFERRED, PREFERRED_MANY) or, when strict, bind to
 * them. Where the kernel has no PREFERRED_MANY, or the vdso no such mask, it prefers .first. Always
 * fills @ret_outcome.
 *
 * A named thread is refused with -EAGAIN at INJECT_STEP_THREAD while it cannot be stopped safely. That
 * includes a call that a stop cuts short (a write() comes back with less), unless .insist is 1: one may
 * wait in such a call for ever. -ESRCH at INJECT_STEP_THREAD: that thread is gone, and the process lives
 * or is just ending; at any other step it is the process that is gone.
 *
 * For the time of the call it blocks all of the caller's signals and consumes SIGCHLD; the caller
 * may have no other children whose state it waits for with SIGCHLD.
 *
 * With INJECT_FLAG_HELD the target did not stop, and without a stop the kernel detaches a tracer only
 * when it exits: so the caller must exit, soon. */
void inject_call(const InjectRequest *request, InjectOutcome *ret_outcome);

/* "stop", "seccomp", …; stable, for programs. NULL: no such step. */
const char *inject_step_name(uint32_t step);

/* A sentence: what could not be done, why, and what to do. Of a call that was made, see .result. */
const char *inject_step_text(uint32_t step, int error);
