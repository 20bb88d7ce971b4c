/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/injectcheck.h"

#include <errno.h>
#include <fcntl.h>
#include <numaif.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/kernel/feature.h"
#include "daemon/kernel/injectarch.h"
#include "daemon/kernel/process.h"
#include "daemon/kernel/thread.h"
#include "daemon/kernel/tracee.h"
#include "daemon/kernel/vmas.h"
#include "policy/macro.h"

int injection_note(Injection *injection, InjectStep step, int r)
{
        if (r < 0) {
                injection->outcome.step = step;
                injection->outcome.error = r;
        }
        return r;
}

static int check_range_asked(const InjectRequest *request)
{
        const InjectTarget *target = &request->target;
        uint64_t page_mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;

        return target->thread != 0 || request->insist != 0 || target->start >= target->end ||
                               target->start < target->vma_start ||
                               ((target->start | target->end | target->vma_start) & page_mask) != 0
                       ? -EINVAL
                       : 0;
}

static int check_thread_asked(const InjectRequest *request)
{
        const InjectTarget *target = &request->target;

        return target->thread <= 0 || target->start != 0 || target->end != 0 ||
                               target->vma_start != 0 || target->vma_offset != 0 ||
                               target->inode != 0 || target->dev_major != 0 ||
                               target->dev_minor != 0
                       ? -EINVAL
                       : 0;
}

static int check_request(const InjectRequest *request)
{
        const InjectTarget *target = &request->target;

        if (request->version != INJECT_VERSION)
                return -EPROTO;
        if (target->pid <= 0 || request->insist > 1 || request->reserved != 0)
                return -EINVAL;

        switch (request->call) {
        case INJECT_CALL_MBIND:
                return check_range_asked(request);
        case INJECT_CALL_SET_MEMPOLICY:
                return check_thread_asked(request);
        default:
                return -EINVAL;
        }
}

int injection_check_process(const Injection *injection)
{
        uint64_t start_time;
        int r;

        r = process_start_time(injection->process_fd, &start_time);
        if (r < 0)
                return r;

        return start_time == injection->request->target.start_time ? 0 : -ESRCH;
}

static int find_process(Injection *injection)
{
        _cleanup_(closep) int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r;

        if (proc_fd < 0)
                return -errno;

        r = process_open(proc_fd, injection->request->target.pid, &injection->process_fd);
        return r < 0 ? r : injection_check_process(injection);
}

static int choose_mask(Injection *injection, int mode, const NodeSet *nodes)
{
        const Vdso *vdso = &injection->vdso;

        injection->mode = mode;
        return vdso_find_nodes(vdso->image, vdso->size, nodes, &injection->nodes_offset,
                               &injection->maxnode);
}

/* Mode and node mask. Several nodes if the kernel has a policy for them and the vdso happens to have
 * such a mask, else one. */
static int choose_nodes(Injection *injection)
{
        const InjectRequest *request = injection->request;
        const NodeSet *nodes = &request->nodes;
        NodeSet one = {};
        int r = -ENOENT;

        injection->mode = MPOL_DEFAULT;
        if (nodeset_is_empty(nodes))
                return 0;
        /* To bind to fewer nodes than was asked for would run out of memory where it need not. */
        if (request->strict)
                return choose_mask(injection, MPOL_BIND, nodes);
        if (nodeset_count(nodes) == 1)
                return choose_mask(injection, MPOL_PREFERRED, nodes);

        if (feature_probe(FEATURE_PREFERRED_MANY, -1, -1) != -EOPNOTSUPP)
                r = choose_mask(injection, MPOL_PREFERRED_MANY, nodes);
        if (r != -ENOENT)
                return r;

        nodeset_add(&one, nodeset_has(nodes, request->first) ? request->first
                                                             : (unsigned)nodeset_next(nodes, 0));
        injection->outcome.flags |= INJECT_FLAG_FIRST_NODE;
        return choose_mask(injection, MPOL_PREFERRED, &one);
}

/* The one that was named, or any. */
static int choose_thread(const Injection *injection, pid_t *ret_tid)
{
        const InjectRequest *request = injection->request;
        int r;

        if (request->target.thread == 0)
                return thread_choose(injection->process_fd, request->target.pid, ret_tid);

        r = thread_check(injection->process_fd, request->target.thread, request->insist);
        if (r >= 0)
                *ret_tid = request->target.thread;
        return r;
}

static int find_thread(Injection *injection)
{
        char path[32];
        int r;

        r = choose_thread(injection, &injection->thread);
        if (r < 0)
                return r;

        snprintf(path, sizeof(path), "task/%d", injection->thread);
        injection->thread_fd =
                openat(injection->process_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (injection->thread_fd >= 0)
                return 0;
        if (errno != ENOENT)
                return -errno;

        /* It has ended since. Where it was not named, another will do. */
        r = process_result(injection->process_fd, -ENOENT);
        return r == -ENOENT && injection->request->target.thread == 0 ? -EAGAIN : -ESRCH;
}

static InjectStep vdso_step(int error)
{
        return error == -ESRCH     ? INJECT_STEP_FIND
               : error == -EAGAIN  ? INJECT_STEP_THREAD
               : error == -ENOEXEC ? INJECT_STEP_ABI
               : error == -ETIME   ? INJECT_STEP_PAUSE
                                   : INJECT_STEP_VDSO;
}

static int find_vdso(Injection *injection)
{
        uint64_t again;
        int r, located;

        r = vdso_locate(injection->thread_fd, &injection->vdso_address);
        if (r < 0)
                return r;
        r = vdso_compare(&injection->vdso, injection->thread, injection->vdso_address);
        if (r >= 0)
                return r;

        /* It may have executed another program since. */
        located = vdso_locate(injection->thread_fd, &again);
        if (located < 0)
                return located;
        return again != injection->vdso_address ? -EAGAIN : r;
}

int injection_make_ready(Injection *injection)
{
        int r;

        r = injection_note(injection, INJECT_STEP_REQUEST, check_request(injection->request));
        if (r >= 0)
                r = injection_note(injection, INJECT_STEP_VDSO, vdso_own(&injection->vdso));
        if (r >= 0)
                r = injection_note(injection, INJECT_STEP_NODES, choose_nodes(injection));
        if (r >= 0)
                r = injection_note(injection, INJECT_STEP_FIND, find_process(injection));
        if (r >= 0) {
                r = find_thread(injection);
                injection_note(injection, r == -ESRCH ? INJECT_STEP_FIND : INJECT_STEP_THREAD, r);
        }
        if (r >= 0) {
                r = find_vdso(injection);
                injection_note(injection, vdso_step(r), r);
        }

        return r;
}

int injection_check_identity(const Injection *injection)
{
        /* An open directory of proc stays with its thread, and dies with it. */
        if (faccessat(injection->thread_fd, "stat", F_OK, 0) < 0)
                return -ESRCH;

        return injection_check_process(injection);
}

uint64_t injection_pause_deadline(const Injection *injection)
{
        uint64_t end;

        return __builtin_add_overflow(injection->stopped_ns, injection->request->pause_max_ns, &end)
                       ? TRACEE_NO_DEADLINE
                       : end;
}

/* The range still holds what it held when the request was made, wherever its VMAs were split. */
static int check_range(const Injection *injection, Vmas *vmas)
{
        const InjectTarget *target = &injection->request->target;
        Vma vma;
        int r;

        for (uint64_t at = target->start; at < target->end; at = vma.end) {
                r = vmas_find(vmas, at, injection_pause_deadline(injection), &vma);
                if (r < 0)
                        return r == -EFAULT ? -ESTALE : r;
                if (vma.shared || vma.inode != target->inode ||
                    vma.dev_major != target->dev_major || vma.dev_minor != target->dev_minor)
                        return -ESTALE;
                if (vma.inode != 0 &&
                    vma.offset - vma.start != target->vma_offset - target->vma_start)
                        return -ESTALE;
        }

        return 0;
}

/* Once more: the process may have executed another program since. */
static int check_vdso(Injection *injection, Vmas *vmas)
{
        Vma vma;
        int r;

        r = find_vdso(injection);
        if (r < 0)
                return r;

        r = vmas_find(vmas, injection->vdso_address, injection_pause_deadline(injection), &vma);
        if (r < 0)
                return r;

        return vma.executable && vma.end - injection->vdso_address >= injection->vdso.size
                       ? 0
                       : -EMEDIUMTYPE;
}

/* A thread that is killed while it is stopped loses its memory before its entry in /proc: what looks
 * like another mapping, or none, is then no news of the mapping. */
static int unless_killed(const Injection *injection, int error)
{
        struct user_regs_struct registers;
        size_t size;

        if (error >= 0)
                return error;

        return tracee_get_registers(injection->thread, &registers, &size) == -ESRCH ? -ESRCH
                                                                                    : error;
}

static InjectStep range_step(int error)
{
        return error == -ESRCH   ? INJECT_STEP_FIND
               : error == -ETIME ? INJECT_STEP_PAUSE
                                 : INJECT_STEP_VMA;
}

int injection_check_memory(Injection *injection)
{
        _cleanup_(vmas_close) Vmas vmas;
        int r;

        r = vmas_open(injection->thread_fd, false, &vmas);
        if (r >= 0 && injection->request->call == INJECT_CALL_MBIND)
                r = check_range(injection, &vmas);
        r = unless_killed(injection, r);
        if (injection_note(injection, range_step(r), r) < 0)
                return r;

        r = unless_killed(injection, check_vdso(injection, &vmas));
        return injection_note(injection, vdso_step(r), r);
}

int injection_check_thread(Injection *injection)
{
        struct user_regs_struct *registers = &injection->wait.found;
        bool dispatch = false, inside = false;
        size_t size = 0;
        int r;

        r = injection_note(injection, INJECT_STEP_ABI,
                           tracee_get_registers(injection->thread, registers, &size));
        if (r < 0)
                return r;
        if (!arch_is_native(registers, size))
                return injection_note(injection, INJECT_STEP_ABI, -ENOEXEC);
        injection->cured = arch_cure(&injection->wait);

        r = injection_note(injection, INJECT_STEP_DISPATCH,
                           tracee_has_dispatch(injection->thread, &dispatch));
        if (r < 0)
                return r;
        if (dispatch)
                return injection_note(injection, INJECT_STEP_DISPATCH, -EOPNOTSUPP);

        /* The kernel would see the thread outside of its sequence, and not abort that. */
        r = injection_note(injection, INJECT_STEP_RSEQ,
                           tracee_in_rseq(injection->thread, arch_instruction(registers), &inside));
        if (r < 0)
                return r;

        return inside ? injection_note(injection, INJECT_STEP_RSEQ, -EAGAIN) : 0;
}
