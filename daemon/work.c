/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/work.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "policy/macro.h"

#define RUN_DIR   "/run/daxtierd"
#define LOCK_FILE "online.lock"

static const int held_back[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

/* Only there to make a system call return. */
static void alarm_ring(int signal_number)
{
}

static int signals_hold(Work *work)
{
        /* Without SA_RESTART. */
        struct sigaction ring = { .sa_handler = alarm_ring };
        sigset_t mask;

        sigemptyset(&mask);
        for (size_t i = 0; i < ARRAY_SIZE(held_back); i++)
                sigaddset(&mask, held_back[i]);

        if (sigaction(SIGALRM, &ring, &work->alarm) < 0 ||
            sigprocmask(SIG_BLOCK, &mask, &work->mask) < 0)
                return -errno;
        work->signals_held = true;

        /* The daemon, whose job process we are, takes its signals from a signalfd. */
        sigemptyset(&mask);
        sigaddset(&mask, SIGALRM);
        return sigprocmask(SIG_UNBLOCK, &mask, NULL) < 0 ? -errno : 0;
}

bool work_is_interrupted(void)
{
        sigset_t pending;

        if (sigpending(&pending) < 0)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(held_back); i++)
                if (sigismember(&pending, held_back[i]) > 0)
                        return true;
        return false;
}

int work_lock(Work *work, bool wait)
{
        work->sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (work->sys_fd < 0)
                return -errno;

        /* The service's RuntimeDirectory; the command may come before its first start. */
        if (mkdir(RUN_DIR, 0755) < 0 && errno != EEXIST)
                return -errno;
        work->run_fd = open(RUN_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (work->run_fd < 0)
                return -errno;

        work->lock_fd =
                openat(work->run_fd, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (work->lock_fd < 0)
                return -errno;

        /* The kernel drops it for us however we end. */
        if (flock(work->lock_fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0)
                return -errno;
        return 0;
}

static uint64_t whole_blocks(const DeviceRange *range, uint64_t block_size)
{
        uint64_t first = range->start / block_size + (range->start % block_size != 0);
        uint64_t end = (range->start + range->size) / block_size;

        return end > first ? end - first : 0;
}

static void work_device_take(Work *work, Device *device)
{
        device_deinit(&work->device);
        work->device = *device;
        *device = (Device){};

        work->n_expected = 0;
        for (size_t i = 0; i < work->device.n_ranges; i++)
                work->n_expected += whole_blocks(&work->device.ranges[i], work->block_size);
}

int work_begin(Work *work, const char *name, bool dry_run, online_step_fn step, void *userdata)
{
        Device device;
        int r;

        work->dry_run = dry_run;
        work->step = step;
        work->userdata = userdata;

        if (dry_run) {
                work->sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (work->sys_fd < 0)
                        return -errno;
        } else {
                if (geteuid() != 0)
                        return -EPERM;
                r = work_lock(work, true);
                if (r >= 0)
                        r = signals_hold(work);
                if (r < 0)
                        return r;
        }

        r = memblock_size(work->sys_fd, &work->block_size);
        if (r == -ENOENT)
                return -EOPNOTSUPP; /* a kernel without memory hot-plug */
        if (r < 0)
                return r;

        r = device_find(name, &device);
        if (r < 0)
                return r;
        work_device_take(work, &device);

        /* Without its ranges we cannot tell the device's blocks from its neighbours'. */
        if (!dry_run && work->device.n_ranges == 0) {
                work_failed(work, work->device.chardev, "find its physical range", -ENXIO);
                return -ENXIO;
        }
        return 0;
}

void work_end(Work *work)
{
        device_deinit(&work->device);
        closep(&work->sys_fd);
        closep(&work->run_fd);
        closep(&work->lock_fd);
        if (work->signals_held) {
                sigaction(SIGALRM, &work->alarm, NULL);
                sigprocmask(SIG_SETMASK, &work->mask, NULL);
        }
        *work = (Work)WORK_INIT;
}

int work_device_refresh(Work *work)
{
        Device device;
        int r;

        r = device_find(work->device.chardev, &device);
        if (r < 0)
                return r;
        work_device_take(work, &device);
        return 0;
}

int work_blocks_read(Work *work, MemBlock **ret_blocks, size_t *ret_n_blocks)
{
        _cleanup_(freep) MemBlock *blocks = NULL;
        size_t n_blocks = 0;

        for (size_t i = 0; i < work->device.n_ranges; i++) {
                const DeviceRange *range = &work->device.ranges[i];
                _cleanup_(freep) MemBlock *some = NULL;
                MemBlock *larger;
                size_t n_some;
                int r;

                r = memblocks_read(work->sys_fd, range->start, range->size, &some, &n_some);
                if (r < 0)
                        return r;
                if (n_some == 0)
                        continue;

                larger = reallocarray(blocks, n_blocks + n_some, sizeof(*blocks));
                if (!larger)
                        return -ENOMEM;
                blocks = larger;
                memcpy(blocks + n_blocks, some, n_some * sizeof(*some));
                n_blocks += n_some;
        }

        *ret_blocks = TAKE_PTR(blocks);
        *ret_n_blocks = n_blocks;
        return 0;
}

bool work_block_is(Work *work, uint64_t index, MemBlockState state)
{
        _cleanup_(freep) MemBlock *block = NULL;
        size_t n_blocks;
        int r;

        r = memblocks_read(work->sys_fd, index * work->block_size, work->block_size, &block,
                           &n_blocks);
        return r >= 0 && n_blocks == 1 && block[0].state == state;
}

int work_report(Work *work, const char *object, const char *action, OnlineResult result, int error)
{
        OnlineStep step = { .result = result, .error = error };
        int r;

        snprintf(step.object, sizeof(step.object), "%s", object);
        snprintf(step.action, sizeof(step.action), "%s", action);
        if (result == ONLINE_FAILED)
                work->n_failed++;

        r = work->step(&step, work->userdata);
        if (r < 0)
                return r;
        return work->signals_held && work_is_interrupted() ? -EINTR : 0;
}

int work_failed(Work *work, const char *object, const char *action, int error)
{
        return work_report(work, object, action, ONLINE_FAILED, error);
}

static int block_report(Work *work, uint64_t index, const char *action, OnlineResult result,
                        int error)
{
        char object[48];

        snprintf(object, sizeof(object), "memory%" PRIu64, index);
        return work_report(work, object, action, result, error);
}

int work_block_report(Work *work, uint64_t index, const char *action, OnlineResult result)
{
        return block_report(work, index, action, result, 0);
}

int work_block_failed(Work *work, uint64_t index, const char *action, int error)
{
        return block_report(work, index, action, ONLINE_FAILED, error);
}
