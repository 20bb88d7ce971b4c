/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/kernel/feature.h"
#include "daemon/kernel/pagesample.h"
#include "policy/macro.h"
#include "tests/unit/child.h"

#define PAGE ((size_t)4096)

/* The child has the memory at the same addresses. */
typedef struct Memory {
        char *start;
        size_t size, step; /* a page at each step is touched */
        size_t touched;    /* of so much */
} Memory;

static void touch(void *data)
{
        const Memory *memory = data;

        for (size_t i = 0; i < memory->touched; i += memory->step)
                memory->start[i] = 'x';
}

static Memory memory_new(size_t size)
{
        Memory memory = { .size = size, .touched = size, .step = PAGE };

        memory.start = mmap(NULL, size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory.start == MAP_FAILED)
                cr_skip_test("so many addresses cannot be reserved here: %m");
        (void)madvise(memory.start, size, MADV_NOHUGEPAGE);
        return memory;
}

static Sample choose(const Child *child, size_t goal)
{
        Sample sample = { .page_size = PAGE };
        uint64_t n_pages = 0;

        cr_assert_eq(page_sample_choose(child->process_fd, child->pid, goal, &sample, &n_pages), 0);
        cr_assert_geq(n_pages << 1, sample.n_pages);
        return sample;
}

/* How many of the sample's pages are in part @part of @parts of what was touched. */
static size_t in_part(const Sample *sample, const Memory *memory, size_t part, size_t parts)
{
        uint64_t size = memory->touched / parts;
        uint64_t start = (uintptr_t)memory->start + part * size;
        size_t n = 0;

        for (size_t i = 0; i < sample->n_pages; i++)
                n += sample->pages[i].address >= start && sample->pages[i].address < start + size;
        return n;
}

Test(pagesample, is_spread_over_the_memory_and_bounded)
{
        Memory memory = memory_new((size_t)64 << 20);
        _cleanup_(child_freep) Child child = child_new(touch, &memory);
        _cleanup_(sample_deinit) Sample sample = choose(&child, 1024);
        int nodes[SAMPLE_PAGES_MAX];

        cr_assert_eq(sample.shift, 5, "16384 pages and a few: one of 32");
        /* 64, but for the blocks at its ends. */
        for (size_t part = 0; part < 8; part++) {
                size_t n = in_part(&sample, &memory, part, 8);

                cr_assert(n >= 62 && n <= 66, "%zu: %zu", part, n);
        }
        for (size_t i = 1; i < sample.n_pages; i++)
                cr_assert_lt(sample.pages[i - 1].address, sample.pages[i].address);

        cr_assert_eq(page_sample_look(child.pid, &sample, nodes), 0);
        for (size_t i = 0; i < sample.n_pages; i++)
                cr_assert_geq(nodes[i], 0);
}

Test(pagesample, chosen_anew_it_is_the_same)
{
        Memory memory = memory_new((size_t)8 << 20);
        _cleanup_(child_freep) Child child = child_new(touch, &memory);
        _cleanup_(sample_deinit) Sample one = choose(&child, 500), two = choose(&child, 500);

        cr_assert_eq(one.n_pages, two.n_pages);
        for (size_t i = 0; i < one.n_pages; i++)
                cr_assert_eq(one.pages[i].address, two.pages[i].address);
}

Test(pagesample, has_only_pages_that_are_there)
{
        Memory memory = memory_new((size_t)8 << 20);
        _cleanup_(child_freep) Child child = { .process_fd = -1 };
        _cleanup_(sample_deinit) Sample sample = {};

        memory.step = 16 * PAGE;
        child = child_new(touch, &memory);
        sample = choose(&child, SAMPLE_PAGES_MAX);
        cr_assert_eq(sample.shift, 0);
        cr_assert_eq(in_part(&sample, &memory, 0, 1), 128);
}

Test(pagesample, a_reserved_terabyte_hides_nothing, .timeout = 20)
{
        Memory memory = memory_new((size_t)1 << 40);
        _cleanup_(child_freep) Child child = { .process_fd = -1 };
        _cleanup_(sample_deinit) Sample sample = {};

        if (feature_probe(FEATURE_PAGEMAP_SCAN, -1, -1) < 0)
                cr_skip_test("this kernel cannot skip holes (PAGEMAP_SCAN)");

        /* In the middle. */
        memory.start += (size_t)1 << 39;
        memory.touched = (size_t)4 << 20;
        child = child_new(touch, &memory);
        sample = choose(&child, 4 * SAMPLE_PAGES_MAX);
        cr_assert_eq(in_part(&sample, &memory, 0, 1), 1024);
}

static void let_go(void *data)
{
        const Memory *memory = data;

        touch(data);
        (void)munmap(memory->start + memory->size / 2, memory->size / 2);
}

Test(pagesample, what_has_gone_is_nowhere)
{
        Memory memory = memory_new((size_t)1 << 20);
        _cleanup_(child_freep) Child child = child_new(let_go, &memory);
        _cleanup_(sample_deinit) Sample sample = { .page_size = PAGE };
        uint64_t addresses[2] = { (uintptr_t)memory.start,
                                  (uintptr_t)memory.start + memory.size - PAGE };
        int nodes[2];

        cr_assert_eq(sample_replace(&sample, 0, addresses, 2), 0);
        cr_assert_eq(page_sample_look(child.pid, &sample, nodes), 0);
        cr_assert_geq(nodes[0], 0);
        cr_assert_eq(nodes[1], -1);
}

Test(pagesample, of_a_process_that_is_gone_is_esrch)
{
        Child child = child_new(NULL, NULL);
        Sample sample = { .page_size = PAGE };
        uint64_t n_pages = 77;

        child_end(&child);
        cr_assert_eq(page_sample_choose(child.process_fd, child.pid, 100, &sample, &n_pages),
                     -ESRCH, "a zombie");
        child_reap(&child);
        cr_assert_eq(page_sample_choose(child.process_fd, child.pid, 100, &sample, &n_pages),
                     -ESRCH);
        cr_assert_eq(n_pages, 77);
        cr_assert_null(sample.pages);
        close(child.process_fd);
}
