/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The injector's service: connections that come and go, clients that are killed, targets that are. */
#include <criterion/criterion.h>
#include <errno.h>
#include <time.h>

#include "policy/macro.h"
#include "tests/unit/inject-child.h"
#include "tests/unit/injector-child.h"

#define KILLS 500
#define EXECS "300"

Test(injector, answers_one_request_after_the_other)
{
        Injector injector = injector_new();
        Target target = target_new("epoll");
        InjectRequest request = target_request(&target);
        int fd = injector_connect(&injector);
        InjectOutcome outcome;

        cr_assert_eq(injection_receive(fd, &outcome), -EAGAIN);
        for (int i = 0; i < 100; i++) {
                cr_assert_eq(injector_ask(fd, &request, &outcome), 0);
                assert_done(outcome);
        }
        cr_assert_eq(target_policy(&target), VMA_POLICY_PREFERRED);
        request.target.start_time++;
        cr_assert_eq(injector_ask(fd, &request, &outcome), 0);
        assert_refused(outcome, INJECT_STEP_FIND, -ESRCH);

        cr_assert_eq(target_end(&target), 0);
        close(fd);
        injector_end(&injector);
}

Test(injector, refuses_what_is_no_request)
{
        Injector injector = injector_new();
        int fd = injector_connect(&injector);
        char text[2 * sizeof(InjectRequest)] = {};
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        static const size_t sizes[] = { 1, sizeof(InjectRequest) - 1, sizeof(InjectRequest),
                                        sizeof(text) };
        InjectOutcome outcome;

        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                cr_assert_eq(send(fd, text, sizes[i], 0), (ssize_t)sizes[i]);
                cr_assert_eq(poll(&poll_fd, 1, -1), 1);
                cr_assert_eq(injection_receive(fd, &outcome), 0);
                assert_refused(outcome, INJECT_STEP_REQUEST, -EPROTO);
        }
        close(fd);
        injector_end(&injector);
}

Test(injector, says_so_when_it_is_not_there)
{
        Injector injector = injector_new();
        int fd = injector_connect(&injector), other = 77;
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        InjectRequest request = {};
        InjectOutcome outcome;

        cr_assert_eq(injector_ask(fd, &request, &outcome), 0);
        kill(injector.pid, SIGTERM);
        cr_assert_eq(waitpid(injector.pid, NULL, 0), injector.pid);
        cr_assert_eq(poll(&poll_fd, 1, -1), 1);
        cr_assert_eq(injection_receive(fd, &outcome), -EPIPE);
        cr_assert_eq(injection_send(fd, &request), -EPIPE);
        cr_assert_eq(injection_connect(injector.path, &other), -ECONNREFUSED);
        unlink(injector.path);
        cr_assert_eq(injection_connect(injector.path, &other), -ENOENT);
        cr_assert_eq(other, 77);
        close(fd);
        scratch_freep(&injector.scratch);
}

/* Workers end when they have to let go of a target, more of them than there are at a time. */
Test(injector, replaces_workers)
{
        Injector injector = injector_new();
        Target target = target_new("read");
        InjectRequest request = target_request(&target);
        InjectOutcome outcome;
        char path[64], text[256];

        for (int i = 0; i < 12; i++) {
                int fd = injector_connect(&injector), self = inject_open_process(injector.pid);
                pid_t worker;

                cr_assert_eq(injector_ask(fd, &request, &outcome), 0);
                assert_done(outcome);
                snprintf(path, sizeof(path), "task/%d/children", injector.pid);
                cr_assert_gt(attr_read(self, path, text, sizeof(text)), 0);
                worker = (pid_t)strtol(text, NULL, 10);
                cr_assert_gt(worker, 0);
                cr_assert_eq(kill(worker, SIGTERM), 0);
                /* Until the injector has noticed it would be found once more, and then be gone. */
                while (kill(worker, 0) == 0)
                        usleep(1000);
                close(self);
                close(fd);
        }
        cr_assert_eq(target_end(&target), 0);
        injector_end(&injector);
}

/* The daemon dies at any moment: the injector finishes what it has begun. */
Test(injector, kill_9_of_the_client_harms_nobody)
{
        static const char *const modes[] = { "epoll", "futex", "registers", "sigwait", "filter" };
        Injector injector = injector_new();
        Target targets[ARRAY_SIZE(modes)];
        InjectRequest requests[ARRAY_SIZE(modes)];
        unsigned seed = 1, answered = 0;
        int fd;

        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                targets[i] = target_new(modes[i]);
                requests[i] = target_request(&targets[i]);
        }

        for (int i = 0; i < KILLS; i++) {
                int sent[2];
                pid_t client;
                char byte;

                cr_assert_eq(pipe(sent), 0);
                client = fork();
                if (client == 0) {
                        InjectOutcome outcome;

                        fd = injector_connect(&injector);
                        for (size_t j = 0;; j++) {
                                injection_send(fd, &requests[j % ARRAY_SIZE(modes)]);
                                if (write(sent[1], "", 1) != 1)
                                        _exit(1);
                                poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, -1);
                                injection_receive(fd, &outcome);
                        }
                }
                close(sent[1]);
                /* After a random number of requests, and somewhere within the next. */
                for (int j = rand_r(&seed) % 4; j >= 0; j--)
                        cr_assert_eq(read(sent[0], &byte, 1), 1);
                for (volatile int spin = rand_r(&seed) % 100000; spin > 0; spin--)
                        ;
                cr_assert_eq(kill(client, SIGKILL), 0);
                cr_assert_eq(waitpid(client, NULL, 0), client);
                close(sent[0]);
        }

        fd = injector_connect(&injector);
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                InjectOutcome outcome;

                /* The last request of one that was killed may still be at work in the target. */
                do
                        cr_assert_eq(injector_ask(fd, &requests[i], &outcome), 0);
                while (outcome.error == -EAGAIN);
                answered += outcome.step == INJECT_DONE;
                cr_assert_eq(target_policy(&targets[i]), VMA_POLICY_PREFERRED);
                cr_assert_eq(target_end(&targets[i]), 0, "%s", modes[i]);
        }
        cr_assert_eq(answered, ARRAY_SIZE(modes));
        close(fd);
        injector_end(&injector);
}

/* Its parent hears of the death of a target at once, and of no other death. */
Test(injector, targets_that_are_killed)
{
        Injector injector = injector_new();
        int fd = injector_connect(&injector);
        unsigned seed = 2;

        for (int i = 0; i < 200; i++) {
                Target target = target_new(i % 2 ? "registers" : "epoll");
                InjectRequest request = target_request(&target);
                InjectOutcome outcome;
                int status;

                cr_assert_eq(injection_send(fd, &request), 0);
                for (volatile int spin = rand_r(&seed) % 60000; spin > 0; spin--)
                        ;
                cr_assert_eq(kill(target.pid, SIGKILL), 0);
                cr_assert_eq(waitpid(target.pid, &status, 0), target.pid);
                cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
                close(target.in);
                close(target.out);
                close(target.process_fd);

                cr_assert_eq(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, -1), 1);
                cr_assert_eq(injection_receive(fd, &outcome), 0);
                /* One that dies slowly may wait uninterruptibly meanwhile. */
                cr_assert(outcome.error == 0 || outcome.error == -ESRCH ||
                                  (outcome.step == INJECT_STEP_STOP && outcome.error == -ETIMEDOUT),
                          "%s: %d", inject_step_name(outcome.step), outcome.error);
                if (outcome.flags & INJECT_FLAG_HELD) {
                        close(fd);
                        fd = injector_connect(&injector);
                }
        }
        close(fd);
        injector_end(&injector);
}

Test(injector, targets_that_execute)
{
        Injector injector = injector_new();
        Target target = target_start_program("INJECT_TARGET", "exec", EXECS);
        int fd = injector_connect(&injector);
        InjectRequest request = {
                .pause_max_ns = UINT64_MAX,
                .target = { .pid = target.pid, .start = 0x400000, .end = 0x401000 },
        };
        struct pollfd ready = { .fd = target.out, .events = POLLIN };
        InjectOutcome outcome;
        unsigned stops = 0;

        cr_assert_eq(process_start_time(target.process_fd, &request.target.start_time), 0);
        while (poll(&ready, 1, 0) == 0) {
                cr_assert_eq(injector_ask(fd, &request, &outcome), 0);
                cr_assert_neq(outcome.error, 0, "nothing is mapped there");
                cr_assert_neq(outcome.step, INJECT_STEP_VDSO, "that would be for good: %d",
                              outcome.error);
                stops += outcome.stop_ns > 0;
                if (outcome.flags & INJECT_FLAG_HELD) {
                        close(fd);
                        fd = injector_connect(&injector);
                }
        }
        cr_assert_gt(stops, 0, "it was not stopped even once");

        target_await_ready(&target);
        request = target_request(&target);
        cr_assert_eq(injector_ask(fd, &request, &outcome), 0);
        assert_done(outcome);
        cr_assert_eq(target_end(&target), 0);
        close(fd);
        injector_end(&injector);
}

/* Memory that another thread unmaps and maps all the time, while the call is made for it. */
Test(injector, targets_that_unmap)
{
        Injector injector = injector_new();
        Target target = target_new("remap");
        InjectRequest request = target_request(&target);
        uint64_t size = TARGET_PAGES * (uint64_t)sysconf(_SC_PAGESIZE),
                 middle = target.address + size / 2;
        int fd = injector_connect(&injector);
        unsigned done = 0;
        InjectOutcome outcome;

        request.target = (InjectTarget){
                .pid = target.pid,
                .start_time = request.target.start_time,
                .vma_start = middle,
                .start = middle,
                .end = target.address + size,
        };
        /* Until it has been there often enough: it needs its share of the CPU, too. */
        while (done < 300) {
                cr_assert_eq(injector_ask(fd, &request, &outcome), 0);
                if (outcome.error == 0) {
                        done++;
                        cr_assert(outcome.result == 0 || outcome.result == -EFAULT, "%d",
                                  outcome.result);
                } else
                        cr_assert(outcome.error == -ESTALE || outcome.error == -EAGAIN ||
                                          outcome.error == -ETIMEDOUT,
                                  "%s: %d", inject_step_name(outcome.step), outcome.error);
                if (outcome.flags & INJECT_FLAG_HELD) {
                        close(fd);
                        fd = injector_connect(&injector);
                }
        }
        cr_assert_eq(target_end(&target), 0);
        close(fd);
        injector_end(&injector);
}
