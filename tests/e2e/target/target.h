/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The program that the policy tests run: unmodified, as it knows nothing of daxtierd. It does what it
 * is told on standard input, answers each command with one line, and checks for itself that nothing
 * happened to it: a call that ends as nobody asked for, or content that nobody wrote, is harm. */

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TARGET_HARMED 3
#define PAGE          ((size_t)4096)
#define WORDS         (PAGE / sizeof(uint64_t))

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* What a target checks of itself. */
#define expect(condition)                                                                          \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        say("harmed: %s:%d: %s: %s", __FILE__, __LINE__, #condition,               \
                            strerror(errno));                                                      \
                        _exit(TARGET_HARMED);                                                      \
                }                                                                                  \
        } while (0)

typedef struct Command {
        const char *name;
        void (*run)(const char *argument);
} Command;

/* The private mapping that all is about. */
typedef struct Mapping {
        uint64_t *words;
        size_t n_pages;
        bool *written; /* each page */
} Mapping;

extern Mapping mapping;
extern const char *file_path; /* "-": anonymous memory */
extern volatile sig_atomic_t signals;

/* One line on standard output, in one write(). */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The next line of standard input, without its end. The process ends with the input. */
const char *read_line(void);
uint64_t now_ns(void);

int file_open(void);
/* What the file has at @word of @page, and what write_page() puts at WORD_WRITTEN. */
uint64_t file_word(size_t page, size_t word);
void write_page(uint64_t *words, size_t page);
bool page_is_right(const uint64_t *words, size_t page, bool written);

/* A child goes on with the commands; its parent waits for it, and then goes on itself. */
void hand_to_child(const char *what);

/* target-wait.c: blocks in the call named until told to go on. */
void command_open(const char *argument);
void command_wait(const char *argument);

/* target-many.c */
void command_threads(const char *argument);
void command_join(const char *argument);
void command_many(const char *argument);
void command_churn(const char *argument);
void command_tree(const char *argument);

/* target-anon.c */
void command_grow(const char *argument);
void command_right(const char *argument);
void command_fresh(const char *argument);
void command_workers(const char *argument);
void command_each(const char *argument);
void command_rest(const char *argument);
void command_family(const char *argument);
void command_prefer(const char *argument);
void command_spin(const char *argument);
int fresh_main(const char *argument, const char *fd);

/* target-other.c: what is no target itself. Returns the exit status; 2: not one of these. */
int other_main(int argc, char **argv);
