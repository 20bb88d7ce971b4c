/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "daemon/kernel/maps.h"
#include "daemon/kernel/pagemap.h"
#include "policy/macro.h"
#include "tests/unit/child.h"
#include "tests/unit/scratch.h"

#define PAGE ((size_t)4096)

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static char *map_file(const Scratch *scratch, size_t pages, int flags)
{
        int fd = openat(scratch->fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        char *map;

        cr_assert_geq(fd, 0, "%m");
        cr_assert_eq(ftruncate(fd, (off_t)(pages * PAGE)), 0);
        map = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
        cr_assert_neq(map, MAP_FAILED);
        close(fd);
        return map;
}

static void read_pages(const char *map, size_t first, size_t n)
{
        for (size_t i = first; i < first + n; i++)
                (void)((const volatile char *)map)[i * PAGE];
}

static void write_pages(char *map, size_t first, size_t n)
{
        for (size_t i = first; i < first + n; i++)
                map[i * PAGE] = 'w';
}

static Copies count(int process_fd, pid_t pid, const void *start, size_t length)
{
        _cleanup_(mapping_deinit) Mapping mapping = {};
        Copies copies;

        cr_assert_eq(mapping_find(process_fd, (uintptr_t)start, &mapping), 0);
        cr_assert_eq(pagemap_count_copies(process_fd, pid, &mapping, (uintptr_t)start,
                                          (uintptr_t)start + length, &copies),
                     0);
        return copies;
}

/* That there are @pages of them, all on nodes, which add up. */
static void assert_pages(const Copies *copies, size_t pages)
{
        uint64_t on_nodes = 0;

        for (size_t i = 0; i < NODESET_MAX; i++)
                on_nodes += copies->by_node[i];
        cr_assert_eq(copies->bytes, pages * PAGE, "%zu pages", (size_t)copies->bytes / PAGE);
        cr_assert_eq(on_nodes, copies->bytes - copies->swapped_bytes);
        cr_assert_eq(copies->swapped_bytes, 0);
}

Test(pagemap, copies_are_what_was_written_and_not_what_was_read)
{
        enum { N = 10000 }; /* several batches */
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int self = own_process();
        char *map = map_file(&scratch, N, MAP_PRIVATE);
        Copies copies = count(self, 0, map, N * PAGE);

        assert_pages(&copies, 0);

        read_pages(map, 0, N);
        copies = count(self, 0, map, N * PAGE);
        assert_pages(&copies, 0);

        write_pages(map, N / 2, N / 2);
        copies = count(self, 0, map, N * PAGE);
        assert_pages(&copies, N / 2);
        copies = count(self, getpid(), map, N * PAGE);
        assert_pages(&copies, N / 2);

        cr_assert_eq(madvise(map + (N - 100) * PAGE, 50 * PAGE, MADV_DONTNEED), 0);
        copies = count(self, 0, map, N * PAGE);
        assert_pages(&copies, N / 2 - 50);
        munmap(map, N * PAGE);
}

Test(pagemap, looks_at_the_range_only)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int self = own_process();
        char *map = map_file(&scratch, 16, MAP_PRIVATE);
        Mapping mapping;
        Copies copies;

        write_pages(map, 2, 4);
        copies = count(self, 0, map + 3 * PAGE, 2 * PAGE);
        assert_pages(&copies, 2);
        copies = count(self, 0, map + 3 * PAGE + 1, PAGE);
        assert_pages(&copies, 2);
        copies = count(self, 0, map + 3 * PAGE + 1, PAGE - 1);
        assert_pages(&copies, 1);
        copies = count(self, 0, map + 3 * PAGE, 0);
        assert_pages(&copies, 0);
        copies = count(self, 0, map + 5 * PAGE, SIZE_MAX - (size_t)map - 5 * PAGE);
        assert_pages(&copies, 1);

        cr_assert_eq(mapping_find(self, (uintptr_t)map, &mapping), 0);
        cr_assert_eq(pagemap_count_copies(self, 0, &mapping, 0, UINT64_MAX, &copies), 0);
        assert_pages(&copies, 4);
        cr_assert_eq(pagemap_count_copies(self, 0, &mapping, UINT64_MAX, 0, &copies), 0);
        assert_pages(&copies, 0);
        mapping_deinit(&mapping);
}

Test(pagemap, shared_mappings_have_no_copies_and_inaccessible_ones_keep_theirs)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int self = own_process();
        char *shared = map_file(&scratch, 16, MAP_SHARED), *private;
        Copies copies;

        write_pages(shared, 0, 16);
        copies = count(self, 0, shared, 16 * PAGE);
        assert_pages(&copies, 0);

        private = map_file(&scratch, 16, MAP_PRIVATE);
        read_pages(private, 0, 8);
        write_pages(private, 8, 8);
        cr_assert_eq(mprotect(private, 16 * PAGE, PROT_NONE), 0);
        copies = count(self, 0, private, 16 * PAGE);
        assert_pages(&copies, 8);
}

Test(pagemap, copies_count_whether_or_not_the_kind_of_file_is_known)
{
        static const MappingKind kinds[] = { MAPPING_PAGE_CACHE, MAPPING_DAX,
                                             MAPPING_FILE_UNKNOWN };
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int self = own_process();
        char *map = map_file(&scratch, 16, MAP_PRIVATE);
        Mapping mapping;

        read_pages(map, 0, 16);
        write_pages(map, 0, 5);
        cr_assert_eq(mapping_find(self, (uintptr_t)map, &mapping), 0);
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                Copies copies;

                mapping.kind = kinds[i];
                cr_assert_eq(pagemap_count_copies(self, 0, &mapping, mapping.start, mapping.end,
                                                  &copies),
                             0);
                assert_pages(&copies, 5);
        }
        mapping_deinit(&mapping);
}

Test(pagemap, of_anonymous_memory_every_page_counts_but_the_zero_page)
{
        static const int flags[] = { MAP_PRIVATE, MAP_SHARED };
        _cleanup_(closep) int self = own_process();

        for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
                char *map = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, flags[i] | MAP_ANONYMOUS,
                                 -1, 0);
                Copies copies;

                cr_assert_neq(map, MAP_FAILED);
                madvise(map, 64 * PAGE, MADV_NOHUGEPAGE);
                write_pages(map, 10, 20);
                if (flags[i] == MAP_PRIVATE)
                        read_pages(map, 40, 10);
                copies = count(self, 0, map, 64 * PAGE);
                assert_pages(&copies, 20);
                munmap(map, 64 * PAGE);
        }
}

Test(pagemap, huge_pages_count_in_full)
{
        enum { HUGE = 512 };
        _cleanup_(closep) int self = own_process();
        char *map = mmap(NULL, 2 * HUGE * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                         -1, 0);
        char *aligned = (char *)(((uintptr_t)map + HUGE * PAGE - 1) & ~(HUGE * PAGE - 1));
        Copies copies;

        cr_assert_eq(madvise(aligned, HUGE * PAGE, MADV_HUGEPAGE), 0);
        aligned[0] = 'w';
        copies = count(self, 0, aligned, HUGE * PAGE);
        if (copies.bytes == PAGE)
                cr_skip_test("the kernel has no huge page for us now");
        assert_pages(&copies, HUGE);
        copies = count(self, 0, aligned + 7 * PAGE, 3 * PAGE);
        assert_pages(&copies, 3);
}

Test(pagemap, guard_regions_are_not_swapped_pages)
{
        _cleanup_(closep) int self = own_process();
        char *map =
                mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        Copies copies;

        write_pages(map, 0, 8);
        if (madvise(map + 4 * PAGE, 8 * PAGE, MADV_GUARD_INSTALL) < 0)
                cr_skip_test("this kernel has no guard regions (6.13)");
        copies = count(self, 0, map, 16 * PAGE);
        assert_pages(&copies, 4);

        /* Those who may not see the type of a swap entry have a bit of its own (6.15). */
        if (geteuid() == 0) {
                cr_assert_eq(setresuid(65534, 65534, 0), 0);
                cr_assert_eq(prctl(PR_SET_DUMPABLE, 1), 0);
        }
        copies = count(self, 0, map, 16 * PAGE);
        assert_pages(&copies, 4);
}

static bool has_swap(void)
{
        _cleanup_(fclosep) FILE *swaps = fopen("/proc/swaps", "re");
        char line[512];

        return swaps && fgets(line, sizeof(line), swaps) && fgets(line, sizeof(line), swaps);
}

Test(pagemap, swapped_copies_count_and_are_on_no_node)
{
        enum { N = 64 };
        _cleanup_(closep) int self = own_process();
        uint64_t on_nodes = 0;
        Copies copies;
        char *map;

        if (!has_swap())
                cr_skip_test("this machine has no swap");

        _cleanup_(scratch_freep) Scratch scratch = scratch_new();

        map = map_file(&scratch, N, MAP_PRIVATE);
        read_pages(map, 0, N);
        write_pages(map, 0, N / 2);
        if (madvise(map, N * PAGE, MADV_PAGEOUT) < 0)
                cr_skip_test("this kernel has no MADV_PAGEOUT (5.4)");

        copies = count(self, 0, map, N * PAGE);
        for (size_t i = 0; i < NODESET_MAX; i++)
                on_nodes += copies.by_node[i];
        cr_assert_eq(copies.bytes, N / 2 * PAGE, "swapping loses none");
        cr_assert_gt(copies.swapped_bytes, 0);
        cr_assert_eq(on_nodes, copies.bytes - copies.swapped_bytes);
}

Test(pagemap, finds_single_pages_in_vast_holes)
{
        _cleanup_(closep) int self = own_process();
        size_t length = (size_t)8 << 30, mib = (size_t)1 << 20;
        char *map = mmap(NULL, length, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        const size_t written[] = { 0, 17 * mib, 48 * mib - PAGE, 5000 * mib, length - PAGE };
        Copies copies;

        cr_assert_neq(map, MAP_FAILED);
        cr_assert_eq(madvise(map, length, MADV_NOHUGEPAGE), 0);
        copies = count(self, 0, map, length);
        assert_pages(&copies, 0);
        for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
                map[written[i]] = 'w';
                copies = count(self, 0, map, length);
                assert_pages(&copies, i + 1);
        }
        copies = count(self, 0, map + PAGE, length - 2 * PAGE);
        assert_pages(&copies, ARRAY_SIZE(written) - 2);
}

typedef struct Target {
        char *map;
        size_t write;
} Target;

static void write_in_child(void *data)
{
        const Target *target = data;

        write_pages(target->map, 0, target->write);
}

Test(pagemap, counts_in_another_process_until_it_is_gone)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int self = own_process();
        Target target = { .map = map_file(&scratch, 32, MAP_PRIVATE), .write = 9 };
        Child child = child_new(write_in_child, &target);
        Copies copies = count(child.process_fd, child.pid, target.map, 32 * PAGE);
        Mapping mapping;

        assert_pages(&copies, 9);
        copies = count(self, 0, target.map, 32 * PAGE);
        assert_pages(&copies, 0);

        cr_assert_eq(mapping_find(child.process_fd, (uintptr_t)target.map, &mapping), 0);
        child_end(&child);
        copies.bytes = 77;
        cr_assert_eq(pagemap_count_copies(child.process_fd, child.pid, &mapping, mapping.start,
                                          mapping.end, &copies),
                     -ESRCH);
        child_reap(&child);
        cr_assert_eq(pagemap_count_copies(child.process_fd, child.pid, &mapping, mapping.start,
                                          mapping.end, &copies),
                     -ESRCH);
        cr_assert_eq(copies.bytes, 77);
        mapping_deinit(&mapping);
        close(child.process_fd);
}

Test(pagemap, another_users_process_is_refused)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        Target target = { .map = map_file(&scratch, 32, MAP_PRIVATE), .write = 9 };
        _cleanup_(child_freep) Child child = child_new(write_in_child, &target);
        Mapping mapping;
        Copies copies;
        int r;

        if (geteuid() != 0)
                cr_skip_test("needs root to become another user");

        cr_assert_eq(mapping_find(child.process_fd, (uintptr_t)target.map, &mapping), 0);
        cr_assert_eq(setresuid(65534, 65534, 0), 0);
        r = pagemap_count_copies(child.process_fd, child.pid, &mapping, mapping.start, mapping.end,
                                 &copies);
        cr_assert_eq(setresuid(0, 0, 0), 0);
        cr_assert(r == -EACCES || r == -EPERM, "%d", r);
        mapping_deinit(&mapping);
}

Test(pagemap, every_mapping_of_a_process_can_be_counted)
{
        _cleanup_(closep) int self = own_process();
        size_t n_mappings;
        Mapping *mappings;
        Copies copies;

        /* [vsyscall], [vdso] and [vvar] too. */
        cr_assert_eq(maps_read(self, &mappings, &n_mappings), 0);
        cr_assert_eq(mappings_inspect(self, mappings, n_mappings), 0);
        for (size_t i = 0; i < n_mappings; i++)
                cr_assert_eq(pagemap_count_copies(self, 0, &mappings[i], mappings[i].start,
                                                  mappings[i].end, &copies),
                             0, "%s", mappings[i].file ? mappings[i].file : "");
        mappings_free(mappings, n_mappings);
}
