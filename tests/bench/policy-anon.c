/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs that have anonymous memory. */
#define _GNU_SOURCE

#include "program.h"

static Area heap_map(size_t mib)
{
        Area area = { .n_pages = mib * 256 };

        area.words = mmap(NULL, area.n_pages * PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        expect(area.words != MAP_FAILED);
        return area;
}

/* Pages of which other words were written than page_write() does, or which lost that. */
static size_t heap_wrong(const Area *area)
{
        size_t n = 0;

        for (size_t i = 0; i < area->n_pages; i++) {
                const uint64_t *words = area->words + i * WORDS;
                bool right = words[WORD_WRITTEN] == ~file_word(i, WORD_WRITTEN);

                for (size_t j = 0; right && j < WORDS; j++)
                        right = j == WORD_WRITTEN || words[j] == 0;
                n += !right;
        }
        return n;
}

/* heap MIB NODE: told to go it maps so much and writes to each page. Answers, and whenever told "count"
 * again, with the pages that are not on NODE, and the microseconds that it took. */
void run_heap(char **arguments)
{
        int node = (int)number(arguments[1]);
        uint64_t began, took;
        Area area;

        say_ready();
        await_line();
        began = now_ns();
        area = heap_map(number(arguments[0]));
        for (size_t i = 0; i < area.n_pages; i++)
                page_write(area.words + i * WORDS, i);
        took = now_ns() - began;
        say("written %zu %llu", area.n_pages - area_count(&area, node),
            (unsigned long long)took / 1000);
        while (strcmp(await_line(), "count") == 0)
                say("counted %zu %llu", area.n_pages - area_count(&area, node),
                    (unsigned long long)took / 1000);
        say("wrong %zu", heap_wrong(&area));
        await_line();
}

/* pieces N RATE: maps, touches and unmaps a page N times, RATE times a second if it can. Says what that
 * took of its own processor for each, in ns, and all of it in us. */
void run_pieces(char **arguments)
{
        size_t n = number(arguments[0]), rate = number(arguments[1]);
        uint64_t began_cpu, began;

        expect(n > 0 && rate > 0);
        say_ready();
        await_line();
        began_cpu = cpu_ns();
        began = now_ns();
        for (size_t i = 0; i < n; i++) {
                uint64_t *words = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                expect(words != MAP_FAILED);
                page_write(words, 0);
                expect(munmap(words, PAGE) == 0);
                /* In steps of 10 ms: a sleep each time would cost more than what is measured. */
                if (i % (rate / 100 + 1) == 0)
                        sleep_until(began + i * UINT64_C(1000000000) / rate);
        }
        say("pieces %llu %llu", (unsigned long long)(cpu_ns() - began_cpu) / n,
            (unsigned long long)(now_ns() - began) / 1000);
        await_line();
}
