/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/directory.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "policy/macro.h"

int directory_open(int dir_fd, const char *path, DIR **ret_dir)
{
        _cleanup_(closep) int fd = -1;
        DIR *dir;

        fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        dir = fdopendir(fd);
        if (!dir)
                return -errno;

        TAKE_FD(fd);
        *ret_dir = dir;
        return 0;
}

bool name_is_numbered(const char *name, const char *prefix, uint64_t *ret_number)
{
        size_t length = strlen(prefix);
        unsigned long long number;
        char *end;

        if (strncmp(name, prefix, length) != 0 || !isdigit((unsigned char)name[length]))
                return false;

        errno = 0;
        number = strtoull(name + length, &end, 10);
        if (errno != 0 || *end != '\0')
                return false;

        *ret_number = number;
        return true;
}
