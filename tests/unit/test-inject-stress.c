/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* 10,000 calls in a mixed set of programs: none is harmed. Prints how long they were stopped, beside
 * a bare seize, stop and detach of the same programs in the same run. */
#include <criterion/criterion.h>
#include <errno.h>

#include "daemon/kernel/threadpolicy.h"
#include "daemon/kernel/tracee.h"
#include "policy/macro.h"
#include "tests/unit/inject-child.h"
#include "tests/unit/injector-child.h"

#define CALLS 10000u

typedef struct Member {
        const char *program;
        const char *mode;
        bool bare; /* a stop alone does not make its wait fail, and nobody computes in it */
} Member;

static const Member members[] = {
        { "INJECT_TARGET", "epoll", false },
        { "INJECT_TARGET", "epoll-timeout", false },
        { "INJECT_TARGET", "epoll-pwait", false },
        { "INJECT_TARGET", "epoll-signal", false },
        { "INJECT_TARGET", "futex", true },
        { "INJECT_TARGET", "read", true },
        { "INJECT_TARGET", "poll", true },
        { "INJECT_TARGET", "ppoll", true },
        { "INJECT_TARGET", "select", true },
        { "INJECT_TARGET", "sigwait", false },
        { "INJECT_TARGET", "sigsuspend", true },
        { "INJECT_TARGET", "pause", true },
        { "INJECT_TARGET", "wait4", true },
        { "INJECT_TARGET", "accept", true },
        { "INJECT_TARGET", "accept-timeout", false },
        { "INJECT_TARGET", "semop", false },
        { "INJECT_TARGET", "filter", true },
        { "INJECT_TARGET", "strict", true },
        { "INJECT_TARGET", "registers", false },
        { "INJECT_TARGET_STATIC", "epoll", false },
        { "INJECT_TARGET_STATIC", "read", true },
};

typedef struct Times {
        uint64_t ns[CALLS];
        size_t n;
} Times;

static int compare(const void *a, const void *b)
{
        uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

        return (left > right) - (left < right);
}

static double percentile_us(Times *times, unsigned percent)
{
        size_t at = (times->n - 1) * percent / 100;

        qsort(times->ns, times->n, sizeof(*times->ns), compare);
        return (double)times->ns[at] / 1000.0;
}

/* name value unit baseline ratio */
static void print(const char *name, Times *times, Times *baseline)
{
        static const struct {
                const char *name;
                unsigned percent;
        } points[] = { { "p50", 50 }, { "p99", 99 }, { "max", 100 } };

        for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
                double value = percentile_us(times, points[i].percent),
                       base = percentile_us(baseline, points[i].percent);

                printf("%s_%s %.1f us %.1f %.2f\n", name, points[i].name, value, base,
                       value / base);
        }
        fflush(stdout);
}

/* What any debugger would do to it: the least that a stop can cost. */
static void stop_bare(pid_t pid, Times *asked_to_gone, Times *stopped_to_gone)
{
        uint64_t asked, stopped;

        cr_assert_eq(tracee_seize(pid), 0);
        asked = tracee_now_ns();
        cr_assert_eq(tracee_stop(pid, asked + INJECT_BUSY_MAX_NS), 0);
        stopped = tracee_now_ns();
        cr_assert_eq(tracee_detach(pid, 0), 0);
        stopped_to_gone->ns[stopped_to_gone->n++] = tracee_now_ns() - stopped;
        asked_to_gone->ns[asked_to_gone->n++] = tracee_now_ns() - asked;
}

static bool is_spinning(const Member *member)
{
        return strcmp(member->mode, "registers") == 0;
}

Test(inject_stress, ten_thousand_calls)
{
        static Times bare_pause, bare_all, pause, all, spin_pause, spin_all;
        Injector injector = injector_new();
        Target targets[ARRAY_SIZE(members)];
        InjectRequest requests[ARRAY_SIZE(members)], of_threads[ARRAY_SIZE(members)];
        unsigned seed = 3, again = 0, held = 0, done = 0;
        int fd = injector_connect(&injector);
        VmaPolicy policy;
        NodeSet nodes;
        sigset_t child;

        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        sigprocmask(SIG_BLOCK, &child, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                targets[i] = target_new_of(members[i].program, members[i].mode);
                requests[i] = target_request(&targets[i]);
                of_threads[i] = target_thread_request(&targets[i], targets[i].pid);
        }

        while (done < CALLS) {
                size_t i = (size_t)rand_r(&seed) % ARRAY_SIZE(members);
                bool spins = is_spinning(&members[i]), of_thread = rand_r(&seed) % 3 == 0;
                InjectOutcome outcome;

                cr_assert_eq(injector_ask(fd, of_thread ? &of_threads[i] : &requests[i], &outcome),
                             0);
                if (outcome.error == -EAGAIN || outcome.error == -ETIMEDOUT) {
                        cr_assert_lt(++again, CALLS / 10);
                        fprintf(stderr, "%s: again: %s: %d\n", members[i].mode,
                                inject_step_name(outcome.step), outcome.error);
                        if (outcome.flags & INJECT_FLAG_HELD) {
                                held++;
                                close(fd);
                                fd = injector_connect(&injector);
                        }
                        continue;
                }
                assert_done(outcome);
                done++;
                (spins ? &spin_pause : &pause)->ns[(spins ? &spin_pause : &pause)->n++] =
                        outcome.pause_ns;
                (spins ? &spin_all : &all)->ns[(spins ? &spin_all : &all)->n++] =
                        outcome.stop_ns + outcome.pause_ns;
                if (members[i].bare)
                        stop_bare(targets[i].pid, &bare_all, &bare_pause);
        }

        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                cr_assert_eq(target_policy(&targets[i]), VMA_POLICY_PREFERRED);
                cr_assert_eq(
                        thread_policy_read(targets[i].process_fd, targets[i].pid, &policy, &nodes),
                        0);
                cr_assert_eq(policy, VMA_POLICY_PREFERRED);
                cr_assert_eq(target_end(&targets[i]), 0, "harmed: %s", members[i].mode);
        }
        close(fd);
        injector_end(&injector);

        printf("inject_calls %u calls 0 0\ninject_tried_again %u calls 0 0\n"
               "inject_let_go %u calls 0 0\n",
               done, again, held);
        print("inject_stop_to_resume", &pause, &bare_pause);
        print("inject_ask_to_resume", &all, &bare_all);
        print("inject_spinning_stop_to_resume", &spin_pause, &bare_pause);
        print("inject_spinning_ask_to_resume", &spin_all, &bare_all);
}
