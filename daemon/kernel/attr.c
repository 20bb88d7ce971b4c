/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/attr.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/macro.h"

/* Where attr_read_all() starts: most files of procfs answer with at most a page a read. */
#define READ_ALL_INITIAL 8192u

/* Fills @text until it is full or the file ends. Returns the bytes read. */
static ssize_t read_up_to(int fd, char *text, size_t size)
{
        size_t used = 0;

        while (used < size) {
                ssize_t n = TEMP_FAILURE_RETRY(read(fd, text + used, size - used));

                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                used += (size_t)n;
        }

        return (ssize_t)used;
}

int attr_read(int dir_fd, const char *path, char *text, size_t size)
{
        _cleanup_(closep) int fd = -1;
        ssize_t length;

        fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        length = read_up_to(fd, text, size);
        if (length < 0)
                return (int)length;
        if ((size_t)length >= size)
                return -E2BIG;

        if (length > 0 && text[length - 1] == '\n')
                length--;
        text[length] = '\0';

        return (int)length;
}

int attr_read_u64(int dir_fd, const char *path, uint64_t *ret_value)
{
        char text[32] = "";
        unsigned long long value;
        bool hexadecimal;
        char *end;
        int r;

        r = attr_read(dir_fd, path, text, sizeof(text));
        if (r == -E2BIG)
                return -EBADMSG;
        if (r < 0)
                return r;

        /* strtoull() would also take blanks and a sign. */
        hexadecimal = text[0] == '0' && text[1] == 'x';
        if (hexadecimal ? !isxdigit((unsigned char)text[2]) : !isdigit((unsigned char)text[0]))
                return -EBADMSG;

        errno = 0;
        value = strtoull(text, &end, hexadecimal ? 16 : 10);
        if (errno != 0 || *end != '\0')
                return -EBADMSG;

        *ret_value = value;
        return 0;
}

int attr_write(int dir_fd, const char *path, const char *text)
{
        _cleanup_(closep) int fd = -1;
        size_t length = strlen(text);
        ssize_t n;

        /* O_TRUNC means nothing to sysfs; in a fixture tree it makes a file hold just @text. */
        fd = openat(dir_fd, path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        n = write(fd, text, length);
        if (n < 0)
                return -errno;
        if ((size_t)n != length)
                return -EIO;

        return 0;
}

int attr_read_all(int dir_fd, const char *path, size_t max, char **ret_text, size_t *ret_size)
{
        _cleanup_(closep) int fd = -1;
        _cleanup_(freep) char *text = NULL;
        size_t allocated = 0, used = 0;

        fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        /* One byte beyond @max tells "just fits" from "too long"; the last one is for the null. */
        while (used == allocated) {
                char *larger;
                ssize_t n;

                if (used > max)
                        return -E2BIG;

                allocated = allocated > 0 ? allocated * 2 : READ_ALL_INITIAL;
                if (allocated > max + 1)
                        allocated = max + 1;
                larger = realloc(text, allocated + 1);
                if (!larger)
                        return -ENOMEM;
                text = larger;

                n = read_up_to(fd, text + used, allocated - used);
                if (n < 0)
                        return (int)n;
                used += (size_t)n;
        }

        text[used] = '\0';
        *ret_text = TAKE_PTR(text);
        *ret_size = used;
        return 0;
}
