/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A line holds at most one path, and a path that a program can map is rarely beyond PATH_MAX. It
 * can be: directories nest without a bound. */
#define LINES_LINE_MAX ((size_t)64 * 1024)

typedef struct Lines Lines;

/* A file of procfs, line by line: the reader may stop early, and the kernel then never walks the
 * rest of the page tables for us. */
struct Lines {
        int fd;
        char *buffer;
        size_t allocated;
        size_t start; /* of the text not yet handed out */
        size_t end;
        uint64_t left; /* bytes that we are still willing to read */
};

#define LINES_NONE                                                                                 \
        (Lines)                                                                                    \
        {                                                                                          \
                .fd = -1                                                                           \
        }

/* -errno of the open. @max: bytes in all. */
int lines_open(int dir_fd, const char *path, uint64_t max, Lines *ret_lines);

/* The next line without its newline, valid until the next call; NULL at the end. -E2BIG: the line,
 * or the file, is too long. */
int lines_next(Lines *lines, char **ret_line);

void lines_close(Lines *lines);
