/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A watch in an event loop of the test's, a cgroup of this machine to watch, and what was heard. */

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/kernel/cgroup.h"
#include "daemon/watch.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

#define HEARD_MAX 65536u

/* Nothing here takes that long unless it fails. */
#define AWAIT_SEC 40

typedef struct Watched {
        sd_event *event;
        Watch *watch;
        int root_fd;
        char group[64]; /* "/daxtierd-test-4711-89abcdef" */
        WatchEvent *heard;
        size_t n_heard;
} Watched;

static inline void on_watch(const WatchEvent *event, void *userdata)
{
        Watched *watched = userdata;

        cr_assert_lt(watched->n_heard, HEARD_MAX);
        watched->heard[watched->n_heard++] = *event;
}

static inline void group_make(const Watched *watched, const char *below)
{
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s%s", watched->group + 1, below);
        cr_assert_eq(mkdirat(watched->root_fd, path, 0755), 0, "%s: %m", path);
}

/* The last process in it may still be on its way out. */
static inline void group_remove(const Watched *watched, const char *below)
{
        const time_t end = time(NULL) + AWAIT_SEC;
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s%s", watched->group + 1, below);
        while (unlinkat(watched->root_fd, path, AT_REMOVEDIR) < 0) {
                cr_assert_eq(errno, EBUSY, "%s: %m", path);
                cr_assert_leq(time(NULL), end, "%s is not empty", path);
                sched_yield();
        }
}

/* Skips the test where nothing can be watched, and says why. */
static inline Watched *watched_new(void)
{
        Watched *watched = calloc(1, sizeof(*watched));
        int r;

        cr_assert_not_null(watched);
        if (geteuid() != 0)
                cr_skip_test("only root may hear of other processes");
        if (cgroup_root_open(&watched->root_fd) < 0)
                cr_skip_test("no unified cgroup hierarchy is mounted here");
        watched->heard = calloc(HEARD_MAX, sizeof(*watched->heard));
        cr_assert_not_null(watched->heard);

        watched->group[0] = '/';
        unique_name(watched->group + 1, sizeof(watched->group) - 1);
        if (mkdirat(watched->root_fd, watched->group + 1, 0755) < 0)
                cr_skip_test("cgroups cannot be made here: %s", strerror(errno));
        group_remove(watched, "");

        cr_assert_geq(sd_event_new(&watched->event), 0);
        r = watch_new(watched->event, watched->root_fd, on_watch, watched, &watched->watch);
        if (r == -EACCES || r == -EPERM || r == -EOPNOTSUPP)
                cr_skip_test("no perf events here: %s", strerror(-r));
        cr_assert_eq(r, 0, "%s", strerror(-r));
        return watched;
}

static inline void watched_freep(Watched **watched)
{
        watch_free((*watched)->watch);
        sd_event_unref((*watched)->event);
        close((*watched)->root_fd);
        free((*watched)->heard);
        free(*watched);
}

static inline void watched_set(const Watched *watched, const char *below)
{
        char path[PATH_MAX];
        char *prefixes[] = { path };

        snprintf(path, sizeof(path), "%s%s", watched->group, below);
        cr_assert_eq(watch_set(watched->watch, prefixes, 1), 0);
}

static inline const WatchEvent *watched_find(const Watched *watched, size_t from,
                                             WatchEventKind kind, pid_t pid)
{
        for (size_t i = from; i < watched->n_heard; i++)
                if (watched->heard[i].kind == kind && watched->heard[i].pid == pid)
                        return &watched->heard[i];
        return NULL;
}

static inline size_t watched_count(const Watched *watched, WatchEventKind kind, pid_t pid)
{
        size_t n = 0;

        for (size_t i = 0; i < watched->n_heard; i++)
                n += watched->heard[i].kind == kind && watched->heard[i].pid == pid;
        return n;
}

/* Runs the event loop until this is heard. */
static inline const WatchEvent *watched_await(Watched *watched, WatchEventKind kind, pid_t pid)
{
        const time_t end = time(NULL) + AWAIT_SEC;

        for (size_t from = 0;;) {
                const WatchEvent *found = watched_find(watched, from, kind, pid);

                if (found)
                        return found;
                cr_assert_leq(time(NULL), end, "not heard: event %d of %d", (int)kind, pid);
                from = watched->n_heard;
                cr_assert_geq(sd_event_run(watched->event, 100000), 0);
        }
}

/* Runs what is due now. */
static inline void watched_settle(Watched *watched)
{
        for (;;) {
                int r = sd_event_run(watched->event, 0);

                cr_assert_geq(r, 0);
                if (r == 0)
                        return;
        }
}

/* Forks a process that enters the cgroup, does what it has to do, on one CPU so that this is heard in order,
 * and ends. "" is the group itself, NULL no cgroup of ours. */
static inline pid_t watched_fork(const Watched *watched, const char *below,
                                 void (*act)(const void *), const void *data)
{
        char path[PATH_MAX];
        cpu_set_t cpus;
        pid_t pid = fork();
        int fd;

        cr_assert_geq(pid, 0);
        if (pid > 0)
                return pid;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        CPU_ZERO(&cpus);
        CPU_SET(0, &cpus);
        sched_setaffinity(0, sizeof(cpus), &cpus);
        if (below) {
                snprintf(path, sizeof(path), "%s%s/cgroup.procs", watched->group + 1, below);
                fd = openat(watched->root_fd, path, O_WRONLY | O_CLOEXEC);
                if (fd < 0 || write(fd, "0", 1) != 1)
                        _exit(1);
        }
        if (act)
                act(data);
        _exit(0);
}

static inline void watched_reap(pid_t pid)
{
        int status;

        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, 0);
}

static inline size_t count_descriptors(void)
{
        DIR *dir = opendir("/proc/self/fd");
        size_t n = 0;

        cr_assert_not_null(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}
