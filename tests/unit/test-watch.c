/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "tests/unit/watched.h"

#define MAP_LENGTH 65536u

static int file_make(const Scratch *scratch)
{
        int fd = openat(scratch->fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

        cr_assert_geq(fd, 0);
        cr_assert_eq(ftruncate(fd, MAP_LENGTH), 0);
        return fd;
}

static void *map(int fd, int flags)
{
        void *address = mmap(NULL, MAP_LENGTH, PROT_READ | PROT_WRITE, flags, fd, 0);

        if (address == MAP_FAILED)
                _exit(1);
        return address;
}

/* A private mapping between two that are not. */
static void map_three(const void *data)
{
        int fd = *(const int *)data;

        map(fd, MAP_SHARED);
        map(fd, MAP_PRIVATE);
        map(-1, MAP_PRIVATE | MAP_ANONYMOUS);
}

static void map_once(const void *data)
{
        map(*(const int *)data, MAP_PRIVATE);
}

static uint64_t now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

Test(watch, a_private_file_mapping_is_heard_and_no_other)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int fd = file_make(&scratch);
        _cleanup_(watched_freep) Watched *watched = watched_new();
        const uint64_t before = now_ns();
        const WatchEvent *event;
        struct stat st;
        pid_t pid;

        group_make(watched, "");
        watched_set(watched, "");
        pid = watched_fork(watched, "", map_three, &fd);
        watched_await(watched, WATCH_EXIT, pid);
        watched_reap(pid);

        cr_assert_eq(fstat(fd, &st), 0);
        event = watched_find(watched, 0, WATCH_MAP, pid);
        cr_assert_not_null(event);
        cr_assert_eq(event->inode, st.st_ino);
        cr_assert_eq(event->length, MAP_LENGTH);
        cr_assert_eq(event->offset, 0);
        cr_assert_eq(event->prot, PROT_READ | PROT_WRITE);
        cr_assert(event->private);
        cr_assert_not(event->anonymous);
        cr_assert_geq(event->time_ns, before);
        cr_assert_leq(event->time_ns, now_ns());
        cr_assert_eq(watched_count(watched, WATCH_MAP, pid), 1);

        watched->n_heard = 0;
        watch_set_anonymous(watched->watch, true);
        pid = watched_fork(watched, "", map_three, &fd);
        watched_await(watched, WATCH_EXIT, pid);
        watched_reap(pid);
        cr_assert_eq(watched_count(watched, WATCH_MAP, pid), 2);
        cr_assert(watched->heard[watched->n_heard - 2].anonymous);
        group_remove(watched, "");
}

Test(watch, what_is_elsewhere_wakes_nobody)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int fd = file_make(&scratch);
        _cleanup_(watched_freep) Watched *watched = watched_new();

        group_make(watched, "");
        group_make(watched, "/middle");
        group_make(watched, "/middle/inside");
        watched_set(watched, "/middle/inside");
        watched_settle(watched);
        watched->n_heard = 0;

        /* Outside, above, and cgroups that come and go there. */
        watched_reap(watched_fork(watched, NULL, map_once, &fd));
        watched_reap(watched_fork(watched, "/middle", map_once, &fd));
        group_make(watched, "/other");
        group_remove(watched, "/other");
        cr_assert_eq(sd_event_run(watched->event, 300000), 0, "the loop woke up");
        cr_assert_eq(watched->n_heard, 0);

        watched_reap(watched_fork(watched, "/middle/inside", map_once, &fd));
        cr_assert_gt(sd_event_run(watched->event, 10000000), 0);
        group_remove(watched, "/middle/inside");
        group_remove(watched, "/middle");
        group_remove(watched, "");
}

Test(watch, ten_thousand_cgroups_cost_no_descriptor)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int fd = file_make(&scratch);
        _cleanup_(watched_freep) Watched *watched = watched_new();
        size_t n_descriptors;
        char name[32];
        pid_t pid;

        group_make(watched, "");
        watched_set(watched, "");
        watched_settle(watched);
        n_descriptors = count_descriptors();

        for (unsigned i = 0; i < 10000; i++) {
                snprintf(name, sizeof(name), "/%u", i);
                group_make(watched, name);
        }
        watched_settle(watched);
        pid = watched_fork(watched, "/9999", map_once, &fd);
        watched_await(watched, WATCH_MAP, pid);
        watched_reap(pid);
        cr_assert_eq(watch_refresh(watched->watch), 0);
        cr_assert_eq(count_descriptors(), n_descriptors);

        for (unsigned i = 0; i < 10000; i++) {
                snprintf(name, sizeof(name), "/%u", i);
                group_remove(watched, name);
        }
        group_remove(watched, "");
}

/* The cgroup is made level by level, removed, and made again. */
Test(watch, a_cgroup_that_comes_later_is_heard_each_time)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int fd = file_make(&scratch);
        _cleanup_(watched_freep) Watched *watched = watched_new();
        size_t n_descriptors;

        watched_set(watched, "/a/b");
        watched_settle(watched);
        cr_assert_eq(watched->n_heard, 0);
        n_descriptors = count_descriptors();

        for (unsigned i = 0; i < 3; i++) {
                pid_t pid;

                watched->n_heard = 0;
                group_make(watched, "");
                group_make(watched, "/a");
                if (i == 1)
                        watched_settle(watched); /* level by level, or all at once */
                group_make(watched, "/a/b");
                watched_await(watched, WATCH_CGROUPS, 0);

                pid = watched_fork(watched, "/a/b", map_once, &fd);
                watched_await(watched, WATCH_MAP, pid);
                watched_await(watched, WATCH_EXIT, pid);
                watched_reap(pid);

                group_remove(watched, "/a/b");
                if (i == 1)
                        watched_settle(watched);
                group_remove(watched, "/a");
                group_remove(watched, "");
        }
        watched_settle(watched);
        cr_assert_eq(count_descriptors(), n_descriptors, "what is gone is let go");
}

Test(watch, a_cgroup_in_the_place_of_another_is_heard)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int fd = file_make(&scratch);
        _cleanup_(watched_freep) Watched *watched = watched_new();
        pid_t pid;

        group_make(watched, "");
        watched_set(watched, "");
        watched_settle(watched);
        watched->n_heard = 0;

        group_remove(watched, "");
        group_make(watched, "");
        watched_await(watched, WATCH_CGROUPS, 0);
        pid = watched_fork(watched, "", map_once, &fd);
        watched_await(watched, WATCH_MAP, pid);
        watched_reap(pid);
        group_remove(watched, "");
}

static void *do_nothing(void *data)
{
        return NULL;
}

static void start_threads(const void *data)
{
        pthread_t thread;

        for (unsigned i = 0; i < 5; i++)
                if (pthread_create(&thread, NULL, do_nothing, NULL) != 0 ||
                    pthread_join(thread, NULL) != 0)
                        _exit(1);
}

static void fork_once(const void *data)
{
        pid_t pid = fork();

        if (pid == 0)
                _exit(0);
        if (pid < 0 || waitpid(pid, NULL, 0) != pid)
                _exit(1);
}

static void execute(const void *data)
{
        execl("/bin/true", "true", NULL);
}

Test(watch, processes_are_heard_and_threads_are_not)
{
        _cleanup_(watched_freep) Watched *watched = watched_new();
        const WatchEvent *event;
        pid_t pid;

        group_make(watched, "");
        watched_set(watched, "");

        pid = watched_fork(watched, "", start_threads, NULL);
        watched_await(watched, WATCH_EXIT, pid);
        watched_reap(pid);
        cr_assert_eq(watched_count(watched, WATCH_EXIT, pid), 1);
        for (size_t i = 0; i < watched->n_heard; i++)
                cr_assert_neq(watched->heard[i].kind, WATCH_FORK);

        watched->n_heard = 0;
        pid = watched_fork(watched, "", fork_once, NULL);
        watched_await(watched, WATCH_EXIT, pid);
        watched_reap(pid);
        event = watched->heard;
        while (event < watched->heard + watched->n_heard && event->kind != WATCH_FORK)
                event++;
        cr_assert_lt(event, watched->heard + watched->n_heard);
        cr_assert_eq(event->parent, pid);
        cr_assert_neq(event->pid, pid);
        watched_await(watched, WATCH_EXIT, event->pid);

        watched->n_heard = 0;
        pid = watched_fork(watched, "", execute, NULL);
        watched_await(watched, WATCH_EXIT, pid);
        watched_reap(pid);
        event = watched_find(watched, 0, WATCH_EXEC, pid);
        cr_assert_not_null(event);
        cr_assert_not_null(watched_find(watched, (size_t)(event - watched->heard), WATCH_MAP, pid),
                           "the program's own mappings come after the exec");
        group_remove(watched, "");
}

#define FLOOD 20000u

static void flood(const void *data)
{
        for (unsigned i = 0; i < FLOOD; i++)
                munmap(map(*(const int *)data, MAP_PRIVATE), MAP_LENGTH);
}

/* Always due, as a busy bus would be. */
static int on_other(sd_event_source *source, uint64_t usec, void *userdata)
{
        Watched *watched = userdata;

        watched->n_heard = 0;
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* Nothing happens after the flood: that some of it is missing has to be known without. */
Test(watch, a_flood_is_told_to_be_one_and_lets_others_through)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int fd = file_make(&scratch);
        _cleanup_(watched_freep) Watched *watched = watched_new();
        sd_event_source *other = NULL;
        size_t n_turns = 0;
        pid_t pid;

        group_make(watched, "");
        watched_set(watched, "");
        watched_settle(watched);
        watched->n_heard = 0;
        watched_reap(watched_fork(watched, "", flood, &fd));

        cr_assert_geq(
                sd_event_add_time(watched->event, &other, CLOCK_MONOTONIC, 0, 1, on_other, watched),
                0);
        while (!watched_find(watched, 0, WATCH_LOST, 0)) {
                cr_assert_gt(sd_event_run(watched->event, AWAIT_SEC * 1000000u), 0);
                cr_assert_lt(++n_turns, 1000);
        }
        cr_assert_lt(watched->n_heard, 1000, "the others had to wait for the flood's end");
        sd_event_source_disable_unref(other);
        watched_settle(watched);

        /* And it is over: what comes now is heard as ever. */
        watched->n_heard = 0;
        pid = watched_fork(watched, "", map_once, &fd);
        watched_await(watched, WATCH_MAP, pid);
        watched_reap(pid);
        group_remove(watched, "");
}

/* To be told of each record at once would be felt by those who make them. Without the quiet ring there are many more
 * turns, if the machine has two CPUs to spare; with it never so many. */
Test(watch, a_flood_that_goes_on_wakes_nobody_for_each)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int fd = file_make(&scratch);
        _cleanup_(watched_freep) Watched *watched = watched_new();
        const time_t end = time(NULL) + AWAIT_SEC;
        size_t n_turns = 0, n_maps = 0;
        pid_t pid;

        group_make(watched, "");
        watched_set(watched, "");
        watched_settle(watched);
        watched->n_heard = 0;
        pid = watched_fork(watched, "", flood, &fd);
        while (!watched_find(watched, 0, WATCH_EXIT, pid)) {
                cr_assert_leq(time(NULL), end);
                n_maps += watched_count(watched, WATCH_MAP, pid);
                watched->n_heard = 0;
                n_turns += sd_event_run(watched->event, AWAIT_SEC * 1000000u) > 0;
        }
        watched_reap(pid);
        cr_log_info("%zu maps in %zu turns", n_maps, n_turns);
        cr_assert_lt(n_turns, FLOOD / 10);

        /* Once it is over nobody looks any more, and each is told at once again. */
        while (sd_event_run(watched->event, 300000) > 0)
                cr_assert_leq(time(NULL), end, "there is no end to it");
        pid = watched_fork(watched, "", map_once, &fd);
        watched_await(watched, WATCH_MAP, pid);
        watched_reap(pid);
        group_remove(watched, "");
}

/* More than a ring holds, in rounds that begin when the one before was heard. */
#define ROUND    500u
#define N_ROUNDS 10u

typedef struct Trickle {
        int fd;
        int go[2];
} Trickle;

static void trickle(const void *data)
{
        const Trickle *rounds = data;
        char byte;

        for (unsigned i = 0; i < N_ROUNDS * ROUND; i++) {
                if (i % ROUND == 0 && read(rounds->go[0], &byte, 1) != 1)
                        _exit(1);
                munmap(map(rounds->fd, MAP_PRIVATE), MAP_LENGTH);
        }
}

Test(watch, a_reload_misses_nothing_of_what_stays)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int fd = file_make(&scratch);
        _cleanup_(watched_freep) Watched *watched = watched_new();
        char below[PATH_MAX], beside[PATH_MAX];
        char *const two[] = { watched->group, beside }, *const covered[] = { below,
                                                                             watched->group };
        char *const invalid[] = { watched->group, below + 1 };
        Trickle rounds = { .fd = fd };
        size_t n_descriptors;
        unsigned n = 0;
        pid_t pid;

        snprintf(below, sizeof(below), "%s/below", watched->group);
        snprintf(beside, sizeof(beside), "%s-beside", watched->group);
        group_make(watched, "");
        group_make(watched, "/below");
        watched_set(watched, "");
        n_descriptors = count_descriptors();
        cr_assert_eq(watch_set(watched->watch, covered, 2), 0);
        cr_assert_eq(count_descriptors(), n_descriptors, "it is covered by the other");
        cr_assert_eq(watch_set(watched->watch, invalid, 2), -EINVAL);
        watched_settle(watched);
        watched->n_heard = 0;

        cr_assert_eq(pipe(rounds.go), 0);
        pid = watched_fork(watched, "/below", trickle, &rounds);
        for (unsigned round = 1; round <= N_ROUNDS; round++) {
                cr_assert_eq(write(rounds.go[1], "", 1), 1);
                while (watched_count(watched, WATCH_MAP, pid) < round * ROUND) {
                        cr_assert_eq(n % 2 ? watch_set(watched->watch, two, 2)
                                           : watch_set(watched->watch, covered, 2),
                                     0);
                        cr_assert_geq(sd_event_run(watched->event, 1000), 0);
                        cr_assert_lt(++n, 100000, "some were missed");
                }
        }
        watched_await(watched, WATCH_EXIT, pid);
        watched_reap(pid);
        cr_assert_null(watched_find(watched, 0, WATCH_LOST, 0));
        /* What comes while a flood begins or ends may be told twice. */
        cr_assert_geq(watched_count(watched, WATCH_MAP, pid), N_ROUNDS * ROUND);

        /* Nothing wanted, nothing heard. */
        cr_assert_eq(watch_set(watched->watch, NULL, 0), 0);
        watched_settle(watched);
        watched->n_heard = 0;
        watched_reap(watched_fork(watched, "", map_once, &fd));
        watched_settle(watched);
        cr_assert_eq(watched->n_heard, 0);
        group_remove(watched, "/below");
        group_remove(watched, "");
}

/* One policy for what cannot be must not cost the others their watch. */
Test(watch, a_cgroup_that_can_never_be_is_waited_for)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int fd = file_make(&scratch);
        _cleanup_(watched_freep) Watched *watched = watched_new();
        char deep[2048] = "", long_name[512] = "/";
        char *const prefixes[] = { deep, long_name, watched->group };
        pid_t pid;

        for (unsigned i = 0; i < 1000; i++)
                strcat(deep, "/d");
        memset(long_name + 1, 'x', sizeof(long_name) - 2);
        group_make(watched, "");
        cr_assert_eq(watch_set(watched->watch, prefixes, ARRAY_SIZE(prefixes)), 0);
        pid = watched_fork(watched, "", map_once, &fd);
        watched_await(watched, WATCH_MAP, pid);
        watched_reap(pid);
        group_remove(watched, "");
}

/* The rest of the machine is heard, too, and may be loud enough for records to be lost: try again. */
Test(watch, the_root_is_all)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int fd = file_make(&scratch);
        _cleanup_(watched_freep) Watched *watched = watched_new();
        char root[] = "/";
        char *const prefixes[] = { watched->group, root };
        bool heard = false;

        cr_assert_eq(watch_set(watched->watch, prefixes, 2), 0);
        for (unsigned i = 0; i < 10 && !heard; i++) {
                pid_t pid = watched_fork(watched, NULL, map_once, &fd);

                watched_reap(pid);
                watched->n_heard = 0;
                for (unsigned j = 0; j < 100 && !heard; j++) {
                        cr_assert_geq(sd_event_run(watched->event, 10000), 0);
                        heard = watched_find(watched, 0, WATCH_MAP, pid);
                }
        }
        cr_assert(heard);
}
