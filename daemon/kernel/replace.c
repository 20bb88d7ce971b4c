/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "policy/macro.h"

static int file_fill(int dir_fd, const char *path, const char *text, mode_t mode)
{
        _cleanup_(closep) int fd = -1;
        size_t length = strlen(text);

        fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd < 0)
                return -errno;

        /* Whatever the umask, and whatever a left-over file of this name had. */
        if (fchmod(fd, mode) < 0)
                return -errno;

        while (length > 0) {
                ssize_t n = TEMP_FAILURE_RETRY(write(fd, text, length));

                if (n < 0)
                        return -errno;
                text += n;
                length -= (size_t)n;
        }

        return 0;
}

int file_replace(int dir_fd, const char *path, const char *text, mode_t mode)
{
        char beside[PATH_MAX];
        int r;

        if ((size_t)snprintf(beside, sizeof(beside), "%s.new", path) >= sizeof(beside))
                return -ENAMETOOLONG;

        r = file_fill(dir_fd, beside, text, mode);
        if (r >= 0 && renameat(dir_fd, beside, dir_fd, path) < 0)
                r = -errno;
        if (r < 0)
                unlinkat(dir_fd, beside, 0);
        return r;
}
