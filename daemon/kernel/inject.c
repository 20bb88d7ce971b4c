/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/inject.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/kernel/injectarch.h"
#include "daemon/kernel/injectcheck.h"
#include "daemon/kernel/process.h"
#include "daemon/kernel/thread.h"
#include "daemon/kernel/tracee.h"
#include "policy/macro.h"

/* Signals that the kernel raises for what a thread does, as bits of a mask. They stay as the target
 * has them: while one is blocked the kernel would not tell us of it but kill. */
#define SIGNAL_BIT(signal) (UINT64_C(1) << ((signal)-1))
#define FAULT_SIGNALS                                                                              \
        (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGTRAP) |     \
         SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGSYS))

#define STOPS_MAX 16u

static void injection_deinit(Injection *injection)
{
        closep(&injection->process_fd);
        closep(&injection->thread_fd);
}

/* Whether @tracer is another worker of the injector: busy with the same thread, or about to let it go
 * by exiting. */
static bool is_sibling(pid_t tracer)
{
        _cleanup_(closep) int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                              tracer_fd = -1;
        uint64_t parent;

        return proc_fd >= 0 && process_open(proc_fd, tracer, &tracer_fd) >= 0 &&
               thread_status(tracer_fd, tracer, "PPid:", &parent) >= 0 &&
               (pid_t)parent == getppid();
}

/* The kernel says EPERM of a thread that has ended, too. */
static bool has_ended(const Injection *injection)
{
        char state;

        return thread_state(injection->process_fd, injection->thread, &state) < 0 ||
               strchr("ZX", state);
}

static int seize(const Injection *injection)
{
        uint64_t tracer = 0;
        int r;

        r = tracee_seize(injection->thread);
        if (r != -EPERM)
                return r;
        if (has_ended(injection))
                return -ESRCH;
        if (thread_status(injection->process_fd, injection->thread, "TracerPid:", &tracer) < 0 ||
            tracer == 0)
                return -EPERM;

        return is_sibling((pid_t)tracer) ? -EAGAIN : -EBUSY;
}

static bool is_in_state(const Injection *injection, const char *states)
{
        char state;

        return thread_state(injection->process_fd, injection->thread, &state) >= 0 &&
               strchr(states, state);
}

static int stop(Injection *injection)
{
        uint64_t asked;
        int r;

        r = injection_note(injection, INJECT_STEP_SEIZE, seize(injection));
        if (r < 0)
                return r;

        injection->outcome.thread = injection->thread;
        injection->outcome.flags |= INJECT_FLAG_HELD;
        r = injection_note(injection, INJECT_STEP_FIND, injection_check_identity(injection));
        if (r < 0)
                return r;

        /* At the last moment: afterwards the thread may begin another. */
        injection->wait.call.number = -1;
        if (arch_needs_call)
                (void)thread_call(injection->process_fd, injection->thread, &injection->wait.call);

        asked = tracee_now_ns();
        r = tracee_stop(injection->thread, asked + INJECT_STOP_MAX_NS);
        /* Only one that waits uninterruptibly is given up, unless it has stopped or died just now: any
         * other will. */
        if (r == -ETIMEDOUT)
                r = tracee_stop(injection->thread,
                                is_in_state(injection, "DZX") ? 0 : asked + INJECT_BUSY_MAX_NS);
        if (injection_note(injection, INJECT_STEP_STOP, r) < 0)
                return r;

        injection->stopped_ns = tracee_now_ns();
        injection->outcome.stop_ns = injection->stopped_ns - asked;
        return 0;
}

static int set_options(const Injection *injection)
{
        uint64_t filter;
        int r;

        r = tracee_set_options(injection->thread, true);
        if (r >= 0 || r == -ESRCH)
                return r;

        /* We cannot suspend filters. That does not matter if it has none. */
        r = thread_status(injection->process_fd, injection->thread, "Seccomp:", &filter);
        if (r >= 0 && filter != 0)
                return -EPERM;

        return tracee_set_options(injection->thread, false);
}

static uint64_t call_address(const Injection *injection)
{
        return injection->vdso_address + injection->vdso.call;
}

static long call_number(const Injection *injection)
{
        return injection->request->call == INJECT_CALL_MBIND ? SYS_mbind : SYS_set_mempolicy;
}

/* mbind(start, length, mode, nodes, maxnode), set_mempolicy(mode, nodes, maxnode) */
static void call_args(const Injection *injection, uint64_t ret_args[static ARCH_CALL_ARGS])
{
        const InjectTarget *target = &injection->request->target;
        size_t n = 0;

        if (injection->request->call == INJECT_CALL_MBIND) {
                ret_args[n++] = target->start;
                ret_args[n++] = target->end - target->start;
        }
        ret_args[n++] = (uint64_t)injection->mode;
        ret_args[n++] =
                injection->maxnode != 0 ? injection->vdso_address + injection->nodes_offset : 0;
        ret_args[n++] = injection->maxnode;
        while (n < ARCH_CALL_ARGS)
                ret_args[n++] = 0;
}

static int prepare(Injection *injection)
{
        struct user_regs_struct registers;
        uint64_t args[ARCH_CALL_ARGS];
        int r;

        call_args(injection, args);
        registers = arch_prepare(&injection->wait.found, call_address(injection),
                                 call_number(injection), args);

        r = tracee_set_mask(injection->thread, ~FAULT_SIGNALS | injection->mask);
        return r < 0 ? r : tracee_set_registers(injection->thread, &registers);
}

/* Lets the thread go as far as the call. -ETIMEDOUT: it is still where it was, which is so if its
 * cgroup is frozen. */
static int resume_to_call(const Injection *injection, TraceeStop *ret_stop)
{
        uint64_t now = tracee_now_ns();
        TraceeStop at = {};
        int r;

        r = tracee_resume_to_syscall(injection->thread);
        if (r < 0)
                return r;

        r = tracee_wait(injection->thread, now + INJECT_STOP_MAX_NS, ret_stop);
        if (r == -ETIMEDOUT && is_in_state(injection, "R"))
                r = tracee_wait(injection->thread, now + INJECT_BUSY_MAX_NS, ret_stop);
        /* Had it stopped just now it would not have been running either. */
        if (r == -ETIMEDOUT)
                r = tracee_wait(injection->thread, 0, ret_stop);
        if (r != -ETIMEDOUT)
                return r;

        r = tracee_interrupt(injection->thread);
        if (r >= 0)
                r = tracee_wait(injection->thread, TRACEE_NO_DEADLINE, &at);
        if (r < 0)
                return r;
        if (at.kind == STOP_TRAP)
                return -ETIMEDOUT;

        *ret_stop = at;
        return 0;
}

/* Instead of making the call the thread is about to take a signal: the kernel found fault with what
 * we prepared, or it is the program's own and goes to it once all is put back. */
static int take_signal(Injection *injection, int signal)
{
        bool fault = false;
        int r;

        r = tracee_signal_is_fault(injection->thread, &fault);
        if (r < 0)
                return r;
        if (!fault)
                injection->signal = signal;

        return fault ? -EFAULT : -EAGAIN;
}

static int enter(Injection *injection)
{
        TraceeStop at = { .kind = STOP_TRAP };
        uint64_t number = 0;
        bool entry = false;
        int r = 0;

        /* Each SIGSTOP that comes now is one more stop on the way. */
        for (unsigned i = 0; r >= 0 && at.kind == STOP_TRAP; i++)
                r = i < STOPS_MAX ? resume_to_call(injection, &at) : -EAGAIN;
        if (r < 0)
                return r;
        if (at.kind == STOP_SIGNAL)
                return take_signal(injection, at.signal);

        r = tracee_syscall(injection->thread, &entry, &number);
        if (r < 0)
                return r;

        return entry && number == (uint64_t)call_number(injection) ? 0 : -EBADMSG;
}

/* To the next entry or exit. mbind() may wait for the target's memory map, for as long as another of
 * its threads holds it; a thread of the target that called it itself would wait just so. */
static int go_on(const Injection *injection)
{
        TraceeStop at = {};
        int r;

        do {
                r = tracee_resume_to_syscall(injection->thread);
                if (r >= 0)
                        r = tracee_wait(injection->thread, TRACEE_NO_DEADLINE, &at);
        } while (r >= 0 && at.kind != STOP_SYSCALL);

        return r;
}

static int call(Injection *injection)
{
        struct user_regs_struct registers;
        size_t size;
        int r;

        r = go_on(injection);
        if (r >= 0)
                r = tracee_get_registers(injection->thread, &registers, &size);
        if (r < 0)
                return r;

        injection->outcome.result = (int32_t)arch_result(&registers);
        return 0;
}

/* Where the kernel remembers our call instead of the one that we interrupted. */
static int settle(Injection *injection)
{
        struct user_regs_struct registers;
        int r = 0;

        if (arch_settle(&injection->wait, call_address(injection), &registers)) {
                r = tracee_set_registers(injection->thread, &registers);
                if (r >= 0)
                        r = go_on(injection);
                if (r >= 0)
                        r = go_on(injection);
        }
        if (r < 0)
                return r;

        injection->called = true;
        return 0;
}

/* A failure in here leaves as little behind as success: all is put back in restore(). */
static int run(Injection *injection)
{
        int r;

        r = injection_note(injection, INJECT_STEP_PREPARE, prepare(injection));
        if (r >= 0)
                r = injection_note(injection, INJECT_STEP_ENTER, enter(injection));
        if (r >= 0)
                r = injection_note(injection, INJECT_STEP_CALL, call(injection));
        if (r >= 0)
                r = injection_note(injection, INJECT_STEP_RESTORE, settle(injection));

        return r;
}

static int restore(const Injection *injection)
{
        const ArchWait *wait = &injection->wait;
        int r;

        r = tracee_set_mask(injection->thread, injection->mask);
        return r < 0 ? r
                     : tracee_set_registers(injection->thread,
                                            injection->called ? &wait->after : &wait->untouched);
}

static int transact(Injection *injection)
{
        int r;

        r = injection_check_thread(injection);
        if (r >= 0)
                r = injection_check_memory(injection);
        if (r >= 0)
                r = injection_note(injection, INJECT_STEP_SECCOMP, set_options(injection));
        if (r >= 0)
                r = injection_note(injection, INJECT_STEP_PREPARE,
                                   tracee_get_mask(injection->thread, &injection->mask));
        if (r >= 0 && tracee_now_ns() >= injection_pause_deadline(injection))
                r = injection_note(injection, INJECT_STEP_PAUSE, -ETIME);
        if (r < 0) {
                /* Refused; yet the stop alone made the wait fail. */
                if (injection->cured)
                        tracee_set_registers(injection->thread, &injection->wait.untouched);
                return r;
        }

        r = run(injection);
        if (restore(injection) < 0 && r >= 0)
                r = injection_note(injection, INJECT_STEP_RESTORE, -ESRCH);
        return r;
}

/* A thread that was killed meanwhile has to be reaped by us before its parent hears of it. */
static bool is_gone(const Injection *injection)
{
        TraceeStop at;
        int r;

        do
                r = tracee_wait(injection->thread, tracee_now_ns() + INJECT_STOP_MAX_NS, &at);
        while (r >= 0);

        return r == -ESRCH;
}

static void let_go(Injection *injection)
{
        InjectOutcome *outcome = &injection->outcome;
        int r;

        r = tracee_detach(injection->thread, injection->signal);
        if (r < 0 && outcome->error == 0)
                injection_note(injection, INJECT_STEP_DETACH, r);
        if (r >= 0 || is_gone(injection))
                outcome->flags &= ~INJECT_FLAG_HELD;
        if (r >= 0 && injection->cured)
                outcome->flags |= INJECT_FLAG_CURED;
        outcome->pause_ns = tracee_now_ns() - injection->stopped_ns;
}

/* A thread that was named can end where the process goes on. Who asked has to know which it was. */
static void tell_thread_from_process(const Injection *injection, InjectOutcome *outcome)
{
        pid_t any;

        if (injection->request->call != INJECT_CALL_MBIND && outcome->error == -ESRCH &&
            injection->process_fd >= 0 && injection_check_process(injection) >= 0 &&
            thread_choose(injection->process_fd, injection->request->target.pid, &any) != -ESRCH)
                outcome->step = INJECT_STEP_THREAD;
}

void inject_call(const InjectRequest *request, InjectOutcome *ret_outcome)
{
        _cleanup_(injection_deinit) Injection injection = {
                .request = request,
                .outcome = { .version = INJECT_VERSION },
                .process_fd = -1,
                .thread_fd = -1,
        };
        sigset_t all, before;

        /* Between prepare() and restore() only SIGKILL may end us: it would end the target too. */
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &before);

        if (injection_make_ready(&injection) >= 0 && stop(&injection) >= 0)
                transact(&injection);
        if (injection.stopped_ns != 0)
                let_go(&injection);
        else if (injection.outcome.error == -ESRCH && injection.outcome.thread != 0 &&
                 is_gone(&injection))
                injection.outcome.flags &= ~INJECT_FLAG_HELD;

        tell_thread_from_process(&injection, &injection.outcome);

        sigprocmask(SIG_SETMASK, &before, NULL);
        *ret_outcome = injection.outcome;
}
