/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/macro.h"

/* seq_file hands out a page at a time; a little more than two of them. */
#define INITIAL_SIZE ((size_t)10000)

int lines_open(int dir_fd, const char *path, uint64_t max, Lines *ret_lines)
{
        int fd;

        fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        *ret_lines = (Lines){ .fd = fd, .left = max };
        return 0;
}

void lines_close(Lines *lines)
{
        closep(&lines->fd);
        free(lines->buffer);
        *lines = LINES_NONE;
}

/* Moves the rest of the text to the front and makes room behind it, for a null byte too. */
static int make_room(Lines *lines)
{
        size_t used = lines->end - lines->start;
        size_t larger = lines->allocated > 0 ? lines->allocated * 2 : INITIAL_SIZE;
        char *buffer;

        if (lines->start > 0) {
                memmove(lines->buffer, lines->buffer + lines->start, used);
                lines->start = 0;
                lines->end = used;
        }
        if (used + 1 < lines->allocated)
                return 0;
        if (used > LINES_LINE_MAX)
                return -E2BIG;

        buffer = realloc(lines->buffer, larger);
        if (!buffer)
                return -ENOMEM;

        lines->buffer = buffer;
        lines->allocated = larger;
        return 0;
}

/* Reads more. *@ret_n is 0 at the end of the file. */
static int fill(Lines *lines, size_t *ret_n)
{
        ssize_t n;
        int r;

        r = make_room(lines);
        if (r < 0)
                return r;

        n = TEMP_FAILURE_RETRY(
                read(lines->fd, lines->buffer + lines->end, lines->allocated - lines->end - 1));
        if (n < 0)
                return -errno;
        if ((uint64_t)n > lines->left)
                return -E2BIG;

        lines->left -= (uint64_t)n;
        lines->end += (size_t)n;
        *ret_n = (size_t)n;
        return 0;
}

int lines_next(Lines *lines, char **ret_line)
{
        size_t scanned = 0;

        for (;;) {
                size_t used = lines->end - lines->start, n = 0;
                char *line, *newline;
                int r;

                newline = used > scanned ? memchr(lines->buffer + lines->start + scanned, '\n',
                                                  used - scanned)
                                         : NULL;
                if (newline) {
                        line = lines->buffer + lines->start;
                        *newline = '\0';
                        lines->start = (size_t)(newline + 1 - lines->buffer);
                        *ret_line = line;
                        return 0;
                }

                scanned = used;
                r = fill(lines, &n);
                if (r < 0)
                        return r;
                if (n > 0)
                        continue;

                /* The end, with or without a last line that has no newline. */
                line = lines->buffer + lines->start;
                lines->buffer[lines->end] = '\0';
                lines->start = lines->end;
                *ret_line = used > 0 ? line : NULL;
                return 0;
        }
}
