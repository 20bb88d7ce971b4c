/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What a target exits with when a wait came back with anything but what had been asked for. */
#define TARGET_HARMED 3

/* It cannot do here what its mode is about. */
#define TARGET_SKIPS 77

#define TARGET_PAGES 16u

/* What a target checks of itself. */
#define expect(condition)                                                                          \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: harmed: %s: %m\n", __FILE__, __LINE__,             \
                                #condition);                                                       \
                        _exit(TARGET_HARMED);                                                      \
                }                                                                                  \
        } while (0)

/* Says that all is set up: from now on the test may inject. */
void target_ready(void);

/* The private file mapping that is to get a policy. */
extern unsigned char *target_memory;
extern size_t target_size;

typedef struct TargetMode {
        const char *name;
        void (*run)(void);
} TargetMode;

/* SIGUSR1 that came. */
extern volatile sig_atomic_t target_signals;

/* Waits for the test to write to our standard input. */
void target_read_byte(void);

pthread_t target_start(void *(*routine)(void *), void *argument);

/* The modes of inject-target-odd.c, and inject-target-threads.c; return the program's exit status. */
int target_run_odd(char **argv);
int target_run_threads(const char *mode);

/* Computes with every register full of known values until SIGUSR1. */
void target_spin_on_registers(void);

/* Spins inside a restartable sequence until SIGUSR1. */
void target_spin_in_rseq(void);
