/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs that map files and write. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "program.h"

#define THREADS_MAX 8u
#define CHURN_PAGES 16u
/* After so many pages a thread that rests does. */
#define PAGES_A_REST 64u

/* make FILE PAGES */
void run_make(char **arguments)
{
        size_t n = number(arguments[1]);
        FILE *stream = fopen(arguments[0], "we");

        expect(stream);
        for (size_t i = 0; i < n; i++) {
                uint64_t words[WORDS];

                for (size_t j = 0; j < WORDS; j++)
                        words[j] = file_word(i, j);
                expect(fwrite(words, PAGE, 1, stream) == 1);
        }
        expect(fclose(stream) == 0);
}

static void say_count(const char *word, const Area *area, int node, uint64_t ns)
{
        size_t there = area_count(area, node);

        say("%s %zu %llu", word, area->n_pages - there, (unsigned long long)ns / 1000);
}

/* once FILE NODE: told to go it maps the file and writes to each page at once. Answers, and whenever
 * told "count" again, with the copies that are not on NODE, and the microseconds that it took. */
void run_once(char **arguments)
{
        int node = (int)number(arguments[1]);
        uint64_t began, took;
        Area area;

        say_ready();
        await_line();
        began = now_ns();
        area = area_map(arguments[0]);
        for (size_t i = 0; i < area.n_pages; i++)
                page_write(area.words + i * WORDS, i);
        took = now_ns() - began;
        say_count("written", &area, node, took);
        while (strcmp(await_line(), "count") == 0)
                say_count("counted", &area, node, took);
        say("wrong %zu", area_wrong(&area, true));
        await_line();
}

/* Waits for input in turns in calls that a stop can make fail; counts those that did. */
static bool churn_rest(int epoll_fd, size_t round, size_t *interrupted)
{
        struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
        int ms = 1 + (int)random_below(20);
        struct timespec time = { .tv_nsec = ms * 1000000 };
        struct epoll_event event;
        int r;

        switch (round % 3) {
        case 0:
                r = poll(&input, 1, ms);
                break;
        case 1:
                r = epoll_wait(epoll_fd, &event, 1, ms);
                break;
        default:
                r = nanosleep(&time, NULL);
                break;
        }
        *interrupted += r < 0;
        return r > 0;
}

/* churn FILE: maps a piece of it, writes, rests, checks and unmaps, until there is input. Answers with
 * rounds, wrong pages, and waits that failed. */
void run_churn(char **arguments)
{
        int fd = open(arguments[0], O_RDONLY | O_CLOEXEC), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN };
        size_t rounds = 0, wrong = 0, interrupted = 0;
        bool told = false;

        expect(fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0);
        say_ready();
        await_line();
        while (!told) {
                Area area = { .n_pages = CHURN_PAGES };

                area.words =
                        mmap(NULL, CHURN_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
                expect(area.words != MAP_FAILED);
                for (size_t i = 0; i < CHURN_PAGES; i++)
                        page_write(area.words + i * WORDS, i);
                told = churn_rest(epoll_fd, rounds++, &interrupted);
                wrong += area_wrong(&area, true);
                expect(munmap(area.words, CHURN_PAGES * PAGE) == 0);
        }
        await_line();
        say("churned %zu %zu %zu", rounds, wrong, interrupted);
        await_line();
}

typedef struct Writers {
        Area area;
        size_t n_threads;
        uint64_t rest_ns;
        bool enough;
        uint64_t longest_ns;
} Writers;

static Writers writers;

/* Writes its own part again and again, and reads back what it wrote. */
static void *write_part(void *argument)
{
        size_t part = writers.area.n_pages / writers.n_threads, first = (size_t)argument * part;
        uint64_t longest = 0, last = now_ns();

        for (uint64_t round = 1; !__atomic_load_n(&writers.enough, __ATOMIC_RELAXED); round++)
                for (size_t i = 0; i < part; i++) {
                        volatile uint64_t *word =
                                writers.area.words + (first + i) * WORDS + WORD_WRITTEN;
                        uint64_t now;

                        *word = round;
                        expect(*word == round);
                        now = now_ns();
                        if (now - last > longest)
                                longest = now - last;
                        last = now;
                        if (writers.rest_ns && i % PAGES_A_REST == 0) {
                                sleep_ns(writers.rest_ns);
                                last = now_ns();
                        }
                }

        for (size_t i = first; i < first + part; i++)
                page_write(writers.area.words + i * WORDS, i);
        if (longest > __atomic_load_n(&writers.longest_ns, __ATOMIC_RELAXED))
                __atomic_store_n(&writers.longest_ns, longest, __ATOMIC_RELAXED);
        return NULL;
}

static void writers_start(pthread_t *threads)
{
        writers.enough = false;
        writers.longest_ns = 0;
        for (size_t i = 0; i < writers.n_threads; i++)
                expect(pthread_create(&threads[i], NULL, write_part, (void *)i) == 0);
        say("started");
}

static void writers_stop(pthread_t *threads)
{
        __atomic_store_n(&writers.enough, true, __ATOMIC_RELAXED);
        for (size_t i = 0; i < writers.n_threads; i++)
                expect(pthread_join(threads[i], NULL) == 0);
        say("stopped %llu", (unsigned long long)writers.longest_ns / 1000);
}

/* writers FILE NODE THREADS REST_US: maps the file and writes to all of it; "start" and "stop" threads
 * that go on writing and rest for so long after some pages, "count" as above, "check". "stop" tells the
 * longest time in us between two writes of a thread, its rests apart. */
void run_writers(char **arguments)
{
        int node = (int)number(arguments[1]);
        pthread_t threads[THREADS_MAX];

        writers.area = area_map(arguments[0]);
        writers.n_threads = number(arguments[2]);
        writers.rest_ns = number(arguments[3]) * 1000;
        expect(writers.n_threads >= 1 && writers.n_threads <= THREADS_MAX &&
               writers.area.n_pages % writers.n_threads == 0);
        for (size_t i = 0; i < writers.area.n_pages; i++)
                page_write(writers.area.words + i * WORDS, i);
        say_ready();
        for (;;) {
                const char *line = await_line();

                if (strcmp(line, "start") == 0)
                        writers_start(threads);
                else if (strcmp(line, "stop") == 0)
                        writers_stop(threads);
                else if (strcmp(line, "count") == 0)
                        say_count("counted", &writers.area, node, 0);
                else
                        say("wrong %zu", area_wrong(&writers.area, true));
        }
}

static void crowd_member(uint64_t **mappings, size_t n, int up)
{
        char byte = 0;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (size_t i = 0; i < n; i++)
                page_write(mappings[i], 2 * i);
        expect(write(up, &byte, 1) == 1);
        for (;;)
                pause();
}

/* crowd FILE PROCESSES MAPPINGS: so many mappings of a page each, which the kernel cannot merge; told to go on,
 * so many children, each of which writes to all of them and then sleeps for ever. */
void run_crowd(char **arguments)
{
        size_t n_processes = number(arguments[1]), n_mappings = number(arguments[2]);
        int fd = open(arguments[0], O_RDONLY | O_CLOEXEC), up[2];
        uint64_t **mappings = calloc(n_mappings, sizeof(*mappings));
        char byte;

        expect(fd >= 0 && mappings && pipe2(up, O_CLOEXEC) == 0);
        for (size_t i = 0; i < n_mappings; i++) {
                mappings[i] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd,
                                   (off_t)(2 * i * PAGE));
                expect(mappings[i] != MAP_FAILED);
        }
        say_ready();
        await_line();
        for (size_t i = 0; i < n_processes; i++) {
                pid_t pid = fork();

                expect(pid >= 0);
                if (pid == 0)
                        crowd_member(mappings, n_mappings, up[1]);
        }
        for (size_t i = 0; i < n_processes; i++)
                expect(read(up[0], &byte, 1) == 1);
        say("grown");
        await_line();
}
