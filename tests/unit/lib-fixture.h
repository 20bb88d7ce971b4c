/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/daxtier.h"
#include "client/lib/handle.h"
#include "own-policy.h"

/* What the library's tests stand on: a page-cache file of FILE_PAGES pages, each full of its number,
 * and a published-tiers file that makes node 0, which every machine has, the cheap tier. */

#define PAGE       4096u
#define FILE_PAGES 16u

static char fixture_dir[] = "/tmp/daxtier-lib-XXXXXX";
static char fixture_file[64], fixture_published[64];
static int fixture_fd = -1;
static daxtier *handle;

/* Makes @nodes the cheap tier; NULL: the daemon does not run. */
static inline void fixture_publish(const char *nodes)
{
        FILE *file;

        if (!nodes) {
                unlink(fixture_published);
                return;
        }
        file = fopen(fixture_published, "we");
        cr_assert_not_null(file);
        fprintf(file, "[Tier cheap]\nNodes=%s\n[Tier fast]\nNodes=\n", nodes);
        cr_assert_eq(fclose(file), 0);
}

static inline void fixture_make(void)
{
        char page[PAGE];

        cr_assert_not_null(mkdtemp(fixture_dir));
        snprintf(fixture_file, sizeof(fixture_file), "%s/file", fixture_dir);
        snprintf(fixture_published, sizeof(fixture_published), "%s/tiers", fixture_dir);

        fixture_fd = open(fixture_file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        cr_assert_geq(fixture_fd, 0);
        for (unsigned i = 0; i < FILE_PAGES; i++) {
                memset(page, (int)i, sizeof(page));
                cr_assert_eq(write(fixture_fd, page, sizeof(page)), PAGE);
        }

        fixture_publish("0");
        cr_assert_eq(handle_new("/sys", fixture_published, &handle), 0);
}

static inline void fixture_remove(void)
{
        daxtier_close(handle);
        close(fixture_fd);
        unlink(fixture_file);
        unlink(fixture_published);
        rmdir(fixture_dir);
}

static inline char *fixture_map(size_t n_pages)
{
        void *address;

        cr_assert_eq(daxtier_map(handle, fixture_fd, 0, n_pages * PAGE, NULL, &address), 0);
        return address;
}

/* Is this page mapped? msync() says ENOMEM of what is not. */
static inline bool is_mapped(const void *address)
{
        return msync((void *)address, PAGE, MS_ASYNC) == 0;
}

/* How many mappings this process has. */
static inline long count_mappings(void)
{
        FILE *file = fopen("/proc/self/maps", "re");
        long count = 0;

        cr_assert_not_null(file);
        for (int c = fgetc(file); c != EOF; c = fgetc(file))
                count += c == '\n';
        fclose(file);

        return count;
}
