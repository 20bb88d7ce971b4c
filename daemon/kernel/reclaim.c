/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/reclaim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/directory.h"
#include "policy/macro.h"

#define TIERING_DIR "devices/virtual/memory_tiering"

/* The kernel takes so many ranges at once (UIO_MAXIOV). */
#define RANGES_MAX ((size_t)1024)

/* /proc/swaps: a line for each area, with its path. */
#define SWAPS_MAX ((size_t)256 * 1024)

int reclaim_drain(void)
{
        const size_t length = (size_t)sysconf(_SC_PAGESIZE);
        void *page;
        int r;

        page = mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
                return -errno;

        /* Whoever is about to move pages, even none, has these lists emptied and kept empty. */
        r = syscall(SYS_mbind, page, length, MPOL_DEFAULT, NULL, 0UL, MPOL_MF_MOVE) < 0 ? -errno
                                                                                        : 0;
        munmap(page, length);
        return r;
}

int reclaim_mark_cold(int pidfd, const PageRun *runs, size_t n_runs)
{
        struct iovec ranges[RANGES_MAX];

        for (size_t done = 0; done < n_runs;) {
                size_t n = 0;

                for (; n < RANGES_MAX && done + n < n_runs; n++)
                        ranges[n] = (struct iovec){
                                .iov_base = (void *)(uintptr_t)runs[done + n].start,
                                .iov_len = runs[done + n].end - runs[done + n].start,
                        };

                /* One that is not mapped any more ends it early, and is no loss. */
                if (syscall(SYS_process_madvise, pidfd, ranges, n, MADV_COLD, 0UL) < 0 &&
                    errno != ENOMEM && errno != EINVAL)
                        return -errno;
                done += n;
        }

        return 0;
}

/* Paths of cgroups begin with a slash. */
static int open_cgroup(int cgroup_fd, const char *path, int *ret_fd)
{
        int fd;

        if (path[0] != '/')
                return -EINVAL;
        fd = openat(cgroup_fd, path[1] != '\0' ? path + 1 : ".",
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        *ret_fd = fd;
        return 0;
}

/* Only there to make a system call return. */
static void alarm_ring(int signal_number)
{
}

/* Like attr_write(), for a file whose write ends at a signal. */
static int write_in_time(int dir_fd, const char *path, const char *text, unsigned milliseconds)
{
        const struct timeval step = { .tv_sec = milliseconds / 1000,
                                      .tv_usec = (suseconds_t)(milliseconds % 1000) * 1000 };
        /* Rings again and again: the first time could be before the write. */
        const struct itimerval timer = { .it_value = step, .it_interval = step }, off = {};
        const struct sigaction ring = { .sa_handler = alarm_ring }; /* without SA_RESTART */
        struct sigaction old_action;
        sigset_t mask, old_mask;
        int r;

        sigemptyset(&mask);
        sigaddset(&mask, SIGALRM);
        if (sigaction(SIGALRM, &ring, &old_action) < 0)
                return -errno;
        sigprocmask(SIG_UNBLOCK, &mask, &old_mask);
        setitimer(ITIMER_REAL, &timer, NULL);

        r = attr_write(dir_fd, path, text);

        setitimer(ITIMER_REAL, &off, NULL);
        sigprocmask(SIG_SETMASK, &old_mask, NULL);
        sigaction(SIGALRM, &old_action, NULL);
        return r;
}

static int request(int cgroup_fd, const char *memory_cgroup, uint64_t bytes, const char *option,
                   unsigned milliseconds)
{
        _cleanup_(closep) int fd = -1;
        char text[48];
        int r;

        r = open_cgroup(cgroup_fd, memory_cgroup, &fd);
        if (r < 0)
                return r;

        snprintf(text, sizeof(text), "%" PRIu64 "%s", bytes, option);
        r = write_in_time(fd, "memory.reclaim", text, milliseconds);
        return r == -ENOENT ? -EOPNOTSUPP : r == -EINTR ? -ETIME : r;
}

int reclaim_request(int cgroup_fd, const char *memory_cgroup, uint64_t bytes, unsigned milliseconds)
{
        return request(cgroup_fd, memory_cgroup, bytes, "", milliseconds);
}

int reclaim_request_anonymous(int cgroup_fd, const char *memory_cgroup, uint64_t bytes,
                              unsigned milliseconds)
{
        /* What a kernel does not know it refuses at once. */
        static const char *const options[] = { " swappiness=max", " swappiness=200", "" };
        int r = -EINVAL;

        for (size_t i = 0; r == -EINVAL && i < ARRAY_SIZE(options); i++)
                r = request(cgroup_fd, memory_cgroup, bytes, options[i], milliseconds);
        return r;
}

/* The first line of /proc/swaps is its head. */
static int has_swap(int proc_fd, bool *ret_has)
{
        _cleanup_(freep) char *text = NULL;
        const char *line;
        size_t size;
        int r;

        r = attr_read_all(proc_fd, "swaps", SWAPS_MAX, &text, &size);
        if (r == -ENOENT) { /* a kernel without swap */
                *ret_has = false;
                return 0;
        }
        if (r < 0)
                return r;

        line = strchr(text, '\n');
        *ret_has = line && line[1] != '\0';
        return 0;
}

int reclaim_may_swap(int proc_fd, int cgroup_fd, const char *memory_cgroup, bool *ret_may)
{
        _cleanup_(closep) int fd = -1;
        char text[32];
        bool may = false;
        int r;

        r = has_swap(proc_fd, &may);
        if (r < 0)
                return r;
        if (!may) {
                *ret_may = false;
                return 0;
        }

        r = open_cgroup(cgroup_fd, memory_cgroup, &fd);
        if (r < 0)
                return r;
        r = attr_read(fd, "memory.swap.max", text, sizeof(text));
        if (r < 0 && r != -ENOENT)
                return r;

        *ret_may = r < 0 || strcmp(text, "0") != 0;
        return 0;
}

/* memory_tier4/nodelist: a higher number is a lower, slower tier. */
static int read_tiers(int sys_fd, uint64_t ret_tiers[static NODESET_MAX])
{
        _cleanup_(closedirp) DIR *dir = NULL;
        int r;

        r = directory_open(sys_fd, TIERING_DIR, &dir);
        if (r < 0)
                return r == -ENOENT ? -EOPNOTSUPP : r;

        memset(ret_tiers, 0xff, NODESET_MAX * sizeof(ret_tiers[0]));
        for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
                char path[300], text[NODESET_TEXT_MAX];
                NodeSet nodes;
                uint64_t tier;

                if (!name_is_numbered(entry->d_name, "memory_tier", &tier))
                        continue;
                snprintf(path, sizeof(path), "%s/nodelist", entry->d_name);
                r = attr_read(dirfd(dir), path, text, sizeof(text));
                if (r >= 0)
                        r = nodeset_parse(text, &nodes);
                if (r == -ENOENT) /* its last node has just gone */
                        continue;
                if (r < 0)
                        return r;
                for (int n = nodeset_next(&nodes, 0); n >= 0;
                     n = nodeset_next(&nodes, (unsigned)n + 1))
                        ret_tiers[n] = tier;
        }
        return 0;
}

int reclaim_goes_to(int sys_fd, unsigned from, const NodeSet *nodes, bool *ret_goes)
{
        uint64_t tiers[NODESET_MAX];
        bool goes = from < NODESET_MAX;
        int r;

        r = read_tiers(sys_fd, tiers);
        if (r < 0)
                return r;

        for (int n = nodeset_next(nodes, 0); goes && n >= 0;
             n = nodeset_next(nodes, (unsigned)n + 1))
                goes = tiers[from] != UINT64_MAX && tiers[n] != UINT64_MAX &&
                       tiers[n] > tiers[from];

        *ret_goes = goes;
        return 0;
}
