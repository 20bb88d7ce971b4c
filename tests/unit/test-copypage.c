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

        if (geteuid() != 0)
                cr_skip_test("only root may move pages that others share");
        map[0] = 'w';
        cr_assert_eq(copy_finder_locate(&finder, &page, 1), 0);
        cr_assert_eq(copy_finder_move(&finder, &page, 1, (unsigned)page.node), 0);
        cr_assert_eq(copy_finder_move(&finder, &page, 1, 999), -ENODEV);
}

Test(copypage, runs_of_addresses_take_in_small_gaps)
{
        CopyPage pages[] = { { .address = 0x1000 },
                             { .address = 0x2000 },
                             { .address = 0x5000 },
                             { .address = 0x9000 } };
        PageRun runs[4];
        size_t used;

        cr_assert_eq(page_runs_virtual(pages, 4, PAGE, 0, runs, 4, &used), 3);
        cr_assert_eq(used, 4);
        cr_assert_eq(runs[0].start, 0x1000);
        cr_assert_eq(runs[0].end, 0x3000);
        cr_assert_eq(page_runs_bytes(runs, 3), 4 * PAGE);

        cr_assert_eq(page_runs_virtual(pages, 4, PAGE, 2, runs, 4, &used), 2);
        cr_assert_eq(runs[0].end, 0x6000);
        cr_assert_eq(runs[1].start, 0x9000);
}

Test(copypage, runs_of_frames_have_no_gaps)
{
        CopyPage pages[] = {
                { .frame = 9 }, { .frame = 4 }, { .frame = 5 }, { .frame = 7 }, { .frame = 5 }
        };
        PageRun runs[4];
        size_t used;

        cr_assert_eq(page_runs_physical(pages, 5, PAGE, runs, 4, &used), 3);
        cr_assert_eq(used, 5);
        cr_assert_eq(runs[0].start, 4 * PAGE);
        cr_assert_eq(runs[0].end, 6 * PAGE);
        cr_assert_eq(runs[1].start, 7 * PAGE);
        cr_assert_eq(runs[2].start, 9 * PAGE);
        cr_assert_eq(page_runs_bytes(runs, 3), 4 * PAGE);
}

Test(copypage, runs_end_before_one_too_many)
{
        CopyPage pages[] = { { .address = 0x1000, .frame = 1 },
                             { .address = 0x3000, .frame = 3 },
                             { .address = 0x4000, .frame = 4 },
                             { .address = 0x6000, .frame = 6 } };
        PageRun runs[2];
        size_t used;

        cr_assert_eq(page_runs_virtual(pages, 4, PAGE, 0, runs, 2, &used), 2);
        cr_assert_eq(used, 3);
        cr_assert_eq(page_runs_physical(pages, 4, PAGE, runs, 2, &used), 2);
        cr_assert_eq(used, 3);
}

Test(copypage, runs_are_short_enough_to_wait_for)
{
        enum { N = 2 * PAGE_RUN_MAX + 1 };
        CopyPage pages[N];
        PageRun runs[4];
        size_t used;

        for (size_t i = 0; i < N; i++)
                pages[i] = (CopyPage){ .address = (i + 7) * PAGE, .frame = i + 7 };

        cr_assert_eq(page_runs_virtual(pages, N, PAGE, 16, runs, 4, &used), 3);
        cr_assert_eq(runs[0].end - runs[0].start, PAGE_RUN_MAX * PAGE);
        cr_assert_eq(runs[1].start, runs[0].end);
        cr_assert_eq(page_runs_physical(pages, N, PAGE, runs, 4, &used), 3);
        cr_assert_eq(runs[0].end - runs[0].start, PAGE_RUN_MAX * PAGE);
        cr_assert_eq(page_runs_bytes(runs, 3), N * PAGE);
}
