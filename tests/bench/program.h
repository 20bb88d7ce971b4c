/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the measured programs share. Like those of the policy tests they know nothing of daxtierd, say
 * lines on standard output and are told by lines on standard input what to do next. */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE         ((size_t)4096)
#define WORDS        (PAGE / sizeof(uint64_t))
#define WORD_WRITTEN 100

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define expect(condition)                                                                          \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition,         \
                                strerror(errno));                                                  \
                        _exit(3);                                                                  \
                }                                                                                  \
        } while (0)

typedef struct Program {
        const char *name;
        int n_arguments;
        void (*run)(char **arguments);
} Program;

/* A private mapping of a whole file. */
typedef struct Area {
        uint64_t *words;
        size_t n_pages;
} Area;

uint64_t now_ns(void);
uint64_t cpu_ns(void);
/* The next of a row of numbers that is the same in every run. */
unsigned random_below(unsigned end);
void sleep_until(uint64_t ns);
void sleep_ns(uint64_t ns);

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The next line of standard input. The process ends with "exit", and with the input. */
const char *await_line(void);
void say_ready(void);
size_t number(const char *text);

/* What the file has at @word of @page; page_write() turns one of them round. */
uint64_t file_word(size_t page, size_t word);
void page_write(uint64_t *words, size_t page);
bool page_is_right(const uint64_t *words, size_t page, bool written);
Area area_map(const char *path);
/* How many of its pages are copies on @node. (One that is just being moved is on none.) */
size_t area_count(const Area *area, int node);
size_t area_wrong(const Area *area, bool written);

/* Times in ns, one a line. */
void times_write(const char *path, const uint64_t *times, size_t n);

/* policy-writer.c: those that a policy is for. */
void run_make(char **arguments);
void run_once(char **arguments);
void run_churn(char **arguments);
void run_writers(char **arguments);
void run_crowd(char **arguments);

/* policy-anon.c: those with memory of their own. */
void run_heap(char **arguments);
void run_pieces(char **arguments);

/* policy-timer.c: those that take times. */
void run_await(char **arguments);
void run_poll(char **arguments);
void run_stop(char **arguments);
void run_maps(char **arguments);
