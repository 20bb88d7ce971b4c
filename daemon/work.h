/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/device.h"
#include "daemon/kernel/memblock.h"
#include "daemon/online.h"

typedef struct Work Work;

/* One run of device_online() or device_offline(): what it works on, and the reports it gives. It
 * has the machine's lock, and signals held back, from work_begin() to work_end(). */
struct Work {
        int sys_fd;
        int run_fd; /* /run/daxtierd; -1 in a dry run */
        int lock_fd;
        Device device;
        uint64_t block_size;
        uint64_t n_expected; /* whole blocks in the device; 0 without ranges */
        bool dry_run;
        online_step_fn step;
        void *userdata;
        unsigned n_failed;
        bool signals_held;
        sigset_t mask;
        struct sigaction alarm;
};

#define WORK_INIT                                                                                  \
        {                                                                                          \
                .sys_fd = -1, .run_fd = -1, .lock_fd = -1                                          \
        }

/* work_end() in any case, also after a failure. -EPERM: not root, and no dry run. */
int work_begin(Work *work, const char *name, bool dry_run, online_step_fn step, void *userdata);
void work_end(Work *work);

/* Just the directories and the lock. -EWOULDBLOCK: somebody has it and @wait is false. */
int work_lock(Work *work, bool wait);

/* The device again, as it is now. */
int work_device_refresh(Work *work);

/* All memory blocks wholly inside the device, by index. The caller frees. */
int work_blocks_read(Work *work, MemBlock **ret_blocks, size_t *ret_n_blocks);
bool work_block_is(Work *work, uint64_t index, MemBlockState state);

/* Whether one of the signals held back has come. */
bool work_is_interrupted(void);

/* Gives a step to the caller. Negative: end the work now; -EINTR: a signal came. A failed step
 * itself is no reason to. */
int work_report(Work *work, const char *object, const char *action, OnlineResult result, int error);
int work_failed(Work *work, const char *object, const char *action, int error);
int work_block_report(Work *work, uint64_t index, const char *action, OnlineResult result);
int work_block_failed(Work *work, uint64_t index, const char *action, int error);
