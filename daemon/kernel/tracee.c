/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/tracee.h"

#include <elf.h>
#include <errno.h>
#include <linux/rseq.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#define NS_PER_SEC UINT64_C(1000000000)

/* As waitpid() has a syscall stop under TRACESYSGOOD. */
#define SIGNAL_SYSCALL (SIGTRAP | 0x80)

#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21)
#endif

/* Linux 6.4; its struct is not in the headers of Debian 12. */
#define GET_SYSCALL_USER_DISPATCH 0x4211

typedef struct DispatchConfig {
        uint64_t mode; /* PR_SYS_DISPATCH_OFF, ON */
        uint64_t selector;
        uint64_t offset;
        uint64_t length;
} DispatchConfig;

static int trace(int request, pid_t tid, void *address, void *value)
{
        long r;

        r = ptrace((enum __ptrace_request)request, tid, address, value);
        return r < 0 ? -errno : (int)r;
}

static void *as_pointer(uint64_t value)
{
        return (void *)(uintptr_t)value; /* NOLINT(performance-no-int-to-ptr): ptrace(2)'s manner */
}

uint64_t tracee_now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

int tracee_seize(pid_t tid)
{
        return trace(PTRACE_SEIZE, tid, NULL, NULL);
}

static int classify(int status, TraceeStop *ret_stop)
{
        TraceeStop stop = {};

        if (!WIFSTOPPED(status))
                return -ESRCH;

        if (status >> 16 == PTRACE_EVENT_STOP)
                stop.kind = STOP_TRAP;
        else if (WSTOPSIG(status) == SIGNAL_SYSCALL)
                stop.kind = STOP_SYSCALL;
        else {
                stop.kind = STOP_SIGNAL;
                stop.signal = WSTOPSIG(status);
        }

        *ret_stop = stop;
        return 0;
}

/* Sleeps until a child's state changes or the deadline. */
static int await_child(uint64_t deadline_ns)
{
        uint64_t now = tracee_now_ns(), left;
        struct timespec timeout;
        sigset_t child;

        if (now >= deadline_ns)
                return -ETIMEDOUT;

        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        left = deadline_ns - now;
        timeout = (struct timespec){
                .tv_sec = (time_t)(left / NS_PER_SEC),
                .tv_nsec = (long)(left % NS_PER_SEC),
        };
        if (deadline_ns == TRACEE_NO_DEADLINE)
                sigwaitinfo(&child, NULL);
        else
                sigtimedwait(&child, NULL, &timeout);
        return 0;
}

int tracee_wait(pid_t tid, uint64_t deadline_ns, TraceeStop *ret_stop)
{
        int r = 0;

        while (r >= 0) {
                int status;
                pid_t pid;

                pid = waitpid(tid, &status, __WALL | WNOHANG);
                if (pid == tid)
                        return classify(status, ret_stop);
                /* ECHILD: another thread's execve() has taken it down. */
                if (pid < 0 && errno != EINTR)
                        return errno == ECHILD ? -ESRCH : -errno;

                r = await_child(deadline_ns);
        }

        return r;
}

int tracee_interrupt(pid_t tid)
{
        return trace(PTRACE_INTERRUPT, tid, NULL, NULL);
}

int tracee_stop(pid_t tid, uint64_t deadline_ns)
{
        TraceeStop stop = { .kind = STOP_SIGNAL };
        int r;

        r = tracee_interrupt(tid);
        while (r >= 0) {
                r = tracee_wait(tid, deadline_ns, &stop);
                if (r < 0 || stop.kind == STOP_TRAP)
                        break;
                r = trace(PTRACE_CONT, tid, NULL, as_pointer((uint64_t)stop.signal));
        }

        return r;
}

int tracee_resume_to_syscall(pid_t tid)
{
        return trace(PTRACE_SYSCALL, tid, NULL, NULL);
}

int tracee_detach(pid_t tid, int signal)
{
        return trace(PTRACE_DETACH, tid, NULL, as_pointer((uint64_t)signal));
}

int tracee_set_options(pid_t tid, bool suspend_seccomp)
{
        uint64_t options = PTRACE_O_TRACESYSGOOD;

        if (suspend_seccomp)
                options |= PTRACE_O_SUSPEND_SECCOMP;
        return trace(PTRACE_SETOPTIONS, tid, NULL, as_pointer(options));
}

int tracee_get_registers(pid_t tid, struct user_regs_struct *ret_registers, size_t *ret_size)
{
        struct user_regs_struct registers = {};
        struct iovec area = { .iov_base = &registers, .iov_len = sizeof(registers) };
        int r;

        r = trace(PTRACE_GETREGSET, tid, as_pointer(NT_PRSTATUS), &area);
        if (r < 0)
                return r;

        *ret_registers = registers;
        *ret_size = area.iov_len;
        return 0;
}

int tracee_set_registers(pid_t tid, const struct user_regs_struct *registers)
{
        struct user_regs_struct copy = *registers;
        struct iovec area = { .iov_base = &copy, .iov_len = sizeof(copy) };

        return trace(PTRACE_SETREGSET, tid, as_pointer(NT_PRSTATUS), &area);
}

/* The kernel's signal set is 64 bits on every machine that we know. */
int tracee_get_mask(pid_t tid, uint64_t *ret_mask)
{
        uint64_t mask;
        int r;

        r = trace(PTRACE_GETSIGMASK, tid, as_pointer(sizeof(mask)), &mask);
        if (r < 0)
                return r;

        *ret_mask = mask;
        return 0;
}

int tracee_set_mask(pid_t tid, uint64_t mask)
{
        return trace(PTRACE_SETSIGMASK, tid, as_pointer(sizeof(mask)), &mask);
}

int tracee_syscall(pid_t tid, bool *ret_entry, uint64_t *ret_number)
{
        struct __ptrace_syscall_info info = {};
        int r;

        r = trace(PTRACE_GET_SYSCALL_INFO, tid, as_pointer(sizeof(info)), &info);
        if (r < 0)
                return r;
        if (info.op != PTRACE_SYSCALL_INFO_ENTRY && info.op != PTRACE_SYSCALL_INFO_EXIT)
                return -EBADMSG;

        *ret_entry = info.op == PTRACE_SYSCALL_INFO_ENTRY;
        *ret_number = info.op == PTRACE_SYSCALL_INFO_ENTRY ? info.entry.nr : 0;
        return 0;
}

int tracee_signal_is_fault(pid_t tid, bool *ret_fault)
{
        siginfo_t info;
        int r;

        r = trace(PTRACE_GETSIGINFO, tid, NULL, &info);
        if (r < 0)
                return r;

        /* Codes of senders are 0 (SI_USER) and below. */
        *ret_fault = info.si_code > 0;
        return 0;
}

int tracee_has_dispatch(pid_t tid, bool *ret_dispatch)
{
        DispatchConfig config = {};
        int r;

        r = trace(GET_SYSCALL_USER_DISPATCH, tid, as_pointer(sizeof(config)), &config);
        if (r < 0 && r != -EIO)
                return r;

        *ret_dispatch = config.mode != 0;
        return 0;
}

int tracee_in_rseq(pid_t tid, uint64_t address, bool *ret_inside)
{
        struct __ptrace_rseq_configuration config = {};
        struct rseq_cs section;
        uint64_t at = 0;
        int r;

        /* EIO: before 5.13, or a kernel without rseq. */
        r = trace(PTRACE_GET_RSEQ_CONFIGURATION, tid, as_pointer(sizeof(config)), &config);
        if (r < 0 && r != -EIO)
                return r;

        if (config.rseq_abi_pointer != 0) {
                r = tracee_read(tid, config.rseq_abi_pointer + offsetof(struct rseq, rseq_cs), &at,
                                sizeof(at));
                if (r < 0)
                        return r;
        }
        if (at != 0) {
                r = tracee_read(tid, at, &section, sizeof(section));
                if (r < 0)
                        return r;
        }

        *ret_inside = at != 0 && address >= section.start_ip &&
                      address - section.start_ip < section.post_commit_offset;
        return 0;
}

int tracee_read(pid_t tid, uint64_t address, void *buffer, size_t size)
{
        struct iovec here = { .iov_base = buffer, .iov_len = size },
                     there = { .iov_base = as_pointer(address), .iov_len = size };
        ssize_t n;

        n = process_vm_readv(tid, &here, 1, &there, 1, 0);
        if (n < 0)
                return -errno;

        return (size_t)n == size ? 0 : -EFAULT;
}
