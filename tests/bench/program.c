/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <stdarg.h>

#include "program.h"

#define COUNT_AT_ONCE 1024u

uint64_t now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t cpu_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

unsigned random_below(unsigned end)
{
        static unsigned seed = 7;

        return (unsigned)rand_r(&seed) % end;
}

void sleep_until(uint64_t ns)
{
        struct timespec until = { .tv_sec = (time_t)(ns / 1000000000),
                                  .tv_nsec = (long)(ns % 1000000000) };

        expect(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0);
}

void sleep_ns(uint64_t ns)
{
        sleep_until(now_ns() + ns);
}

void say(const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        putchar('\n');
        fflush(stdout);
}

/* A byte at a time: what follows is left for poll() to find. */
const char *await_line(void)
{
        static char line[64];
        size_t n = 0;

        while (n < sizeof(line) - 1) {
                ssize_t r = read(STDIN_FILENO, line + n, 1);

                if (r == 0)
                        _exit(0);
                expect(r == 1);
                if (line[n] == '\n')
                        break;
                n++;
        }
        line[n] = 0;
        if (strcmp(line, "exit") == 0)
                _exit(0);
        return line;
}

void say_ready(void)
{
        say("ready %d", (int)getpid());
}

size_t number(const char *text)
{
        return strtoul(text, NULL, 10);
}

uint64_t file_word(size_t page, size_t word)
{
        return UINT64_C(0xda) << 56 | page << 16 | word;
}

void page_write(uint64_t *words, size_t page)
{
        ((volatile uint64_t *)words)[WORD_WRITTEN] = ~file_word(page, WORD_WRITTEN);
}

bool page_is_right(const uint64_t *words, size_t page, bool written)
{
        for (size_t i = 0; i < WORDS; i++) {
                uint64_t wanted = file_word(page, i);

                if (words[i] != (written && i == WORD_WRITTEN ? ~wanted : wanted))
                        return false;
        }
        return true;
}

Area area_map(const char *path)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat status;
        Area area;

        expect(fd >= 0 && fstat(fd, &status) == 0);
        area.n_pages = (size_t)status.st_size / PAGE;
        area.words = mmap(NULL, area.n_pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        expect(area.words != MAP_FAILED);
        close(fd);
        return area;
}

size_t area_count(const Area *area, int node)
{
        size_t count = 0;

        for (size_t first = 0; first < area->n_pages; first += COUNT_AT_ONCE) {
                size_t left = area->n_pages - first;
                size_t n = left < COUNT_AT_ONCE ? left : COUNT_AT_ONCE;
                const void *pages[COUNT_AT_ONCE];
                int nodes[COUNT_AT_ONCE];

                for (size_t i = 0; i < n; i++)
                        pages[i] = area->words + (first + i) * WORDS;
                expect(syscall(SYS_move_pages, 0, n, pages, NULL, nodes, 0) == 0);
                for (size_t i = 0; i < n; i++)
                        count += nodes[i] == node;
        }
        return count;
}

size_t area_wrong(const Area *area, bool written)
{
        size_t n = 0;

        for (size_t i = 0; i < area->n_pages; i++)
                n += !page_is_right(area->words + i * WORDS, i, written);
        return n;
}

void times_write(const char *path, const uint64_t *times, size_t n)
{
        FILE *stream = fopen(path, "we");

        expect(stream);
        for (size_t i = 0; i < n; i++)
                fprintf(stream, "%llu\n", (unsigned long long)times[i]);
        expect(fclose(stream) == 0);
}

static const Program programs[] = {
        { "make", 2, run_make },       { "once", 2, run_once },     { "churn", 1, run_churn },
        { "writers", 4, run_writers }, { "crowd", 3, run_crowd },   { "await", 4, run_await },
        { "poll", 4, run_poll },       { "stop", 4, run_stop },     { "maps", 2, run_maps },
        { "heap", 2, run_heap },       { "pieces", 2, run_pieces },
};

int main(int argc, char **argv)
{
        for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(programs); i++)
                if (strcmp(argv[1], programs[i].name) == 0 && argc - 2 == programs[i].n_arguments) {
                        programs[i].run(argv + 2);
                        return 0;
                }
        fprintf(stderr, "program: no such program, or not its arguments\n");
        return 2;
}
