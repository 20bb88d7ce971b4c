/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A program with a heap of which it reads some parts again and again and leaves others alone; it never
 * writes after the first time. It does what it is told on standard input, answers each command with one
 * line, and can say where its pages are and how often each has moved. Ranges are in MiB of the heap. */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE      ((size_t)4096)
#define MIB_PAGES ((size_t)256)
#define WORDS     (PAGE / sizeof(uint64_t))
#define BATCH     ((size_t)4096)

/* How often the watcher looks where the pages are. */
#define WATCH_NS 250000000

typedef struct Seen {
        int16_t node; /* -1: not yet */
        uint16_t moves;
} Seen;

static uint64_t *words;
static size_t n_pages;

/* What the reader reads, and a rest after each MiB of it. */
static _Atomic size_t hot_from, hot_to;
static _Atomic uint64_t rest_ns = 1000000;
static _Atomic uint64_t n_rounds;

static Seen *seen;
static size_t stride;
static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what)
{
        printf("error: %s: %s\n", what, strerror(errno));
        exit(1);
}

static void rest(uint64_t ns)
{
        struct timespec time = { .tv_sec = (time_t)(ns / 1000000000),
                                 .tv_nsec = (long)(ns % 1000000000) };

        nanosleep(&time, NULL);
}

static uint64_t word_of(size_t page)
{
        return page * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

static void *reader(void *unused)
{
        for (;;) {
                size_t to = hot_to;

                if (hot_from >= to)
                        rest(10000000);
                for (size_t page = hot_from; page < to; page++) {
                        if (((volatile uint64_t *)words)[page * WORDS] != word_of(page)) {
                                printf("error: page %zu is not as it was\n", page);
                                exit(1);
                        }
                        if (page % MIB_PAGES == MIB_PAGES - 1 && rest_ns > 0)
                                rest(rest_ns);
                }
                n_rounds++;
        }
        return unused;
}

/* The nodes of @n pages, every @step-th from @first on. */
static void find_nodes(size_t first, size_t step, size_t n, int *nodes)
{
        static _Thread_local void *addresses[BATCH];

        for (size_t i = 0; i < n; i++)
                addresses[i] = words + (first + i * step) * WORDS;
        if (syscall(SYS_move_pages, 0, n, addresses, NULL, nodes, 0) < 0)
                die("move_pages");
}

static void *watcher(void *unused)
{
        static int nodes[BATCH];
        size_t n_seen = n_pages / stride;

        for (;;) {
                for (size_t i = 0; i < n_seen; i += BATCH) {
                        size_t n = n_seen - i < BATCH ? n_seen - i : BATCH;

                        find_nodes(i * stride, stride, n, nodes);
                        pthread_mutex_lock(&seen_lock);
                        for (size_t j = 0; j < n; j++) {
                                if (nodes[j] < 0) /* on its way */
                                        continue;
                                if (seen[i + j].node >= 0 && seen[i + j].node != nodes[j])
                                        seen[i + j].moves++;
                                seen[i + j].node = (int16_t)nodes[j];
                        }
                        pthread_mutex_unlock(&seen_lock);
                }
                rest(WATCH_NS);
        }
        return unused;
}

static void start(void *(*run)(void *))
{
        pthread_t thread;

        errno = pthread_create(&thread, NULL, run, NULL);
        if (errno != 0)
                die("pthread_create");
}

/* map MIB [small] */
static void command_map(const char *argument)
{
        n_pages = strtoul(argument, NULL, 10) * MIB_PAGES;
        words = mmap(NULL, n_pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                     0);
        if (words == MAP_FAILED)
                die("mmap");
        if (strstr(argument, "small"))
                madvise(words, n_pages * PAGE, MADV_NOHUGEPAGE);
        for (size_t page = 0; page < n_pages; page++)
                words[page * WORDS] = word_of(page);
        start(reader);
        printf("mapped %lx\n", (unsigned long)words);
}

/* hot FROM TO: is read from now on, and nothing else. */
static void command_hot(const char *argument)
{
        size_t from = 0, to = 0;

        sscanf(argument, "%zu %zu", &from, &to);
        hot_to = 0;
        hot_from = from * MIB_PAGES;
        hot_to = to * MIB_PAGES;
        printf("hot\n");
}

/* rounds: answers how often all that is hot was read so far. */
static void command_rounds(const char *unused)
{
        (void)unused;
        printf("rounds %llu\n", (unsigned long long)n_rounds);
}

/* rest US */
static void command_rest(const char *argument)
{
        rest_ns = strtoul(argument, NULL, 10) * 1000;
        printf("rests\n");
}

/* count FROM TO NODE: answers the pages on that node. */
static void command_count(const char *argument)
{
        static int nodes[BATCH];
        size_t from = 0, to = 0, count = 0;
        int node = 0;

        sscanf(argument, "%zu %zu %d", &from, &to, &node);
        to *= MIB_PAGES;
        for (size_t page = from * MIB_PAGES; page < to; page += BATCH) {
                size_t n = to - page < BATCH ? to - page : BATCH;

                find_nodes(page, 1, n, nodes);
                for (size_t i = 0; i < n; i++)
                        count += nodes[i] == node;
        }
        printf("counted %zu\n", count);
}

/* watch STRIDE: from now on it is noted how often every so manieth page moves. */
static void command_watch(const char *argument)
{
        stride = strtoul(argument, NULL, 10);
        seen = calloc(n_pages / stride, sizeof(*seen));
        if (!seen)
                die("calloc");
        for (size_t i = 0; i < n_pages / stride; i++)
                seen[i].node = -1;
        start(watcher);
        printf("watching\n");
}

/* moves: answers how many of the pages watched have moved, and how many more than once. */
static void command_moves(const char *unused)
{
        size_t once = 0, more = 0;

        (void)unused;
        pthread_mutex_lock(&seen_lock);
        for (size_t i = 0; i < n_pages / stride; i++) {
                once += seen[i].moves == 1;
                more += seen[i].moves > 1;
        }
        pthread_mutex_unlock(&seen_lock);
        printf("moves %zu %zu %zu\n", n_pages / stride, once, more);
}

/* check: all is as it was written. Makes all of it hot for once. */
static void command_check(const char *unused)
{
        (void)unused;
        for (size_t page = 0; page < n_pages; page++)
                if (words[page * WORDS] != word_of(page)) {
                        printf("error: page %zu is not as it was\n", page);
                        exit(1);
                }
        printf("right\n");
}

int main(void)
{
        static const struct {
                const char *name;
                void (*run)(const char *argument);
        } commands[] = {
                { "map", command_map },     { "hot", command_hot },
                { "rest", command_rest },   { "count", command_count },
                { "watch", command_watch }, { "moves", command_moves },
                { "check", command_check }, { "rounds", command_rounds },
        };
        char line[128];

        setlinebuf(stdout);
        printf("ready %d\n", (int)getpid());
        while (fgets(line, sizeof(line), stdin)) {
                char *argument = line + strcspn(line, " \n");
                bool found = false;

                if (*argument)
                        *argument++ = '\0';
                if (strcmp(line, "exit") == 0)
                        return 0;
                for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]) && !found; i++)
                        if (strcmp(line, commands[i].name) == 0) {
                                found = true;
                                commands[i].run(argument);
                        }
                if (!found)
                        printf("error: no such command: %s\n", line);
        }
        return 0;
}
