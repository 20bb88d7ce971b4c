/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One thread of a program gets a policy: it alone, and what it starts from then on. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <stdio.h>

#include "daemon/kernel/threadpolicy.h"
#include "policy/macro.h"
#include "tests/unit/inject-child.h"

#define THREADS 3
#define TIMES   20

/* The policy column of the thread's numa_maps: what the kernel says, with none of our own parsers
 * between. It is the same for all VMAs, as none has a policy. */
static const char *policy_text(pid_t pid, pid_t tid)
{
        static char text[64];
        char path[64];
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/numa_maps", pid, tid);
        file = fopen(path, "re");
        cr_assert_not_null(file, "%s: a kernel with CONFIG_NUMA is needed", path);
        cr_assert_eq(fscanf(file, "%*x %63s", text), 1);
        fclose(file);
        return text;
}

/* A line of the target's, which is one of numbers. */
static int read_number(const Target *target)
{
        char text[16] = {};

        for (size_t i = 0; i + 1 < sizeof(text); i++) {
                cr_assert_eq(read(target->out, &text[i], 1), 1);
                if (text[i] == '\n')
                        break;
        }
        return atoi(text);
}

/* Its threads but for the main one; those that @tids names are numbered by the target. */
static Target threads_new(pid_t tids[static THREADS])
{
        Target target = target_start_program("INJECT_TARGET", "threads", NULL);
        char line[64] = {};

        /* Not a byte more, the numbers come next. */
        for (size_t i = 0; i + 1 < sizeof(line) && !strchr(line, '\n'); i++)
                cr_assert_eq(read(target.out, &line[i], 1), 1);
        for (size_t i = 0; i < THREADS; i++)
                tids[i] = read_number(&target);
        return target;
}

static int order(const Target *target, char what)
{
        cr_assert_eq(write(target->in, &what, 1), 1);
        return read_number(target);
}

static void set(const Target *target, pid_t tid, const char *nodes, bool strict)
{
        InjectRequest request = target_thread_request(target, tid);
        InjectOutcome outcome;

        cr_assert_eq(nodeset_parse(nodes, &request.nodes), 0);
        request.strict = strict;
        outcome = inject_until_done(&request);
        assert_done(outcome);
        cr_assert_eq(outcome.thread, tid);
}

Test(inject_thread, it_alone_prefers_binds_and_resets)
{
        static const struct {
                const char *nodes;
                bool strict;
                const char *text;
                VmaPolicy policy;
        } steps[] = {
                { "0", false, "prefer:0", VMA_POLICY_PREFERRED },
                { "0", true, "bind:0", VMA_POLICY_BIND },
                { "", false, "default", VMA_POLICY_DEFAULT },
        };
        pid_t tids[THREADS];
        Target target = threads_new(tids);

        for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
                VmaPolicy policy;
                NodeSet nodes;

                set(&target, tids[1], steps[i].nodes, steps[i].strict);
                cr_assert_str_eq(policy_text(target.pid, tids[1]), steps[i].text);
                cr_assert_eq(thread_policy_read(target.process_fd, tids[1], &policy, &nodes), 0);
                cr_assert_eq(policy, steps[i].policy);
                cr_assert_str_eq(policy_text(target.pid, tids[0]), "default");
                cr_assert_str_eq(policy_text(target.pid, tids[2]), "default");
                cr_assert_str_eq(policy_text(target.pid, target.pid), "default");
        }
        cr_assert_eq(target_end(&target), 0);
}

Test(inject_thread, what_it_starts_inherits)
{
        pid_t tids[THREADS], before, thread, process;
        Target target = threads_new(tids);

        before = order(&target, 't');
        set(&target, tids[0], "0", false);
        thread = order(&target, 't');
        process = order(&target, 'f');
        cr_assert_str_eq(policy_text(target.pid, before), "default");
        cr_assert_str_eq(policy_text(target.pid, thread), "prefer:0");
        cr_assert_str_eq(policy_text(process, process), "prefer:0");

        set(&target, tids[0], "", false);
        cr_assert_str_eq(policy_text(target.pid, thread), "prefer:0");
        cr_assert_str_eq(policy_text(target.pid, order(&target, 't')), "default");
        cr_assert_eq(target_end(&target), 0);
}

typedef struct Wait {
        char mode[24];
        char state;
} Wait;

ParameterizedTestParameters(inject_thread, a_wait_goes_on)
{
        static Wait waits[] = {
                { "epoll", 'S' },          { "epoll-signal", 'S' }, { "futex", 'S' },
                { "read", 'S' },           { "poll", 'S' },         { "sigwait", 'S' },
                { "accept-timeout", 'S' }, { "semop", 'S' },        { "filter", 'S' },
                { "strict", 'S' },         { "registers", 'R' },    { "spin", 'R' },
        };

        return cr_make_param_array(Wait, waits, ARRAY_SIZE(waits));
}

ParameterizedTest(Wait *wait, inject_thread, a_wait_goes_on)
{
        Target target = target_new(wait->mode);

        target_await_state(&target, (char[]){ wait->state, '\0' });
        for (int i = 0; i < TIMES; i++) {
                set(&target, target.pid, i % 2 == 0 ? "0" : "", false);
                cr_assert_str_eq(policy_text(target.pid, target.pid),
                                 i % 2 == 0 ? "prefer:0" : "default");
        }
        cr_assert_eq(target_end(&target), 0, "%s", wait->mode);
}

Test(inject_thread, another_than_the_leader_which_has_ended)
{
        Target target = target_new("leaderless");
        InjectRequest request = target_thread_request(&target, target.pid);
        InjectOutcome outcome;
        pid_t *tids;
        size_t n;

        target_await_state(&target, "Z");
        outcome = inject_elsewhere(&request);
        assert_refused(outcome, INJECT_STEP_THREAD, -ESRCH);

        cr_assert_eq(threads_list(target.process_fd, &tids, &n), 0);
        cr_assert_eq(n, 2);
        set(&target, tids[tids[0] == target.pid], "0", false);
        cr_assert_str_eq(policy_text(target.pid, tids[tids[0] == target.pid]), "prefer:0");
        free(tids);
        cr_assert_eq(target_end(&target), 0);
}

Test(inject_thread, one_that_is_not_of_the_process)
{
        pid_t tids[THREADS], others[THREADS];
        Target target = threads_new(tids), other = threads_new(others);
        const pid_t wrong[] = { others[0], other.pid, getpid(), INT32_MAX };

        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                InjectRequest request = target_thread_request(&target, wrong[i]);
                InjectOutcome outcome = inject_elsewhere(&request);

                assert_refused(outcome, INJECT_STEP_THREAD, -ESRCH);
                cr_assert_eq(outcome.thread, 0);
        }
        cr_assert_str_eq(policy_text(other.pid, others[0]), "default");
        cr_assert_str_eq(policy_text(other.pid, other.pid), "default");
        cr_assert_eq(target_end(&target), 0);
        cr_assert_eq(target_end(&other), 0);
}

Test(inject_thread, its_end_and_that_of_the_process_are_told_apart)
{
        pid_t tids[THREADS];
        Target target = threads_new(tids);
        InjectRequest gone = target_thread_request(&target, tids[0]),
                      kept = target_thread_request(&target, tids[1]), later = kept;
        InjectOutcome outcome;
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/task/%d", target.pid, tids[0]);
        cr_assert_eq(write(target.in, "e", 1), 1);
        while (access(path, F_OK) == 0)
                sched_yield();
        outcome = inject_elsewhere(&gone);
        assert_refused(outcome, INJECT_STEP_THREAD, -ESRCH);

        later.target.start_time++;
        outcome = inject_elsewhere(&later);
        assert_refused(outcome, INJECT_STEP_FIND, -ESRCH);
        cr_assert_eq(target_end(&target), 0);
        outcome = inject_elsewhere(&kept);
        assert_refused(outcome, INJECT_STEP_FIND, -ESRCH);
}

Test(inject_thread, one_that_waits_uninterruptibly)
{
        Target target = target_new("vfork");
        InjectRequest request = target_thread_request(&target, target.pid);
        InjectOutcome outcome;

        request.insist = 1;
        target_await_state(&target, "D");
        outcome = inject_elsewhere(&request);
        assert_refused(outcome, INJECT_STEP_THREAD, -EAGAIN);
        cr_assert_eq(target_end(&target), 0);
}

/* The target checks that it has written all. */
Test(inject_thread, a_write_is_cut_short_only_if_that_is_asked_for)
{
        Target target = target_new("write"), other = target_new("write");
        InjectRequest request = target_thread_request(&target, target.pid);
        InjectOutcome outcome;
        int status;

        target_await_state(&target, "S");
        outcome = inject_elsewhere(&request);
        assert_refused(outcome, INJECT_STEP_THREAD, -EAGAIN);
        cr_assert_eq(target_end(&target), 0);

        request = target_thread_request(&other, other.pid);
        request.insist = 1;
        target_await_state(&other, "S");
        outcome = inject_until_done(&request);
        assert_done(outcome);
        cr_assert_eq(waitpid(other.pid, &status, 0), other.pid);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == TARGET_HARMED);
}

Test(inject_thread, a_request_without_sense)
{
        Target target = target_new("read");
        InjectRequest good = target_thread_request(&target, target.pid),
                      range = target_request(&target), bad[] = { good, good,  good, good,
                                                                 good, good,  good, good,
                                                                 good, range, range };

        bad[0].call = INJECT_CALL_SET_MEMPOLICY + 1;
        bad[1].target.thread = 0;
        bad[2].target.thread = -1;
        bad[3].target.end = range.target.end;
        bad[4].target.vma_start = range.target.vma_start;
        bad[5].target.vma_offset = 4096;
        bad[6].target.inode = 1;
        bad[7].target.dev_minor = 1;
        bad[8].insist = 2;
        bad[9].target.thread = target.pid;
        bad[10].insist = 1;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                InjectOutcome outcome = inject_elsewhere(&bad[i]);

                assert_refused(outcome, INJECT_STEP_REQUEST, -EINVAL);
        }
        cr_assert_str_eq(policy_text(target.pid, target.pid), "default");
        cr_assert_eq(target_end(&target), 0);
}
