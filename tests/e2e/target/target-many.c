/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Much of everything: threads, mappings, processes. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "target.h"

#define THREADS_MAX 256

static pthread_t threads[THREADS_MAX];
static size_t n_threads;
static bool enough;
static uint64_t longest_gap_ns;

/* Writes its own part of the mapping again and again, and reads back what it wrote. */
static void *write_part(void *argument)
{
        size_t part = mapping.n_pages / n_threads, first = (size_t)argument * part, rounds = 0;
        uint64_t last = now_ns(), longest = 0;

        do {
                for (size_t i = first; i < first + part; i++) {
                        volatile uint64_t *word = mapping.words + i * WORDS + WORDS - 1;
                        uint64_t value = (uint64_t)rounds << 32 | i, now;

                        *word = value;
                        expect(*word == value);
                        now = now_ns();
                        if (now - last > longest)
                                longest = now - last;
                        last = now;
                }
                rounds++;
        } while (!__atomic_load_n(&enough, __ATOMIC_RELAXED));

        for (size_t i = first; i < first + part; i++) {
                mapping.words[i * WORDS + WORDS - 1] = file_word(i, WORDS - 1);
                write_page(mapping.words + i * WORDS, i);
                mapping.written[i] = true;
        }
        if (longest > __atomic_load_n(&longest_gap_ns, __ATOMIC_RELAXED))
                __atomic_store_n(&longest_gap_ns, longest, __ATOMIC_RELAXED);
        return (void *)rounds;
}

void command_threads(const char *argument)
{
        n_threads = strtoul(argument, NULL, 10);
        expect(n_threads > 0 && n_threads <= THREADS_MAX && mapping.n_pages >= n_threads);
        enough = false;
        longest_gap_ns = 0;
        for (size_t i = 0; i < n_threads; i++)
                expect(pthread_create(&threads[i], NULL, write_part, (void *)i) == 0);
        say("started");
}

/* Answers with the longest time between two writes of a thread. */
void command_join(const char *argument)
{
        (void)argument;
        __atomic_store_n(&enough, true, __ATOMIC_RELAXED);
        for (size_t i = 0; i < n_threads; i++)
                expect(pthread_join(threads[i], NULL) == 0);
        say("joined, longest gap %llu us", (unsigned long long)longest_gap_ns / 1000);
}

static uint64_t **many;
static size_t n_many;

/* Neighbours are never next to each other in the file, so that the kernel cannot merge them. */
static size_t many_page(size_t i, size_t n_pages)
{
        return i * 7 % n_pages;
}

/* "many N": N mappings of a page each. "many write", "many check". */
void command_many(const char *argument)
{
        size_t n_pages = 1024;

        if (strcmp(argument, "write") == 0) {
                for (size_t i = 0; i < n_many; i++)
                        write_page(many[i], many_page(i, n_pages));
                say("written");
        } else if (strcmp(argument, "check") == 0) {
                for (size_t i = 0; i < n_many; i++)
                        expect(page_is_right(many[i], many_page(i, n_pages), true));
                say("ok");
        } else {
                int fd = file_open();

                n_many = strtoul(argument, NULL, 10);
                many = calloc(n_many, sizeof(*many));
                expect(many);
                for (size_t i = 0; i < n_many; i++) {
                        many[i] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd,
                                       (off_t)(many_page(i, n_pages) * PAGE));
                        expect(many[i] != MAP_FAILED);
                }
                close(fd);
                say("mapped %zu", n_many);
        }
}

/* "churn N RATE": maps, writes and unmaps N times, RATE times a second. */
void command_churn(const char *argument)
{
        unsigned long n, rate;
        uint64_t next, since = now_ns();
        int fd = file_open();

        expect(sscanf(argument, "%lu %lu", &n, &rate) == 2 && rate > 0);
        next = since;
        for (size_t i = 0; i < n; i++) {
                uint64_t *words = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
                struct timespec until;

                expect(words != MAP_FAILED);
                write_page(words, 0);
                expect(page_is_right(words, 0, true));
                expect(munmap(words, PAGE) == 0);
                next += 1000000000 / rate;
                until = (struct timespec){ .tv_sec = (time_t)(next / 1000000000),
                                           .tv_nsec = (long)(next % 1000000000) };
                expect(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0);
        }
        close(fd);
        say("churned %lu in %llu ms", n, (unsigned long long)(now_ns() - since) / 1000000);
}

/* One process of the tree, with @n - 1 below it. Says so through @up, ends when @down does. */
static void tree_grow(size_t n, int up, int down)
{
        size_t left = (n - 1) / 2, below[2] = { left, n - 1 - left };
        uint64_t *own;
        pid_t pids[2] = {};
        int fd, status;
        char byte = 0;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (size_t i = 0; i < 2; i++) {
                if (below[i] == 0)
                        continue;
                pids[i] = fork();
                expect(pids[i] >= 0);
                if (pids[i] == 0) {
                        tree_grow(below[i], up, down);
                        _exit(0);
                }
        }

        /* A page that it shares with its parents, and a mapping that it has alone. */
        write_page(mapping.words, 0);
        fd = file_open();
        own = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        expect(own != MAP_FAILED);
        close(fd);
        expect(write(up, &byte, 1) == 1);
        expect(read(down, &byte, 1) == 0);
        write_page(own, 0);
        expect(page_is_right(own, 0, true) && page_is_right(own + WORDS, 1, false));
        expect(page_is_right(mapping.words, 0, true));
        for (size_t i = 0; i < 2; i++)
                expect(!pids[i] || (waitpid(pids[i], &status, 0) == pids[i] && status == 0));
}

/* "tree N": N processes that stay until the next line comes. */
void command_tree(const char *argument)
{
        size_t n = strtoul(argument, NULL, 10);
        int up[2], down[2], status;
        char byte;
        pid_t pid;

        expect(n > 0 && mapping.words && pipe(up) == 0 && pipe(down) == 0);
        pid = fork();
        expect(pid >= 0);
        if (pid == 0) {
                close(up[0]);
                close(down[1]);
                tree_grow(n, up[1], down[0]);
                _exit(0);
        }
        close(up[1]);
        close(down[0]);
        for (size_t i = 0; i < n; i++)
                expect(read(up[0], &byte, 1) == 1);
        say("grown");
        read_line();
        close(down[1]);
        expect(waitpid(pid, &status, 0) == pid && status == 0);
        close(up[0]);
        say("felled");
}
