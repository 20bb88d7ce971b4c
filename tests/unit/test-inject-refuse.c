/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What cannot be done is said, with the step and the reason, and the program notices nothing. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/ptrace.h>
#include <sys/stat.h>

#include "policy/macro.h"
#include "tests/unit/inject-child.h"

Test(inject_refuse, another_process_has_the_pid)
{
        Target target = target_new("epoll");
        InjectRequest request = target_request(&target);
        InjectOutcome outcome;

        request.target.start_time++;
        outcome = inject_elsewhere(&request);
        assert_refused(outcome, INJECT_STEP_FIND, -ESRCH);
        cr_assert_eq(outcome.thread, 0, "not even stopped");
        cr_assert_eq(target_policy(&target), VMA_POLICY_DEFAULT);
        cr_assert_eq(target_end(&target), 0);

        request.target.start_time--;
        outcome = inject_elsewhere(&request);
        assert_refused(outcome, INJECT_STEP_FIND, -ESRCH);
}

Test(inject_refuse, a_zombie)
{
        Target target = target_new("read");
        InjectRequest request = target_request(&target);
        InjectOutcome outcome;
        siginfo_t info;

        kill(target.pid, SIGKILL);
        cr_assert_eq(waitid(P_PID, (id_t)target.pid, &info, WEXITED | WNOWAIT), 0);
        outcome = inject_elsewhere(&request);
        assert_refused(outcome, INJECT_STEP_FIND, -ESRCH);
        cr_assert_eq(waitpid(target.pid, NULL, 0), target.pid);
}

Test(inject_refuse, a_request_without_sense)
{
        Target target = target_new("read");
        InjectRequest good = target_request(&target), bad[5] = { good, good, good, good, good };

        bad[0].version++;
        bad[1].target.end = bad[1].target.start;
        bad[2].target.start++;
        bad[3].target.pid = 0;
        bad[4].target.vma_start = bad[4].target.end;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                InjectOutcome outcome = inject_elsewhere(&bad[i]);

                assert_refused(outcome, INJECT_STEP_REQUEST, i == 0 ? -EPROTO : -EINVAL);
        }
        cr_assert_eq(target_end(&target), 0);
}

Test(inject_refuse, another_mapping)
{
        Target target = target_new("read");
        InjectRequest good = target_request(&target), bad[4] = { good, good, good, good };

        bad[0].target.inode++;
        bad[1].target.dev_minor++;
        bad[2].target.vma_offset += 4096;
        bad[3].target.end += UINT64_C(1) << 40; /* holes, other mappings */
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                InjectOutcome outcome = inject_elsewhere(&bad[i]);

                assert_refused(outcome, INJECT_STEP_VMA, -ESTALE);
                cr_assert_not(outcome.flags & INJECT_FLAG_HELD);
        }
        cr_assert_eq(target_policy(&target), VMA_POLICY_DEFAULT);
        cr_assert_eq(target_end(&target), 0);
}

/* Part of a mapping is enough, however it has been split since. */
Test(inject_refuse, not_a_part_of_the_mapping)
{
        Target target = target_new("read");
        InjectRequest request = target_request(&target);
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), at = target.address;
        InjectOutcome outcome;

        request.target.start += 2 * page;
        request.target.end = request.target.start + page;
        outcome = inject_elsewhere(&request);
        assert_done(outcome);
        cr_assert_eq(target_policy(&target), VMA_POLICY_DEFAULT);
        target.address = at + 2 * page;
        cr_assert_eq(target_policy(&target), VMA_POLICY_PREFERRED);

        request.target.start = at;
        request.target.end = at + TARGET_PAGES * page;
        outcome = inject_elsewhere(&request);
        assert_done(outcome);
        target.address = at;
        cr_assert_eq(target_policy(&target), VMA_POLICY_PREFERRED);
        cr_assert_eq(target_end(&target), 0);
}

Test(inject_refuse, already_traced)
{
        Target target = target_new("read");
        InjectRequest request = target_request(&target);
        InjectOutcome outcome;

        cr_assert_eq(ptrace(PTRACE_SEIZE, target.pid, NULL, NULL), 0);
        outcome = inject_elsewhere(&request);
        assert_refused(outcome, INJECT_STEP_SEIZE, -EBUSY);
        cr_assert_eq(target_end(&target), 0);
}

Test(inject_refuse, vfork_parent)
{
        Target target = target_new("vfork");
        InjectRequest request = target_request(&target);
        InjectOutcome outcome;

        target_await_state(&target, "D");
        outcome = inject_elsewhere(&request);
        assert_refused(outcome, INJECT_STEP_THREAD, -EAGAIN);
        cr_assert_eq(target_end(&target), 0);
}

/* Linux 6.4 */
static bool kernel_tells_of_dispatch(void)
{
        struct {
                uint64_t mode, selector, offset, length;
        } config;
        int status, error;
        pid_t pid = fork();

        if (pid == 0) {
                ptrace(PTRACE_TRACEME, 0, NULL, NULL);
                raise(SIGSTOP);
                _exit(0);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        errno = 0;
        ptrace(0x4211 /* PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG */, pid, sizeof(config), &config);
        error = errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return error == 0;
}

Test(inject_refuse, system_calls_that_go_elsewhere)
{
        Target target = target_new("dispatch");
        InjectRequest request = target_request(&target);
        InjectOutcome outcome = inject_elsewhere(&request);

        /* Its calls are let through just now. Where the kernel does not tell that this may change, the
         * call is made, and would fail below. */
        if (kernel_tells_of_dispatch())
                assert_refused(outcome, INJECT_STEP_DISPATCH, -EOPNOTSUPP);
        else
                assert_done(outcome);
        cr_assert_eq(target_end(&target), 0);
}

/* Where chance decides what a running thread is found at, more so the less of a processor it gets. */
#define ENOUGH 25u
#define TRIES  5000

Test(inject_refuse, system_calls_that_go_elsewhere_now)
{
        Target target = target_new("redirect");
        InjectRequest request = target_request(&target);
        bool tells = kernel_tells_of_dispatch();
        unsigned refused = 0;

        for (int i = 0; refused < ENOUGH; i++) {
                InjectOutcome outcome = inject_elsewhere(&request);

                cr_assert_lt(i, TRIES);
                if (outcome.step == INJECT_DONE) {
                        assert_done(outcome); /* it was not there yet */
                        continue;
                }
                assert_refused(outcome, tells ? INJECT_STEP_DISPATCH : INJECT_STEP_ENTER,
                               tells ? -EOPNOTSUPP : -EFAULT);
                refused++;
        }
        cr_assert_eq(target_end(&target), 0);
}

Test(inject_refuse, inside_a_restartable_sequence)
{
        Target target = target_new("rseq");
        InjectRequest request = target_request(&target);
        unsigned inside = 0;

        for (int i = 0; inside < ENOUGH; i++) {
                InjectOutcome outcome = inject_elsewhere(&request);

                cr_assert_lt(i, TRIES, "%u were inside one", inside);
                if (outcome.step == INJECT_STEP_RSEQ)
                        inside++;
                else
                        assert_done(outcome); /* it was between two */
        }
        cr_assert_eq(target_end(&target), 0);
}

Test(inject_refuse, longer_than_it_may_be_stopped)
{
        Target target = target_new("epoll");
        InjectRequest request = target_request(&target);
        InjectOutcome outcome;

        target_await_state(&target, "S");
        request.pause_max_ns = 1;
        outcome = inject_elsewhere(&request);
        assert_refused(outcome, INJECT_STEP_PAUSE, -ETIME);
        cr_assert_eq(target_policy(&target), VMA_POLICY_DEFAULT);
        cr_assert_eq(target_end(&target), 0);
}

Test(inject_refuse, a_node_that_no_constant_names)
{
        Target target = target_new("read");
        InjectRequest request = target_request(&target);
        InjectOutcome outcome;

        request.nodes = (NodeSet){};
        nodeset_add(&request.nodes, NODESET_MAX - 1);
        outcome = inject_elsewhere(&request);
        assert_refused(outcome, INJECT_STEP_NODES, -ENOENT);
        cr_assert_eq(target_end(&target), 0);
}

/* A 32-bit program waits in what would give it EINTR: it must not even be stopped. */
Test(inject_refuse, programs_of_32_bits)
{
        Target target;
        InjectRequest request = { .version = INJECT_VERSION, .pause_max_ns = UINT64_MAX };
        InjectOutcome outcome;

        if (!getenv("INJECT_TARGET_32") || *getenv("INJECT_TARGET_32") == '\0')
                cr_skip_test("no compiler or no kernel for 32-bit programs");

        target = target_start_program("INJECT_TARGET_32", "", NULL);
        cr_assert_eq(read(target.out, &(char){ 0 }, 1), 1);
        cr_assert_eq(process_start_time(target.process_fd, &request.target.start_time), 0);
        request.target.pid = target.pid;
        request.target.start = request.target.vma_start = 0x10000;
        request.target.end = 0x20000;
        outcome = inject_elsewhere(&request);
        assert_refused(outcome, INJECT_STEP_ABI, -ENOEXEC);
        cr_assert_eq(outcome.thread, 0);
        cr_assert_eq(target_end(&target), 0);
}

/* A directory of cgroup2 of our own; empty if there is no cgroup2 that we may change. */
static void make_cgroup(char *path, size_t size)
{
        static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

        for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
                char freeze[128];

                snprintf(path, size, "%s/daxtierd-test-%d", roots[i], getpid());
                snprintf(freeze, sizeof(freeze), "%s/cgroup.freeze", path);
                if (mkdir(path, 0700) == 0 && access(freeze, W_OK) == 0)
                        return;
                rmdir(path);
        }
        *path = '\0';
}

/* Freezing alone makes an epoll_wait() fail with EINTR, so not in that. */
Test(inject_refuse, a_frozen_cgroup_and_puts_all_back)
{
        char path[96], pid[16], events[256];
        _cleanup_(closep) int cgroup_fd = -1;
        Target target;
        InjectRequest request;
        InjectOutcome outcome;

        make_cgroup(path, sizeof(path));
        if (*path == '\0')
                cr_skip_test("no cgroup2 that we may write to");

        target = target_new("read");
        request = target_request(&target);
        snprintf(pid, sizeof(pid), "%d", target.pid);
        cgroup_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_eq(attr_write(cgroup_fd, "cgroup.procs", pid), 0);
        target_await_state(&target, "S");
        cr_assert_eq(attr_write(cgroup_fd, "cgroup.freeze", "1"), 0);
        do {
                sched_yield();
                cr_assert_gt(attr_read(cgroup_fd, "cgroup.events", events, sizeof(events)), 0);
        } while (!strstr(events, "frozen 1"));

        outcome = inject_elsewhere(&request);
        assert_refused(outcome, INJECT_STEP_ENTER, -ETIMEDOUT);
        cr_assert_not(outcome.flags & INJECT_FLAG_HELD);
        cr_assert_eq(target_policy(&target), VMA_POLICY_DEFAULT);

        cr_assert_eq(attr_write(cgroup_fd, "cgroup.freeze", "0"), 0);
        outcome = inject_elsewhere(&request);
        assert_done(outcome);
        cr_assert_eq(target_end(&target), 0);
        rmdir(path);
}

Test(inject_refuse, every_step_has_a_name_and_a_sentence)
{
        for (uint32_t step = 0; step <= INJECT_STEP_LAST; step++) {
                cr_assert_not_null(inject_step_name(step));
                cr_assert_str_not_empty(inject_step_text(step, -EAGAIN));
                for (uint32_t other = 0; other < step; other++)
                        cr_assert_str_neq(inject_step_name(step), inject_step_name(other));
        }
        cr_assert_null(inject_step_name(INJECT_STEP_LAST + 1));
        cr_assert_not_null(inject_step_text(INJECT_STEP_LAST + 1, 0));
        cr_assert_str_neq(inject_step_text(INJECT_STEP_SEIZE, -EBUSY),
                          inject_step_text(INJECT_STEP_SEIZE, -EPERM));
}
