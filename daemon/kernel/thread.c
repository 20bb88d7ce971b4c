/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/thread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/injectarch.h"
#include "daemon/kernel/process.h"
#include "policy/macro.h"

/* "-1" or a number, six arguments, stack and instruction pointer. */
#define SYSCALL_TEXT_MAX 256u

#define STAT_TEXT_MAX 2048u

/* Names, masks and, on machines with many nodes and CPUs, lists of them. */
#define STATUS_TEXT_MAX 8192u

/* Of getdents64(): a number of up to ten digits. */
#define ENTRY_SIZE 32u

/* The letter behind the name, which is in brackets and may hold any byte. */
int thread_state(int process_fd, pid_t tid, char *ret_state)
{
        char path[32], text[STAT_TEXT_MAX];
        const char *at;
        int r;

        snprintf(path, sizeof(path), "task/%d/stat", tid);
        r = attr_read(process_fd, path, text, sizeof(text));
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;

        at = memrchr(text, ')', (size_t)r);
        if (!at || at[1] != ' ')
                return -EBADMSG;

        *ret_state = at[2];
        return 0;
}

/* "running", "-1 SP PC", or "NUMBER ARG… SP PC". */
int thread_call(int process_fd, pid_t tid, ThreadCall *ret_call)
{
        char path[32], text[SYSCALL_TEXT_MAX], *at, *end;
        ThreadCall call;
        uint64_t *const values[] = {
                &call.args[0], &call.args[1], &call.args[2], &call.args[3],
                &call.args[4], &call.args[5], &call.stack,   &call.instruction
        };
        int r;

        snprintf(path, sizeof(path), "task/%d/syscall", tid);
        r = attr_read(process_fd, path, text, sizeof(text));
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;

        call.number = strtol(text, &at, 10);
        if (at == text || call.number < 0)
                return -ENODATA;
        for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
                *values[i] = strtoull(at, &end, 16);
                if (end == at)
                        return -EBADMSG;
                at = end;
        }

        *ret_call = call;
        return 0;
}

/* A thread that sleeps: what it sleeps in tells whether a stop goes unnoticed. */
static ThreadFitness sleeper_fitness(int process_fd, pid_t tid)
{
        ThreadCall call;

        return thread_call(process_fd, tid, &call) < 0 ? THREAD_RUNS
                                                       : arch_call_fitness(call.number);
}

static ThreadFitness thread_fitness(int process_fd, pid_t tid, bool *alive)
{
        char state;

        if (thread_state(process_fd, tid, &state) < 0 || state == 'Z' || state == 'X')
                return THREAD_UNFIT;

        *alive = true;
        switch (state) {
        case 'S':
                return sleeper_fitness(process_fd, tid);
        case 'T': /* SIGSTOP */
                return THREAD_WAITS;
        case 'R':
        case 't': /* traced by somebody: PTRACE_SEIZE will say */
                return THREAD_RUNS;
        default:
                return THREAD_UNFIT;
        }
}

/* Names of threads, the first THREAD_LOOK_MAX or so. Not readdir(): the injector allocates nothing. */
static int list_threads(int process_fd, char *names, size_t size)
{
        _cleanup_(closep) int fd = openat(process_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        long n;

        n = fd < 0 ? -1 : syscall(SYS_getdents64, fd, names, size);
        return n < 0 ? process_result(process_fd, -errno) : (int)n;
}

int thread_choose(int process_fd, pid_t pid, pid_t *ret_tid)
{
        _Alignas(struct dirent64) char names[THREAD_LOOK_MAX * ENTRY_SIZE] = {};
        bool alive = false;
        ThreadFitness best = thread_fitness(process_fd, pid, &alive);
        pid_t tid = pid;
        int size = 0;

        if (best != THREAD_WAITS) {
                size = list_threads(process_fd, names, sizeof(names));
                if (size < 0)
                        return size;
        }

        for (int at = 0; best != THREAD_WAITS && at < size;) {
                const struct dirent64 *entry = (const struct dirent64 *)(names + at);
                pid_t other = (pid_t)strtol(entry->d_name, NULL, 10);
                ThreadFitness fitness = THREAD_UNFIT;

                at += entry->d_reclen;
                if (other > 0 && other != pid)
                        fitness = thread_fitness(process_fd, other, &alive);
                if (fitness < best) {
                        best = fitness;
                        tid = other;
                }
        }

        if (best == THREAD_UNFIT)
                return alive ? -EAGAIN : -ESRCH;

        *ret_tid = tid;
        return 0;
}

int thread_check(int process_fd, pid_t tid, bool insist)
{
        bool alive = false;
        ThreadFitness fitness = thread_fitness(process_fd, tid, &alive);

        if (!alive)
                return -ESRCH;

        return fitness == THREAD_UNFIT || (fitness == THREAD_DELICATE && !insist) ? -EAGAIN : 0;
}

int thread_status(int process_fd, pid_t tid, const char *field, uint64_t *ret_value)
{
        char path[32], text[STATUS_TEXT_MAX], *end;
        const char *at;
        unsigned long long value;
        int r;

        snprintf(path, sizeof(path), "task/%d/status", tid);
        r = attr_read(process_fd, path, text, sizeof(text));
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;

        /* The name, which is first, is escaped: a newline starts a field. */
        at = text;
        while ((at = strchr(at, '\n')) && strncmp(++at, field, strlen(field)) != 0)
                ;
        if (!at)
                return -EBADMSG;

        at += strlen(field);
        value = strtoull(at, &end, 10);
        if (end == at)
                return -EBADMSG;

        *ret_value = value;
        return 0;
}
