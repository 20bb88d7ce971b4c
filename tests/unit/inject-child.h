/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Targets of injections, and injections as a service would do them: by a process of their own. */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/inject.h"
#include "daemon/kernel/maps.h"
#include "daemon/kernel/process.h"
#include "tests/unit/inject-target.h"

typedef struct Target {
        pid_t child; /* what we started */
        pid_t pid;   /* where calls are to run: usually the same */
        int process_fd;
        int in, out; /* its standard input and output */
        uint64_t address;
        const char *mode;
} Target;

static inline int inject_open_process(pid_t pid)
{
        int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1, r;

        r = process_open(proc_fd, pid, &fd);
        close(proc_fd);
        return r < 0 ? r : fd;
}

/* Starts @program (from the environment) in @mode; it may not be ready yet. */
static inline Target target_start_program(const char *program, const char *mode, const char *more)
{
        Target target = { .process_fd = -1, .mode = mode };
        int in[2], out[2];

        cr_assert_not_null(getenv(program), "run me through meson test");
        cr_assert_eq(pipe2(in, O_CLOEXEC), 0);
        cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
        target.child = target.pid = fork();
        cr_assert_geq(target.pid, 0);
        if (target.pid == 0) {
                /* A sequence of its own, for the mode that needs one. */
                setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", strcmp(mode, "rseq") == 0);
                dup2(in[0], STDIN_FILENO);
                dup2(out[1], STDOUT_FILENO);
                execl(getenv(program), program, mode, more, NULL);
                _exit(127);
        }

        close(in[0]);
        close(out[1]);
        target.in = in[1];
        target.out = out[0];
        target.process_fd = inject_open_process(target.pid);
        cr_assert_geq(target.process_fd, 0);
        return target;
}

static inline void target_await_ready(Target *target)
{
        char text[64];
        ssize_t n = read(target->out, text, sizeof(text) - 1);
        int status;

        if (n == 0 && waitpid(target->child, &status, 0) == target->child &&
            WEXITSTATUS(status) == TARGET_SKIPS)
                cr_skip_test("the target cannot do what it is for here: %s", target->mode);
        cr_assert_gt(n, 0, "the target could not set itself up");
        text[n] = '\0';
        cr_assert_eq(strncmp(text, "ready ", 6), 0);
        target->address = strtoull(text + 6, NULL, 16);
}

/* Until the kernel shows that state of the main thread. */
static inline void target_await_state(const Target *target, const char *states)
{
        char text[2048];
        const char *at;

        do {
                sched_yield();
                cr_assert_gt(attr_read(target->process_fd, "stat", text, sizeof(text)), 0);
                at = strrchr(text, ')');
        } while (!strchr(states, at[2]));
}

static inline Target target_new_of(const char *program, const char *mode)
{
        Target target = target_start_program(program, mode, NULL);

        target_await_ready(&target);
        return target;
}

static inline Target target_new(const char *mode)
{
        return target_new_of("INJECT_TARGET", mode);
}

static inline bool target_ends_by_signal(const char *mode)
{
        static const char *const modes[] = {
                "epoll-signal", "sigwait",   "sigsuspend", "pause",
                "spin",         "registers", "rseq",       "redirect"
        };

        for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
                if (strcmp(mode, modes[i]) == 0)
                        return true;
        return false;
}

/* Wakes it and asks whether all was as it should be. */
static inline int target_end(Target *target)
{
        int status = -1;

        if (target_ends_by_signal(target->mode))
                cr_assert_eq(kill(target->child, SIGUSR1), 0);
        else
                cr_assert_eq(write(target->in, "x", 1), 1);
        cr_assert_eq(waitpid(target->child, &status, 0), target->child);
        close(target->in);
        close(target->out);
        close(target->process_fd);
        return status;
}

static inline InjectRequest target_request(const Target *target)
{
        InjectRequest request = {
                .version = INJECT_VERSION,
                .pause_max_ns = UINT64_MAX,
                .target = { .pid = target->pid },
        };
        Mapping *mappings;
        size_t n;

        cr_assert_eq(process_start_time(target->process_fd, &request.target.start_time), 0);
        cr_assert_eq(maps_read(target->process_fd, &mappings, &n), 0);
        for (size_t i = 0; i < n; i++)
                if (mappings[i].start <= target->address && target->address < mappings[i].end) {
                        request.target.vma_start = mappings[i].start;
                        request.target.vma_offset = mappings[i].offset;
                        request.target.inode = mappings[i].inode;
                        request.target.dev_major = mappings[i].dev_major;
                        request.target.dev_minor = mappings[i].dev_minor;
                        request.target.start = mappings[i].start;
                        request.target.end = mappings[i].end;
                }
        cr_assert_neq(request.target.end, 0);
        mappings_free(mappings, n);
        nodeset_add(&request.nodes, 0);
        return request;
}

/* set_mempolicy() in one thread of it. */
static inline InjectRequest target_thread_request(const Target *target, pid_t tid)
{
        InjectRequest request = {
                .version = INJECT_VERSION,
                .call = INJECT_CALL_SET_MEMPOLICY,
                .pause_max_ns = UINT64_MAX,
                .target = { .pid = target->pid, .thread = tid },
        };

        cr_assert_eq(process_start_time(target->process_fd, &request.target.start_time), 0);
        nodeset_add(&request.nodes, 0);
        return request;
}

/* In a process of its own, which exits afterwards as inject_call() may want it to. */
static inline InjectOutcome inject_elsewhere(const InjectRequest *request)
{
        InjectOutcome outcome = {};
        int answer[2], status;
        pid_t pid;

        cr_assert_eq(pipe2(answer, O_CLOEXEC), 0);
        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                inject_call(request, &outcome);
                _exit(write(answer[1], &outcome, sizeof(outcome)) != sizeof(outcome));
        }

        close(answer[1]);
        cr_assert_eq(read(answer[0], &outcome, sizeof(outcome)), (ssize_t)sizeof(outcome));
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, 0);
        close(answer[0]);
        return outcome;
}

/* As its caller would: what the machine was too busy for is tried again. */
static inline InjectOutcome inject_until_done(const InjectRequest *request)
{
        InjectOutcome outcome = {};

        for (int i = 0; i < 50; i++) {
                outcome = inject_elsewhere(request);
                if (outcome.error != -ETIMEDOUT && outcome.error != -EAGAIN)
                        break;
        }
        return outcome;
}

/* What numa_maps says of the range. */
static inline VmaPolicy target_policy(const Target *target)
{
        Mapping mapping = {};
        VmaPolicy policy;

        cr_assert_eq(mapping_find(target->process_fd, target->address, &mapping), 0);
        policy = mapping.policy;
        mapping_deinit(&mapping);
        return policy;
}

#define assert_done(outcome)                                                                       \
        cr_assert((outcome).step == INJECT_DONE && (outcome).error == 0 &&                         \
                          (outcome).result == 0 && !((outcome).flags & INJECT_FLAG_HELD),          \
                  "%s: error %d, result %d, flags %x", inject_step_name((outcome).step),           \
                  (outcome).error, (outcome).result, (outcome).flags)

#define assert_refused(outcome, at_step, with_error)                                               \
        cr_assert((outcome).step == (at_step) && (outcome).error == (with_error),                  \
                  "%s: error %d, result %d", inject_step_name((outcome).step), (outcome).error,    \
                  (outcome).result)
