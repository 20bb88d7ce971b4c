/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls are run in programs that wait in all the ways there are, and these notice nothing. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>

#include "policy/macro.h"
#include "tests/unit/inject-child.h"

#define TIMES 20

typedef struct Wait {
        char mode[24];
        char state;
} Wait;

ParameterizedTestParameters(inject, a_wait_goes_on)
{
        static Wait waits[] = {
                { "epoll", 'S' },        { "epoll-timeout", 'S' }, { "epoll-pwait", 'S' },
                { "epoll-signal", 'S' }, { "futex", 'S' },         { "read", 'S' },
                { "poll", 'S' },         { "ppoll", 'S' },         { "select", 'S' },
                { "sigwait", 'S' },      { "sigsuspend", 'S' },    { "pause", 'S' },
                { "wait4", 'S' },        { "accept", 'S' },        { "accept-timeout", 'S' },
                { "semop", 'S' },        { "filter", 'S' },        { "strict", 'S' },
                { "writers", 'S' },      { "registers", 'R' },     { "spin", 'R' },
        };

        return cr_make_param_array(Wait, waits, ARRAY_SIZE(waits));
}

ParameterizedTest(Wait *wait, inject, a_wait_goes_on)
{
        Target target = target_new(wait->mode);
        InjectRequest request = target_request(&target);
        /* With 64 threads to a CPU each stop takes its turn. */
        int status, times = strcmp(wait->mode, "writers") == 0 ? 3 : TIMES;

        target_await_state(&target, (char[]){ wait->state, '\0' });
        for (int i = 0; i < times; i++) {
                InjectOutcome outcome = inject_until_done(&request);

                assert_done(outcome);
                cr_assert_neq(outcome.thread, 0);
                cr_assert_gt(outcome.pause_ns, 0);
        }
        cr_assert_eq(target_policy(&target), VMA_POLICY_PREFERRED);
        status = target_end(&target);
        cr_assert_eq(status, 0, "%s: %x", wait->mode, status);
}

ParameterizedTestParameters(inject, a_wait_ends_in_time)
{
        static Wait waits[] = { { "futex-timeout", 'S' },
                                { "nanosleep", 'S' },
                                { "poll-timeout", 'S' } };

        return cr_make_param_array(Wait, waits, ARRAY_SIZE(waits));
}

/* It is stopped until it has ended. Were its time to begin anew each time, it never would. */
ParameterizedTest(Wait *wait, inject, a_wait_ends_in_time)
{
        Target target = target_new(wait->mode);
        InjectRequest request = target_request(&target);
        const time_t end = time(NULL) + 40;
        unsigned n_done = 0;
        InjectOutcome outcome;
        int status;

        /* On a slow machine it may have slept enough by now. */
        target_await_state(&target, "SZ");
        for (;;) {
                outcome = inject_until_done(&request);
                if (outcome.error != 0)
                        break;
                assert_done(outcome);
                n_done++;
                cr_assert_leq(time(NULL), end, "%s: it sleeps on", wait->mode);
        }
        cr_assert_eq(waitpid(target.pid, &status, 0), target.pid);
        cr_assert_eq(status, 0, "%s: %x", wait->mode, status);
        if (n_done == 0)
                cr_skip_test("the machine is too slow for %s", wait->mode);
}

/* No vdso has a mask of 1024 bits with these three. */
Test(inject, of_nodes_that_cannot_be_named_together_the_first_is_preferred)
{
        Target target = target_new("pause");
        InjectRequest request = target_request(&target);
        InjectOutcome outcome;

        nodeset_add(&request.nodes, 5);
        nodeset_add(&request.nodes, NODESET_MAX - 1);
        target_await_state(&target, "S");
        outcome = inject_until_done(&request);
        assert_done(outcome);
        cr_assert(outcome.flags & INJECT_FLAG_FIRST_NODE);
        cr_assert_eq(target_policy(&target), VMA_POLICY_PREFERRED, "the lowest, node 0");

        if (access("/sys/devices/system/node/node5", F_OK) == 0)
                cr_skip_test("this machine has a node 5");
        request.first = 5;
        outcome = inject_until_done(&request);
        cr_assert_eq(outcome.error, 0);
        cr_assert(outcome.flags & INJECT_FLAG_FIRST_NODE);
        cr_assert_eq(outcome.result, -EINVAL, "node 5 alone, which is not there");
        cr_assert_eq(target_end(&target), 0);
}

Test(inject, cures_what_the_stop_alone_would_break)
{
        static const char *const modes[] = { "epoll", "sigwait", "semop", "accept-timeout" };

        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                Target target = target_new(modes[i]);
                InjectRequest request = target_request(&target), stale = request;
                InjectOutcome outcome;

                target_await_state(&target, "S");
                outcome = inject_elsewhere(&request);
                assert_done(outcome);
                cr_assert(outcome.flags & INJECT_FLAG_CURED, "%s", modes[i]);

                /* So it does when it then finds that it should not have stopped the target. */
                stale.target.inode++;
                target_await_state(&target, "S"); /* again */
                outcome = inject_elsewhere(&stale);
                assert_refused(outcome, INJECT_STEP_VMA, -ESTALE);
                cr_assert(outcome.flags & INJECT_FLAG_CURED, "%s", modes[i]);
                cr_assert_eq(target_end(&target), 0, "%s", modes[i]);
        }
}

Test(inject, prefers_binds_and_resets)
{
        Target target = target_new("read");
        InjectRequest request = target_request(&target);
        InjectOutcome outcome;

        outcome = inject_elsewhere(&request);
        assert_done(outcome);
        cr_assert_eq(target_policy(&target), VMA_POLICY_PREFERRED);

        request.strict = 1;
        outcome = inject_elsewhere(&request);
        assert_done(outcome);
        cr_assert_eq(target_policy(&target), VMA_POLICY_BIND);

        request.strict = 0;
        nodeset_remove(&request.nodes, 0);
        outcome = inject_elsewhere(&request);
        assert_done(outcome);
        cr_assert_eq(target_policy(&target), VMA_POLICY_DEFAULT);
        cr_assert_eq(target_end(&target), 0);
}

/* The call can be made and fail: that is its result, not an error. */
Test(inject, tells_the_result_of_the_call)
{
        Target target = target_new("read");
        InjectRequest request = target_request(&target);
        InjectOutcome outcome;

        request.nodes = (NodeSet){};
        nodeset_add(&request.nodes, 5);
        outcome = inject_elsewhere(&request);
        cr_assert_eq(outcome.step, INJECT_DONE);
        cr_assert_eq(outcome.error, 0);
        cr_assert_eq(outcome.result, -EINVAL, "node 5 is not there: %d", outcome.result);
        cr_assert_eq(target_end(&target), 0);
}

Test(inject, static_programs)
{
        static const char *const modes[] = { "epoll", "registers", "writers", "filter" };

        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                Target target = target_new_of("INJECT_TARGET_STATIC", modes[i]);
                InjectRequest request = target_request(&target);
                InjectOutcome outcome = inject_until_done(&request);

                assert_done(outcome);
                cr_assert_eq(target_policy(&target), VMA_POLICY_PREFERRED);
                cr_assert_eq(target_end(&target), 0, "%s", modes[i]);
        }
}

Test(inject, own_user_pid_and_mount_namespaces)
{
        Target target = target_new("namespaces");
        InjectRequest request;
        InjectOutcome outcome;
        char path[64], text[32];

        snprintf(path, sizeof(path), "task/%d/children", target.child);
        cr_assert_gt(attr_read(target.process_fd, path, text, sizeof(text)), 0);
        target.pid = (pid_t)strtol(text, NULL, 10);
        close(target.process_fd);
        target.process_fd = inject_open_process(target.pid);
        request = target_request(&target);

        outcome = inject_elsewhere(&request);
        assert_done(outcome);
        cr_assert_eq(target_policy(&target), VMA_POLICY_PREFERRED);
        cr_assert_eq(target_end(&target), 0);
}

Test(inject, another_thread_when_the_leader_has_ended)
{
        Target target = target_new("leaderless");
        InjectRequest request;
        InjectOutcome outcome;
        int status;

        /* maps of the leader is empty; the range is known from elsewhere. */
        request = (InjectRequest){ .version = INJECT_VERSION, .pause_max_ns = UINT64_MAX };
        {
                char path[64];
                Target thread = target;

                snprintf(path, sizeof(path), "task/%d/children", target.pid);
                for (pid_t tid = target.pid + 1; tid < target.pid + 64; tid++) {
                        snprintf(path, sizeof(path), "task/%d", tid);
                        thread.process_fd = openat(target.process_fd, path, O_RDONLY);
                        if (thread.process_fd >= 0)
                                break;
                }
                cr_assert_geq(thread.process_fd, 0);
                request = target_request(&thread);
                cr_assert_eq(process_start_time(target.process_fd, &request.target.start_time), 0);
                outcome = inject_elsewhere(&request);
                assert_done(outcome);
                cr_assert_neq(outcome.thread, target.pid);
                cr_assert_eq(target_policy(&thread), VMA_POLICY_PREFERRED);
                close(thread.process_fd);
        }

        cr_assert_eq(write(target.in, "x", 1), 1);
        cr_assert_eq(waitpid(target.pid, &status, 0), target.pid);
        cr_assert_eq(status, 0);
}

Test(inject, stopped_stays_stopped_and_its_parent_hears_nothing)
{
        Target target = target_new("read");
        InjectRequest request = target_request(&target);
        siginfo_t info = {};
        int status;

        kill(target.pid, SIGSTOP);
        cr_assert_eq(waitpid(target.pid, &status, WUNTRACED), target.pid);
        for (int i = 0; i < TIMES; i++) {
                InjectOutcome outcome = inject_elsewhere(&request);

                assert_done(outcome);
                target_await_state(&target, "T");
        }
        cr_assert_eq(waitid(P_PID, (id_t)target.pid, &info, WSTOPPED | WCONTINUED | WNOHANG), 0);
        cr_assert_eq(info.si_pid, 0, "a second report: %d", info.si_code);

        kill(target.pid, SIGCONT);
        cr_assert_eq(target_end(&target), 0);
}
