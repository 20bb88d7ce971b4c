/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "daemon/kernel/file.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

#define PAGE   ((uint64_t)4096)
#define WINDOW ((uint64_t)16384) /* pages that one mincore() looks at */

/* From here on this process runs on a kernel without cachestat(2). */
static void forget_cachestat(void)
{
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 451, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };

        cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0, "%m");
        cr_assert_lt(syscall(451, -1, NULL, NULL, 0), 0);
        cr_assert_eq(errno, ENOSYS);
}

/* A file of @pages pages on a filesystem with a page cache that can be dropped. */
static int sparse_file(const Scratch *scratch, uint64_t pages)
{
        int fd = openat(scratch->fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

        cr_assert_geq(fd, 0);
        cr_assert_eq(ftruncate(fd, (off_t)(pages * PAGE)), 0);
        return fd;
}

static void cache_pages(int fd, uint64_t first, uint64_t n)
{
        static const char page[4096] = "content";

        for (uint64_t i = first; i < first + n; i++)
                cr_assert_eq(pwrite(fd, page, sizeof(page), (off_t)(i * PAGE)), 4096);
}

static uint64_t cached(int fd, uint64_t offset, uint64_t length)
{
        uint64_t bytes = 77;

        cr_assert_eq(file_page_cache_bytes(fd, offset, length, &bytes), 0);
        return bytes;
}

/* What holds for either way of counting. @pages may exceed a window of the second way. */
static void check_counts(uint64_t pages)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int fd = sparse_file(&scratch, pages);

        cr_assert_eq(cached(fd, 0, UINT64_MAX), 0);
        cache_pages(fd, 3, 10);
        cache_pages(fd, pages - 2, 2);

        cr_assert_eq(cached(fd, 0, pages * PAGE), 12 * PAGE);
        cr_assert_eq(cached(fd, 0, UINT64_MAX), 12 * PAGE, "the range ends with the file");
        cr_assert_eq(cached(fd, 4 * PAGE, 5 * PAGE), 5 * PAGE);
        cr_assert_eq(cached(fd, 3 * PAGE + 100, 50), 50, "bytes, not whole pages");
        cr_assert_eq(cached(fd, 3 * PAGE, 0), 0);
        cr_assert_eq(cached(fd, pages * PAGE, PAGE), 0);

        for (uint64_t i = WINDOW; i < pages; i += WINDOW) {
                uint64_t before = cached(fd, 0, UINT64_MAX);

                cache_pages(fd, i, 1);
                cr_assert_eq(cached(fd, 0, UINT64_MAX), before + PAGE, "page %u", (unsigned)i);
        }
        cr_assert_eq(cached(fd, UINT64_MAX, UINT64_MAX), 0);
}

Test(file, counts_cached_bytes)
{
        check_counts(1000);
}

Test(file, counts_cached_bytes_without_cachestat)
{
        forget_cachestat();
        check_counts(1000);
        check_counts(3 * WINDOW + 77); /* four windows */
}

Test(file, does_not_repeat_what_the_kernel_makes_up_for_strangers)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int writable = sparse_file(&scratch, 64), fd = -1;
        uint64_t bytes = 77;

        if (geteuid() != 0)
                cr_skip_test("needs root to become a stranger");

        cache_pages(writable, 0, 1);
        fd = openat(scratch.fd, "file", O_RDONLY | O_CLOEXEC);
        cr_assert_eq(fchmod(scratch.fd, 0755), 0);
        cr_assert_eq(setresuid(65534, 65534, 0), 0);

        forget_cachestat();
        cr_assert_eq(file_page_cache_bytes(fd, 0, 64 * PAGE, &bytes), -EPERM);
        cr_assert_eq(bytes, 77);

        cr_assert_eq(setresuid(0, 0, 0), 0);
        cr_assert_eq(file_page_cache_bytes(fd, 0, 64 * PAGE, &bytes), 0);
        cr_assert_eq(bytes, PAGE);
}

Test(file, a_file_on_a_filesystem_without_dax_is_in_the_page_cache)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int fd = -1;
        FileFacts facts;

        scratch_write(&scratch, "file", "12345", 5);
        cr_assert_eq(file_inspect_at(scratch.fd, "file", &facts), 0);
        cr_assert_eq(facts.kind, MAPPING_PAGE_CACHE);
        cr_assert_eq(facts.size, 5);

        /* A file that may neither be read nor written can still be asked about. */
        fd = openat(scratch.fd, "file", O_PATH | O_CLOEXEC);
        facts = (FileFacts){};
        cr_assert_eq(file_inspect(fd, &facts), 0);
        cr_assert_eq(facts.size, 5);
        facts = (FileFacts){};
        cr_assert_eq(file_inspect_at(fd, "", &facts), 0);
        cr_assert_eq(facts.size, 5);
}

Test(file, refuses_what_is_neither_file_nor_dax)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int pipe_in = -1, pipe_out = -1, zero = open("/dev/zero", O_RDONLY);
        FileFacts facts = { .size = 77 };
        uint64_t bytes;
        int ends[2];

        cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
        pipe_in = ends[0];
        pipe_out = ends[1];

        cr_assert_eq(file_inspect(scratch.fd, &facts), -EISDIR);
        cr_assert_eq(file_inspect(-1, &facts), -EBADF);
        cr_assert_eq(file_inspect(pipe_in, &facts), -ENODEV);
        cr_assert_eq(file_inspect(zero, &facts), -ENODEV);
        cr_assert_eq(file_inspect_at(scratch.fd, "none", &facts), -ENOENT);
        cr_assert_eq(facts.size, 77);
        cr_assert_eq(file_page_cache_bytes(-1, 0, PAGE, &bytes), -EBADF);
        cr_assert_eq(file_page_cache_bytes(scratch.fd, 0, PAGE, &bytes), -EISDIR);
}
