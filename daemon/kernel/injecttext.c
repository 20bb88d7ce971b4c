/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stddef.h>

#include "daemon/kernel/inject.h"
#include "policy/macro.h"

typedef struct StepText {
        const char *name;
        const char *text;
} StepText;

static const StepText step_texts[] = {
        [INJECT_DONE] = { "done", "The memory policy call was made in the process." },
        [INJECT_STEP_REQUEST] = { "request",
                                  "The request is malformed or of another version; after an "
                                  "upgrade, restart daxtierd and daxtierd-injector." },
        [INJECT_STEP_FIND] = { "find", "The process has ended, so there is nothing to place." },
        [INJECT_STEP_THREAD] = { "thread",
                                 "The thread, or every thread of the process, waits uninterruptibly "
                                 "(for a disk, or for a vfork() child), is in a call that a stop "
                                 "would cut short, or is just executing a program; it is tried "
                                 "again." },
        [INJECT_STEP_SEIZE] = { "seize",
                                "The kernel forbids to trace the process; see "
                                "kernel.yama.ptrace_scope, lockdown and the security module." },
        [INJECT_STEP_STOP] = { "stop",
                               "The process did not stop in time, as it waits uninterruptibly; it "
                               "was let go and is tried again." },
        [INJECT_STEP_ABI] = { "abi",
                              "The program is not a 64-bit one of this machine's ABI (32-bit, x32); "
                              "run it under `daxtier run` or use a 64-bit build." },
        [INJECT_STEP_DISPATCH] = { "dispatch",
                                   "The program redirects its own system calls (Syscall User "
                                   "Dispatch, as Wine does), so none can be made for it." },
        [INJECT_STEP_RSEQ] = { "rseq",
                               "The thread was inside a restartable sequence, which a call would "
                               "break; it is tried again." },
        [INJECT_STEP_VMA] = { "vma",
                              "The mapping was changed or unmapped meanwhile; the process is "
                              "scanned again." },
        [INJECT_STEP_VDSO] = { "vdso",
                               "The process has no vdso like ours (a 32-bit or x32 program, vdso=0, "
                               "a restored checkpoint), and only there is code found that may be "
                               "used; use `daxtier run`." },
        [INJECT_STEP_NODES] = { "nodes",
                                "The vdso has no constant that could serve as a node mask for this "
                                "node, and none may be written; name a lower node." },
        [INJECT_STEP_SECCOMP] = { "seccomp",
                                  "The process is under seccomp, and its filter cannot be suspended: "
                                  "daxtierd-injector.service needs CAP_SYS_ADMIN and no "
                                  "SystemCallFilter=, the kernel CONFIG_CHECKPOINT_RESTORE." },
        [INJECT_STEP_PAUSE] = { "pause",
                                "The process would have been stopped for longer than PauseMax= "
                                "allows; raise that, or use `daxtier run`." },
        [INJECT_STEP_PREPARE] = { "prepare", "The process was killed while it was stopped." },
        [INJECT_STEP_ENTER] = { "enter",
                                "The stopped thread did not reach the call, as its cgroup is frozen "
                                "or a signal came first; it was put back and is tried again." },
        [INJECT_STEP_CALL] = { "call", "The process was killed during the call." },
        [INJECT_STEP_RESTORE] = { "restore", "The process was killed during the call." },
        [INJECT_STEP_DETACH] = { "detach", "The process was killed during the call." },
};

static_assert(ARRAY_SIZE(step_texts) == INJECT_STEP_LAST + 1, "a text for each step");

const char *inject_step_name(uint32_t step)
{
        return step <= INJECT_STEP_LAST ? step_texts[step].name : NULL;
}

const char *inject_step_text(uint32_t step, int error)
{
        if (step > INJECT_STEP_LAST)
                return "The injector answered with a step that this version does not know; restart "
                       "daxtierd and daxtierd-injector.";
        if (step == INJECT_STEP_SEIZE && error == -EBUSY)
                return "Another process traces this one (gdb, strace); detach that, or wait.";
        if (step == INJECT_STEP_SEIZE && error == -EAGAIN)
                return "Another call is just being made in the process; it is tried again.";
        if (step == INJECT_STEP_THREAD && error == -ESRCH)
                return "The thread has ended, or the process is ending.";
        if (error == -ESRCH)
                return step_texts[step < INJECT_STEP_PREPARE ? INJECT_STEP_FIND : INJECT_STEP_CALL]
                        .text;
        if (step == INJECT_STEP_ENTER && error == -EFAULT)
                return "The kernel refused to run a call in the thread (before Linux 6.4 this is how "
                       "Syscall User Dispatch shows); it was put back.";

        return step_texts[step].text;
}
