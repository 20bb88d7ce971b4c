/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Anonymous memory in every way that programs get it, and where its pages are as soon as they are
 * touched: move_pages() without nodes asks, and moves nothing. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "target.h"

#define PIECES_MAX  65536u
#define WORKERS_MAX 64u
#define FRESH_MAX   1024u
/* What a worker has at a time. */
#define KEPT 16u

/* Memory that stays, with a word of its own in each page and at its end. */
typedef struct Piece {
        uint64_t *words;
        size_t n_words;
} Piece;

static Piece pieces[PIECES_MAX];
static size_t n_pieces;

static uint64_t piece_word(size_t piece, size_t word)
{
        return UINT64_C(0xa7) << 56 | (uint64_t)piece << 24 | word;
}

static void piece_keep(void *memory, size_t size)
{
        Piece *piece = &pieces[n_pieces];

        expect(memory && n_pieces < PIECES_MAX);
        *piece = (Piece){ .words = memory, .n_words = size / sizeof(uint64_t) };
        for (size_t i = 0; i < piece->n_words; i++)
                piece->words[i] = piece_word(n_pieces, i);
        n_pieces++;
}

static void *map(size_t size)
{
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        expect(memory != MAP_FAILED);
        return memory;
}

/* "grow KIB": an eighth each by growth of the break, small and large malloc(), small mappings; the rest is one
 * mapping. */
void command_grow(const char *argument)
{
        size_t size = strtoul(argument, NULL, 10) * 1024, part = size / 8;
        char *grown = sbrk((intptr_t)part);

        expect(part >= 16 * PAGE && grown != (void *)-1);
        piece_keep((char *)(((uintptr_t)grown + 15) & ~(uintptr_t)15), part - 16);
        for (size_t i = 0; i < part / 1024; i++)
                piece_keep(malloc(1008), 1008);
        for (size_t i = 0; i <= part / (256 * 1024); i++)
                piece_keep(malloc(256 * 1024), 256 * 1024);
        for (size_t i = 0; i < part / (4 * PAGE); i++)
                piece_keep(map(4 * PAGE), 4 * PAGE);
        piece_keep(map(size / 2), size / 2);
        say("grown %zu", n_pieces);
}

/* All that was kept is as it was written. */
void command_right(const char *argument)
{
        (void)argument;
        for (size_t i = 0; i < n_pieces; i++)
                for (size_t j = 0; j < pieces[i].n_words; j++)
                        expect(pieces[i].words[j] == piece_word(i, j));
        say("right");
}

typedef struct Fresh {
        int node;
        size_t n_pages;
} Fresh;

static Fresh fresh_parse(const char *argument)
{
        Fresh fresh;

        expect(sscanf(argument, "%d %zu", &fresh.node, &fresh.n_pages) == 2);
        expect(fresh.n_pages <= FRESH_MAX);
        return fresh;
}

/* How many pages of a mapping that is new are on the node, right after they were touched. */
static size_t fresh_there(const Fresh *fresh)
{
        char *memory = map(fresh->n_pages * PAGE);
        void *pages[FRESH_MAX];
        int nodes[FRESH_MAX];
        size_t there = 0;

        for (size_t i = 0; i < fresh->n_pages; i++) {
                pages[i] = memory + i * PAGE;
                *(volatile char *)pages[i] = 1;
        }
        expect(syscall(SYS_move_pages, 0, fresh->n_pages, pages, NULL, nodes, 0) == 0);
        for (size_t i = 0; i < fresh->n_pages; i++)
                there += nodes[i] == fresh->node;
        expect(munmap(memory, fresh->n_pages * PAGE) == 0);
        return there;
}

/* "fresh NODE PAGES" answers with the pages, and those on the node. */
void command_fresh(const char *argument)
{
        Fresh fresh = fresh_parse(argument);

        say("fresh %zu %zu", fresh.n_pages, fresh_there(&fresh));
}

static pthread_t workers[WORKERS_MAX];
static size_t n_workers;
static bool enough;

/* What each worker is asked to look for, and how many have. */
static struct {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        Fresh fresh;
        size_t round, n_answered, there;
} asked = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void worker_answer(size_t *round)
{
        size_t there;

        pthread_mutex_lock(&asked.mutex);
        if (asked.round != *round) {
                *round = asked.round;
                there = fresh_there(&asked.fresh);
                asked.there += there;
                asked.n_answered++;
                pthread_cond_signal(&asked.changed);
        }
        pthread_mutex_unlock(&asked.mutex);
}

/* Goes on allocating, by malloc() and by mmap(), and frees what it has had for long. */
static void *work(void *argument)
{
        const struct timespec rest = { .tv_nsec = 1000000 };
        size_t round = (size_t)argument, i = 0;
        uint64_t *kept[KEPT] = {}, *mapped = NULL;

        while (!__atomic_load_n(&enough, __ATOMIC_RELAXED)) {
                size_t at = i % KEPT, n_words = (64 + i * 37 % 4096) / sizeof(uint64_t);

                expect(!kept[at] || kept[at][7] == piece_word(i - KEPT, 7));
                free(kept[at]);
                kept[at] = malloc(n_words * sizeof(uint64_t));
                expect(kept[at]);
                memset(kept[at], 1, n_words * sizeof(uint64_t));
                kept[at][7] = piece_word(i, 7);
                if (i % 8 == 0) {
                        expect(!mapped ||
                               (mapped[WORDS] == i - 8 && munmap(mapped, 2 * PAGE) == 0));
                        mapped = map(2 * PAGE);
                        mapped[WORDS] = i;
                }
                worker_answer(&round);
                nanosleep(&rest, NULL);
                i++;
        }
        for (size_t j = 0; j < KEPT; j++)
                free(kept[j]);
        return NULL;
}

/* "workers N": so many more. */
void command_workers(const char *argument)
{
        size_t n = strtoul(argument, NULL, 10);

        for (size_t i = 0; i < n; i++) {
                expect(n_workers < WORKERS_MAX);
                expect(pthread_create(&workers[n_workers++], NULL, work, (void *)asked.round) == 0);
        }
        say("working %zu", n_workers);
}

/* "each NODE PAGES": what "fresh" does, in each worker. */
void command_each(const char *argument)
{
        size_t there;

        pthread_mutex_lock(&asked.mutex);
        asked.fresh = fresh_parse(argument);
        asked.n_answered = asked.there = 0;
        asked.round++;
        while (asked.n_answered < n_workers)
                pthread_cond_wait(&asked.changed, &asked.mutex);
        there = asked.there;
        pthread_mutex_unlock(&asked.mutex);
        say("fresh %zu %zu", n_workers * asked.fresh.n_pages, there);
}

void command_rest(const char *argument)
{
        (void)argument;
        __atomic_store_n(&enough, true, __ATOMIC_RELAXED);
        while (n_workers > 0)
                expect(pthread_join(workers[--n_workers], NULL) == 0);
        enough = false;
        say("rested");
}

/* A child, its child, and what that executes: each tells what it saw. */
static void family_member(const Fresh *fresh, const char *argument, int up)
{
        size_t there = fresh_there(fresh);
        char number[16];
        int status;
        pid_t pid;

        expect(write(up, &there, sizeof(there)) == sizeof(there));
        pid = fork();
        expect(pid >= 0);
        if (pid > 0) {
                expect(waitpid(pid, &status, 0) == pid && status == 0);
                _exit(0);
        }
        there = fresh_there(fresh);
        expect(write(up, &there, sizeof(there)) == sizeof(there));
        expect(fcntl(up, F_SETFD, 0) == 0);
        snprintf(number, sizeof(number), "%d", up);
        execl("/proc/self/exe", "target", "fresh", argument, number, (char *)NULL);
        expect(false);
}

/* "family NODE PAGES N": N children, as many grandchildren, as many programs: as "fresh". */
void command_family(const char *argument)
{
        Fresh fresh = fresh_parse(argument);
        size_t n, sum = 0, there;
        int up[2], status;

        expect(sscanf(argument, "%*d %*u %zu", &n) == 1);
        expect(pipe2(up, O_CLOEXEC) == 0);
        for (size_t i = 0; i < n; i++) {
                pid_t pid = fork();

                expect(pid >= 0);
                if (pid == 0)
                        family_member(&fresh, argument, up[1]);
        }
        close(up[1]);
        for (size_t i = 0; i < 3 * n; i++) {
                expect(read(up[0], &there, sizeof(there)) == sizeof(there));
                sum += there;
        }
        close(up[0]);
        for (size_t i = 0; i < n; i++)
                expect(wait(&status) > 0 && status == 0);
        say("fresh %zu %zu", 3 * n * fresh.n_pages, sum);
}

/* fresh "NODE PAGES" FD: what a family's program does. */
int fresh_main(const char *argument, const char *fd)
{
        Fresh fresh = fresh_parse(argument);
        size_t there = fresh_there(&fresh);

        return write((int)strtol(fd, NULL, 10), &there, sizeof(there)) != sizeof(there);
}

/* A policy for itself, as numactl sets it for what it executes: prefer that node. */
void command_prefer(const char *argument)
{
        unsigned long mask = 1ul << strtoul(argument, NULL, 10);

        expect(syscall(SYS_set_mempolicy, MPOL_PREFERRED, &mask, sizeof(mask) * 8) == 0);
        say("preferred");
}

/* "spin N": maps, touches and unmaps anonymous memory N times, as fast as it can. */
void command_spin(const char *argument)
{
        size_t n = strtoul(argument, NULL, 10);
        uint64_t since = now_ns();

        for (size_t i = 0; i < n; i++) {
                char *memory = map(PAGE);

                *(volatile char *)memory = 1;
                expect(munmap(memory, PAGE) == 0);
        }
        say("spun %zu in %llu ms", n, (unsigned long long)(now_ns() - since) / 1000000);
}
