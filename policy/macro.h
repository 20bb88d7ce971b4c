/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Ownership in the language: a variable with _cleanup_() frees itself on every way out of its
 * scope, TAKE_PTR() and TAKE_FD() hand what it holds to somebody else. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

#define TAKE_PTR(ptr)                                                                              \
        ({                                                                                         \
                __typeof__(ptr) _taken = (ptr);                                                    \
                (ptr) = NULL;                                                                      \
                _taken;                                                                            \
        })

#define TAKE_FD(fd)                                                                                \
        ({                                                                                         \
                int _taken = (fd);                                                                 \
                (fd) = -1;                                                                         \
                _taken;                                                                            \
        })

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static inline void freep(void *ptr_to_ptr)
{
        free(*(void **)ptr_to_ptr);
}

static inline void closep(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

static inline void fclosep(FILE **file)
{
        if (*file)
                fclose(*file);
}

static inline void closedirp(DIR **dir)
{
        if (*dir)
                closedir(*dir);
}
