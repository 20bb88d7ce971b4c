/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/kernel/copypage.h"
#include "daemon/kernel/feature.h"
#include "policy/macro.h"
#include "tests/unit/child.h"
#include "tests/unit/scratch.h"

#define PAGE ((size_t)4096)

static const NodeSet nowhere;

static char *map_file(const Scratch *scratch, size_t pages)
{
        int fd = openat(scratch->fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        char *map;

        cr_assert_geq(fd, 0, "%m");
        cr_assert_eq(ftruncate(fd, (off_t)(pages * PAGE)), 0);
        map = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        cr_assert_neq(map, MAP_FAILED);
        close(fd);
        return map;
}

/* AnonHugePages of this process. */
static uint64_t own_huge_bytes(void)
{
        _cleanup_(fclosep) FILE *file = fopen("/proc/self/smaps_rollup", "re");
        unsigned long kib = 0;
        char line[256];

        cr_assert_not_null(file);
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, "AnonHugePages: %lu kB", &kib) == 1)
                        break;
        return kib * UINT64_C(1024);
}

static CopyFinder own_finder(void)
{
        _cleanup_(closep) int self = own_process();
        CopyFinder finder;

        cr_assert_eq(copy_finder_init(self, 0, &finder), 0);
        return finder;
}

Test(copypage, finds_what_was_written_and_not_what_was_read)
{
        enum { N = 10000 }; /* several batches */
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(copy_finder_deinit) CopyFinder finder = own_finder();
        char *map = map_file(&scratch, N);
        uint64_t address = (uintptr_t)map, end = address + N * PAGE, bytes = 0;
        CopyPage pages[8];
        size_t n = 0;

        for (size_t i = 0; i < N; i++)
                (void)((const volatile char *)map)[i * PAGE];
        map[7 * PAGE] = 'w';
        map[9000 * PAGE] = 'w';
        map[(N - 1) * PAGE] = 'w';

        cr_assert_eq(copy_finder_next(&finder, &address, end, &nowhere, pages, 8, &n), 0);
        while (n < 3 && address < end) {
                size_t more = 0;

                cr_assert_eq(
                        copy_finder_next(&finder, &address, end, &nowhere, pages + n, 8 - n, &more),
                        0);
                n += more;
        }
        cr_assert_eq(n, 3);
        cr_assert_eq(pages[0].address, (uintptr_t)map + 7 * PAGE);
        cr_assert_eq(pages[1].address, (uintptr_t)map + 9000 * PAGE);
        cr_assert_eq(pages[2].address, (uintptr_t)map + (N - 1) * PAGE);
        cr_assert_geq(pages[0].node, 0);
        if (geteuid() == 0)
                cr_assert_neq(pages[0].frame, pages[1].frame);

        cr_assert_eq(copy_finder_count(&finder, (uintptr_t)map, end, &nowhere, &bytes), 0);
        cr_assert_eq(bytes, 3 * PAGE);
}

Test(copypage, leaves_out_what_is_on_the_wanted_node)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(copy_finder_deinit) CopyFinder finder = own_finder();
        char *map = map_file(&scratch, 4);
        uint64_t address = (uintptr_t)map, end = address + 4 * PAGE;
        NodeSet here = {};
        CopyPage pages[4];
        size_t n = 0;

        memset(map, 'w', 4 * PAGE);
        cr_assert_eq(copy_finder_next(&finder, &address, end, &nowhere, pages, 4, &n), 0);
        cr_assert_eq(n, 4);
        for (size_t i = 0; i < n; i++)
                nodeset_add(&here, (unsigned)pages[i].node);

        address = (uintptr_t)map;
        cr_assert_eq(copy_finder_next(&finder, &address, end, &here, pages, 4, &n), 0);
        cr_assert_eq(n, 0);
        cr_assert_eq(address, end);
}

Test(copypage, stops_at_its_bound_and_goes_on_from_there)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(copy_finder_deinit) CopyFinder finder = own_finder();
        char *map = map_file(&scratch, 10);
        uint64_t address = (uintptr_t)map, end = address + 10 * PAGE;
        CopyPage pages[4];
        size_t n = 0, total = 0;

        memset(map, 'w', 10 * PAGE);
        while (address < end) {
                cr_assert_eq(copy_finder_next(&finder, &address, end, &nowhere, pages, 4, &n), 0);
                cr_assert_leq(n, 4);
                for (size_t i = 0; i < n; i++)
                        cr_assert_eq(pages[i].address, (uintptr_t)map + (total + i) * PAGE);
                total += n;
        }
        cr_assert_eq(total, 10);
}

Test(copypage, is_through_with_an_empty_terabyte_at_once, .timeout = 20)
{
        _cleanup_(copy_finder_deinit) CopyFinder finder = own_finder();
        size_t length = (size_t)1 << 43;
        char *map = mmap(NULL, length, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        uint64_t bytes = 0;

        if (feature_probe(FEATURE_PAGEMAP_SCAN, -1, -1) < 0)
                cr_skip_test("this kernel cannot skip holes (PAGEMAP_SCAN)");
        if (map == MAP_FAILED)
                cr_skip_test("so many addresses cannot be reserved here: %m");
        map[length - PAGE] = 'w';
        cr_assert_eq(copy_finder_count(&finder, (uintptr_t)map, (uintptr_t)map + length, &nowhere,
                                       &bytes),
                     0);
        cr_assert_eq(bytes, PAGE);
}

Test(copypage, tells_that_a_page_went_away)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(copy_finder_deinit) CopyFinder finder = own_finder();
        char *map = map_file(&scratch, 2);
        CopyPage pages[2] = { { .address = (uintptr_t)map }, { .address = (uintptr_t)map + PAGE } };

        memset(map, 'w', 2 * PAGE);
        cr_assert_eq(copy_finder_locate(&finder, pages, 2), 0);
        cr_assert_geq(pages[1].node, 0);
        cr_assert_eq(munmap(map + PAGE, PAGE), 0);
        cr_assert_eq(copy_finder_locate(&finder, pages, 2), 0);
        cr_assert_geq(pages[0].node, 0);
        cr_assert_eq(pages[1].node, -1);
}

Test(copypage, of_a_process_that_is_gone_is_esrch)
{
        _cleanup_(child_freep) Child child = child_new(NULL, NULL);
        _cleanup_(copy_finder_deinit) CopyFinder finder = COPY_FINDER_NONE;
        uint64_t address = 0x10000;
        CopyPage page;
        size_t n;

        cr_assert_eq(copy_finder_init(child.process_fd, child.pid, &finder), 0);
        child_end(&child);
        cr_assert_eq(copy_finder_next(&finder, &address, 0x20000, &nowhere, &page, 1, &n), -ESRCH);
        child_reap(&child);
}

Test(copypage, moves_to_the_node_that_it_is_told)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(copy_finder_deinit) CopyFinder finder = own_finder();
        char *map = map_file(&scratch, 1);
        CopyPage page = { .address = (uintptr_t)map };
        size_t tried;

        if (geteuid() != 0)
                cr_skip_test("only root may move pages that others share");
        map[0] = 'w';
        cr_assert_eq(copy_finder_locate(&finder, &page, 1), 0);
        cr_assert_eq(copy_finder_move(&finder, &page, 1, (unsigned)page.node, &tried), 0);
        cr_assert_eq(tried, 1);
        cr_assert_eq(copy_finder_move(&finder, &page, 1, 999, &tried), -ENODEV);
}

/* As the kernel does it: the first three move, of the next two one is pinned, and after them is one that
 * makes the kernel try what it has until then. */
static long give_up_half_way(pid_t pid, size_t n, void **addresses, const int *nodes, int *status,
                             int flags)
{
        if (!nodes) {
                for (size_t i = 0; i < n; i++)
                        status[i] = i == 4 ? 0 : 1;
                return 0;
        }
        status[0] = status[1] = 1;
        status[2] = -EBUSY;
        status[5] = -EBUSY;
        return (long)n - 5;
}

Test(copypage, knows_how_far_a_call_came)
{
        _cleanup_(copy_finder_deinit) CopyFinder finder = own_finder();
        CopyPage pages[10] = {};
        size_t tried;

        finder.move_pages = give_up_half_way;
        cr_assert_eq(copy_finder_move(&finder, pages, 10, 1, &tried), 1);
        cr_assert_eq(tried, 6);
        for (size_t i = 0; i < tried; i++)
                cr_assert_eq(pages[i].node, i == 4 ? 0 : 1);
}

/* Of anonymous memory, huge as far as the kernel has huge pages for it. */
Test(copypage, sees_a_huge_page_as_one)
{
        enum { N = 4, HUGE = 512 };
        _cleanup_(copy_finder_deinit) CopyFinder finder = own_finder();
        const size_t size = HUGE * PAGE;
        char *map = mmap(NULL, (N + 1) * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                         -1, 0);
        uint64_t start = ((uintptr_t)map + size) / size * size, address = start - 3 * PAGE;
        static CopyPage pages[COPY_WINDOW];
        int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        uint64_t n_small = 0;
        size_t n = 0, n_huge = 0;

        cr_assert_neq(map, MAP_FAILED);
        (void)madvise((void *)(uintptr_t)start, 3 * size, MADV_HUGEPAGE);
        memset((void *)(uintptr_t)(start - 3 * PAGE), 'w', 3 * size + 3 * PAGE);
        if (geteuid() != 0 || copy_finder_see_huge(&finder, proc_fd) < 0)
                cr_skip_test("only root sees where pages are, in /proc/kpageflags");
        close(proc_fd);

        while (address < start + 3 * size) {
                cr_assert_eq(
                        copy_finder_look(&finder, &address, start + 3 * size, &nowhere, pages, &n),
                        0);
                for (size_t i = 0; i < n; i++) {
                        n_small += pages[i].n_pages;
                        if (pages[i].n_pages == 1)
                                continue;
                        cr_assert_eq(pages[i].n_pages, HUGE);
                        cr_assert_eq(pages[i].address % size, 0);
                        n_huge++;
                }
        }
        cr_assert_eq(n_small, 3 * HUGE + 3);
        cr_assert_eq(n_huge, own_huge_bytes() / size);
}
