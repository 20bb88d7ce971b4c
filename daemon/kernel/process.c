/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/kernel/attr.h"
#include "policy/macro.h"

/* Fifty-two numbers and a name. */
#define STAT_MAX 2048u

/* Names, masks and, on machines with many nodes and CPUs, lists of them. */
#define STATUS_MAX 16384u

#define DELETED " (deleted)"

/* Fields of stat, counted as in proc(5). */
#define STAT_FLAGS      9u
#define STAT_START_TIME 22u

/* In the flags of stat: a kernel thread, which has no memory of its own. */
#define FLAG_KERNEL_THREAD UINT64_C(0x00200000)

int process_result(int process_fd, int result)
{
        if (result == -ESRCH)
                return -ESRCH;
        /* Of a process that is gone nothing can be looked up; of a living one a file may be missing
         * because the kernel was built without it. */
        if (result == -ENOENT && faccessat(process_fd, "stat", F_OK, 0) < 0)
                return -ESRCH;

        return result;
}

int process_open(int proc_fd, pid_t pid, int *ret_process_fd)
{
        char name[16];
        int fd;

        if (pid < 0)
                return -ESRCH;

        snprintf(name, sizeof(name), pid == 0 ? "self" : "%d", pid);
        fd = openat(proc_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -ESRCH : -errno;

        *ret_process_fd = fd;
        return 0;
}

/* A number of stat behind the name, which is in brackets and may hold any byte, brackets too. */
static int read_stat_field(int process_fd, unsigned field, uint64_t *ret_value)
{
        char text[STAT_MAX], *end;
        const char *at;
        unsigned long long value;
        int r;

        r = attr_read(process_fd, "stat", text, sizeof(text));
        if (r < 0)
                return process_result(process_fd, r);

        at = memrchr(text, ')', (size_t)r);
        for (unsigned i = 2; at && i < field; i++) {
                at = strchr(at, ' ');
                if (at)
                        at++;
        }
        if (!at)
                return -EBADMSG;

        errno = 0;
        value = strtoull(at, &end, 10);
        if (errno != 0 || end == at)
                return -EBADMSG;

        *ret_value = value;
        return 0;
}

int process_start_time(int process_fd, uint64_t *ret_ticks)
{
        return read_stat_field(process_fd, STAT_START_TIME, ret_ticks);
}

int process_name(int process_fd, char *name, size_t size)
{
        int r;

        r = attr_read(process_fd, "comm", name, size);
        return r < 0 ? process_result(process_fd, r) : 0;
}

int process_user(int process_fd, uint32_t *ret_uid)
{
        char text[STATUS_MAX];
        const char *line;
        int r;

        r = attr_read(process_fd, "status", text, sizeof(text));
        if (r < 0)
                return process_result(process_fd, r);

        /* The name, which is first, is escaped: a newline begins a field. */
        line = strstr(text, "\nUid:\t");
        if (!line || sscanf(line, "\nUid:\t%*u\t%" SCNu32, ret_uid) != 1)
                return -EBADMSG;
        return 0;
}

int process_executable(int process_fd, char **ret_path)
{
        char path[PATH_MAX];
        char *copy;
        ssize_t n;

        n = readlinkat(process_fd, "exe", path, sizeof(path));
        if (n < 0)
                return process_result(process_fd, -errno);
        if ((size_t)n == sizeof(path))
                return -ENAMETOOLONG;

        if ((size_t)n > strlen(DELETED) &&
            memcmp(path + n - strlen(DELETED), DELETED, strlen(DELETED)) == 0)
                n -= (ssize_t)strlen(DELETED);
        copy = strndup(path, (size_t)n);
        if (!copy)
                return -ENOMEM;

        *ret_path = copy;
        return 0;
}

int process_without_memory(int process_fd)
{
        uint64_t flags;
        int r;

        r = read_stat_field(process_fd, STAT_FLAGS, &flags);
        if (r < 0)
                return r;

        return flags & FLAG_KERNEL_THREAD ? 0 : -ESRCH;
}

bool process_is_caller(int process_fd)
{
        struct stat ours, theirs;

        /* An open directory of proc keeps its inode. */
        return stat("/proc/self", &ours) == 0 && fstat(process_fd, &theirs) == 0 &&
               ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}
