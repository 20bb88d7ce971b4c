/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Places for tests: the fixture trees of the source, and a directory that a test may write to. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

static inline int fixture_open(const char *name)
{
        char path[PATH_MAX];
        int fd;

        cr_assert_not_null(getenv("FIXTURES"), "run me through meson test");
        snprintf(path, sizeof(path), "%s/%s", getenv("FIXTURES"), name);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(fd, 0, "%s: %m", path);
        return fd;
}

typedef struct Scratch {
        char path[64];
        int fd;
} Scratch;

static inline Scratch scratch_new_in(const char *directory)
{
        Scratch scratch;

        snprintf(scratch.path, sizeof(scratch.path), "%s/daxtierd-test-XXXXXX", directory);
        cr_assert_not_null(mkdtemp(scratch.path));
        scratch.fd = open(scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(scratch.fd, 0);
        return scratch;
}

static inline Scratch scratch_new(void)
{
        return scratch_new_in("/var/tmp");
}

static inline int scratch_remove(const char *path, const struct stat *st, int type,
                                 struct FTW *walk)
{
        return remove(path);
}

static inline void scratch_freep(Scratch *scratch)
{
        close(scratch->fd);
        nftw(scratch->path, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void scratch_write(const Scratch *scratch, const char *name, const void *data,
                                 size_t size)
{
        int fd = openat(scratch->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        cr_assert_geq(fd, 0, "%s: %m", name);
        cr_assert_eq(write(fd, data, size), (ssize_t)size);
        close(fd);
}

/* A name for what all of the machine shares, cgroups for one: processes of two pid namespaces may have
 * the same pid. */
static inline void unique_name(char *name, size_t size)
{
        unsigned number = 0;

        cr_assert_eq(getrandom(&number, sizeof(number), 0), (ssize_t)sizeof(number));
        snprintf(name, size, "daxtierd-test-%d-%08x", getpid(), number);
}
