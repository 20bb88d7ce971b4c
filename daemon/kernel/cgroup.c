/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/cgroup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/lines.h"
#include "daemon/kernel/process.h"
#include "policy/macro.h"

/* A line for each hierarchy of version 1 and one path, which can be as long as the kernel's buffer
 * for it, PATH_MAX. */
#define PROCESS_CGROUP_MAX 65536u

/* What the kernel appends to the path of a cgroup that was removed. */
#define DELETED " (deleted)"

/* As many digits as a pid has, and the newline. */
#define PID_LINE_MAX 8u

int cgroup_root_open(int *ret_fd)
{
        static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

        for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
                _cleanup_(closep) int fd = -1;
                struct statfs fs;

                fd = open(mounts[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd < 0 && errno == ENOENT)
                        continue;
                if (fd < 0 || fstatfs(fd, &fs) < 0)
                        return -errno;
                if (fs.f_type == CGROUP2_SUPER_MAGIC) {
                        *ret_fd = TAKE_FD(fd);
                        return 0;
                }
        }

        return -EOPNOTSUPP;
}

/* Whether this can only lead downward. */
static bool path_is_valid(const char *path)
{
        if (path[0] != '/')
                return false;

        for (const char *at = path; at; at = strchr(at + 1, '/'))
                if (strncmp(at, "/..", 3) == 0 && (at[3] == '/' || at[3] == '\0'))
                        return false;
        return true;
}

/* As openat() wants it, below the root. */
static const char *path_relative(const char *path)
{
        while (*path == '/')
                path++;
        return *path ? path : ".";
}

int cgroup_open(int root_fd, const char *path, int *ret_fd)
{
        int fd;

        if (!path_is_valid(path))
                return -EINVAL;

        fd = openat(root_fd, path_relative(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return errno == ENODEV || errno == ENOTDIR ? -ENOENT : -errno;

        *ret_fd = fd;
        return 0;
}

int cgroup_of_process(int process_fd, char **ret_path)
{
        _cleanup_(freep) char *text = NULL, *path = NULL;
        char *line, *end;
        size_t size, length;
        int r;

        r = attr_read_all(process_fd, "cgroup", PROCESS_CGROUP_MAX, &text, &size);
        if (r < 0)
                return process_result(process_fd, r);

        /* No cgroup has a newline in its name: the kernel refuses that for the sake of this file. */
        line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
        if (!line)
                return -ENODATA;
        line = strchr(line, '/');
        if (!line)
                return -ENODATA;
        end = strchrnul(line, '\n');
        *end = '\0';

        length = (size_t)(end - line);
        if (length > strlen(DELETED) && strcmp(end - strlen(DELETED), DELETED) == 0)
                line[length - strlen(DELETED)] = '\0';

        path = strdup(line);
        if (!path)
                return -ENOMEM;

        *ret_path = TAKE_PTR(path);
        return 0;
}

static int pids_add(pid_t pid, pid_t **pids, size_t *n)
{
        pid_t *larger;

        if (*n >= CGROUP_PROCESSES_MAX)
                return -E2BIG;

        /* Doubling whenever the count is a power of two. */
        if ((*n & (*n - 1)) == 0) {
                larger = reallocarray(*pids, *n > 0 ? *n * 2 : 1, sizeof(*larger));
                if (!larger)
                        return -ENOMEM;
                *pids = larger;
        }
        (*pids)[(*n)++] = pid;
        return 0;
}

int cgroup_processes(int cgroup_fd, pid_t **ret_pids, size_t *ret_n_pids)
{
        _cleanup_(lines_close) Lines lines = LINES_NONE;
        _cleanup_(freep) pid_t *pids = NULL;
        size_t n = 0;
        char *line;
        int r;

        r = lines_open(cgroup_fd, "cgroup.procs",
                       (uint64_t)CGROUP_PROCESSES_MAX * (PID_LINE_MAX + 1), &lines);
        if (r < 0)
                return r == -ENODEV ? -ENOENT : r;

        for (;;) {
                unsigned long pid;
                char *end;

                r = lines_next(&lines, &line);
                /* A threaded cgroup refuses: its members are threads. */
                if (r == -EOPNOTSUPP)
                        break;
                if (r < 0)
                        return r == -ENODEV ? -ENOENT : r;
                if (!line)
                        break;

                errno = 0;
                pid = strtoul(line, &end, 10);
                if (errno != 0 || end == line || *end != '\0' || pid > INT32_MAX)
                        return -EBADMSG;
                /* 0: in a pid namespace beside ours. */
                r = pid > 0 ? pids_add((pid_t)pid, &pids, &n) : 0;
                if (r < 0)
                        return r;
        }

        *ret_pids = TAKE_PTR(pids);
        *ret_n_pids = n;
        return 0;
}
