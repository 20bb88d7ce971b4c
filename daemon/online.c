/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/online.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "daemon/hold.h"
#include "daemon/kernel/chardev.h"
#include "daemon/kernel/memblock.h"
#include "daemon/work.h"
#include "policy/macro.h"

static const char *state_for(Zone zone)
{
        return zone == ZONE_MOVABLE ? "online_movable" : "online_kernel";
}

/* A kernel that does not tell the zone (no memory hot-remove) gets the benefit of the doubt. */
static bool zone_is(const MemBlock *block, Zone zone)
{
        if (block->zone == MEMBLOCK_ZONE_NONE)
                return true;
        return (block->zone == MEMBLOCK_ZONE_MOVABLE) == (zone == ZONE_MOVABLE);
}

static bool block_is_good(const MemBlock *block, Zone zone)
{
        return block->state == MEMBLOCK_ONLINE && zone_is(block, zone);
}

/* What would make binding fail, or hurt somebody, before anything is touched. */
static int bind_check(Work *work)
{
        const Device *device = &work->device;
        _cleanup_(closep) int proc_fd = -1;
        char object[32], action[64];
        pid_t pid;
        int r;

        if (device->target_node < 0) {
                work_failed(work, device->chardev, "no NUMA node from the firmware", -ENXIO);
                return -ENXIO;
        }
        if (device->n_ranges > 0 && work->n_expected == 0) {
                work_failed(work, device->chardev, "smaller than one memory block", -ERANGE);
                return -ERANGE;
        }
        if (device->mode != DEVICE_MODE_DEVDAX)
                return 0;

        proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (proc_fd < 0)
                return -errno;
        r = chardev_find_user(proc_fd, device->number, &pid);
        if (r == -ESRCH)
                return 0;
        if (r < 0)
                return r;

        snprintf(object, sizeof(object), "pid %d", (int)pid);
        snprintf(action, sizeof(action), "uses /dev/%s: stop it first", device->chardev);
        work_failed(work, object, action, -EBUSY);
        return -EBUSY;
}

/* kmem takes whole blocks only: what is before the first and behind the last is of no use. */
static int remainder_report(Work *work)
{
        uint64_t used = work->n_expected * work->block_size;
        char action[64];

        if (work->device.n_ranges == 0 || work->device.size <= used)
                return 0;

        snprintf(action, sizeof(action), "leave %" PRIu64 " MiB unused (no whole block)",
                 (work->device.size - used) >> 20);
        return work_report(work, work->device.chardev, action,
                           work->dry_run ? ONLINE_WOULD : ONLINE_DONE, 0);
}

static int bind_dry(Work *work, Zone zone)
{
        char action[64];
        int r;

        r = work_report(work, work->device.chardev, "bind kmem", ONLINE_WOULD, 0);
        if (r < 0)
                return r;
        if (work->device.n_ranges == 0)
                return 0;

        snprintf(action, sizeof(action), "%s %" PRIu64 " blocks", state_for(zone),
                 work->n_expected);
        return work_report(work, work->device.chardev, action, ONLINE_WOULD, 0);
}

/* While we bind, the kernel onlines the blocks in the right zone itself, before anybody else (udev
 * rules that online all memory, in zone Normal) hears of them. Nothing is reported, and no signal
 * looked at, until the policy is back. */
static int bind_held(Work *work, Zone zone)
{
        const char *const object = "auto_online_blocks";
        int held, bound, released;
        char found[32], action[64];
        Hold hold;

        held = hold_take(work->sys_fd, work->run_fd, HOLD_AUTO_ONLINE, state_for(zone), &hold);
        if (held < 0) {
                snprintf(action, sizeof(action), "set %s", state_for(zone));
                work_failed(work, object, action, held);
                return held;
        }

        memcpy(found, hold.found, sizeof(found));
        bound = device_bind_kmem(&work->device);
        released = hold_release(&hold);

        if (found[0] != '\0') {
                snprintf(action, sizeof(action), "set %s, then %s again", hold.set, found);
                if (released < 0)
                        work_failed(work, object, action, released);
                else
                        work_report(work, object, action, ONLINE_DONE, 0);
        }
        if (bound < 0) {
                work_failed(work, work->device.chardev, "bind kmem", bound);
                return bound;
        }
        return work_report(work, work->device.chardev, "bind kmem", ONLINE_DONE, 0);
}

/* Reports neighbours that are online as wanted as one: "memory144-158". */
static int run_report(Work *work, const MemBlock *first, const MemBlock *last, Zone zone,
                      OnlineResult result)
{
        char object[48];

        if (first == last)
                snprintf(object, sizeof(object), "memory%" PRIu64, first->index);
        else
                snprintf(object, sizeof(object), "memory%" PRIu64 "-%" PRIu64, first->index,
                         last->index);
        return work_report(work, object, state_for(zone), result, 0);
}

static int block_online(Work *work, const MemBlock *block, Zone zone)
{
        int r;

        if (work->dry_run)
                return run_report(work, block, block, zone, ONLINE_WOULD);

        r = memblock_set_state(work->sys_fd, block->index, state_for(zone));
        if (r == -EINVAL && work_block_is(work, block->index, MEMBLOCK_ONLINE))
                r = 0; /* somebody else was faster; the zone is looked at in the end */
        if (r < 0)
                return work_block_failed(work, block->index, state_for(zone), r);
        return run_report(work, block, block, zone, ONLINE_DONE);
}

/* Blocks that are as wanted are reported in runs, as @result; the others are brought there. One in
 * another zone is left to blocks_verify(): forcing it could take memory from under its users. */
static int blocks_online(Work *work, Zone zone, OnlineResult result)
{
        _cleanup_(freep) MemBlock *blocks = NULL;
        size_t n_blocks, first = 0;
        int r;

        r = work_blocks_read(work, &blocks, &n_blocks);
        for (size_t i = 0; r >= 0 && i < n_blocks; i++) {
                bool last = i + 1 == n_blocks || blocks[i + 1].index != blocks[i].index + 1 ||
                            !block_is_good(&blocks[i + 1], zone);

                if (!block_is_good(&blocks[i], zone)) {
                        first = i + 1;
                        if (blocks[i].state == MEMBLOCK_OFFLINE)
                                r = block_online(work, &blocks[i], zone);
                } else if (last) {
                        r = run_report(work, &blocks[first], &blocks[i], zone, result);
                        first = i + 1;
                }
        }

        return r;
}

/* Why a block that is online is not as wanted; an offline one was reported when it failed. */
static int block_verify(Work *work, const MemBlock *block, Zone zone)
{
        char action[64];

        if (block->state == MEMBLOCK_GOING_OFFLINE)
                return work_block_failed(work, block->index, "is being offlined by somebody",
                                         -EAGAIN);
        if (block->state == MEMBLOCK_OFFLINE)
                return 0;
        if (!zone_is(block, zone)) {
                snprintf(action, sizeof(action), "is not in zone %s: offline it first",
                         zone == ZONE_MOVABLE ? "Movable" : "Normal");
                return work_block_failed(work, block->index, action, -EUCLEAN);
        }

        snprintf(action, sizeof(action), "is on node %d, not %d", block->node,
                 work->device.target_node);
        return work_block_failed(work, block->index, action, -EUCLEAN);
}

static int blocks_verify(Work *work, Zone zone, OnlineResult result)
{
        _cleanup_(freep) MemBlock *blocks = NULL;
        size_t n_blocks, n_good = 0;
        char action[64];
        int r;

        r = work_blocks_read(work, &blocks, &n_blocks);
        for (size_t i = 0; r >= 0 && i < n_blocks; i++)
                if (block_is_good(&blocks[i], zone) && blocks[i].node == work->device.target_node)
                        n_good++;
                else
                        r = block_verify(work, &blocks[i], zone);
        if (r < 0)
                return r;

        snprintf(action, sizeof(action), "verify %zu of %" PRIu64 " blocks", n_good,
                 work->n_expected);
        if (n_good < work->n_expected)
                return work_failed(work, work->device.chardev, action, -EUCLEAN);
        return work_report(work, work->device.chardev, action, result, 0);
}

static int work_online(Work *work, Zone zone)
{
        OnlineResult result = ONLINE_ALREADY;
        int r;

        if (work->device.mode != DEVICE_MODE_SYSTEM_RAM) {
                r = bind_check(work);
                if (r >= 0)
                        r = remainder_report(work);
                if (r >= 0)
                        r = work->dry_run ? bind_dry(work, zone) : bind_held(work, zone);
                if (r < 0 || work->dry_run)
                        return r;

                r = work_device_refresh(work);
                if (r < 0)
                        return r;
                result = ONLINE_DONE;
        }

        r = blocks_online(work, zone, result);
        if (r >= 0 && !work->dry_run)
                r = blocks_verify(work, zone, result);
        return r;
}

int device_online(const char *name, Zone zone, bool dry_run, online_step_fn step, void *userdata)
{
        _cleanup_(work_end) Work work = WORK_INIT;
        int r;

        r = work_begin(&work, name, dry_run, step, userdata);
        if (r >= 0)
                r = work_online(&work, zone);
        if (r >= 0 && work.n_failed > 0)
                r = -EUCLEAN;
        return r;
}

/* The kernel retries a page that is pinned until a signal comes, so one does. */
static int block_offline(Work *work, const MemBlock *block)
{
        int r;

        if (work->dry_run)
                return work_block_report(work, block->index, "offline", ONLINE_WOULD);

        alarm(ONLINE_BLOCK_TIMEOUT_SEC);
        r = memblock_set_state(work->sys_fd, block->index, "offline");
        alarm(0);

        if (r == -EINVAL && work_block_is(work, block->index, MEMBLOCK_OFFLINE))
                r = 0;
        if (r == -EINTR)
                return work_is_interrupted()
                               ? -EINTR
                               : work_block_failed(work, block->index,
                                                   "offline: a page is pinned in memory", -EBUSY);
        if (r < 0)
                return work_block_failed(work, block->index, "offline", r);
        return work_block_report(work, block->index, "offline", ONLINE_DONE);
}

static int blocks_offline(Work *work)
{
        _cleanup_(freep) MemBlock *blocks = NULL;
        size_t n_blocks;
        int r;

        r = work_blocks_read(work, &blocks, &n_blocks);
        for (size_t i = 0; r >= 0 && i < n_blocks; i++)
                if (blocks[i].state != MEMBLOCK_OFFLINE)
                        r = block_offline(work, &blocks[i]);
        return r;
}

static int work_offline(Work *work)
{
        int r;

        if (work->device.mode == DEVICE_MODE_DEVDAX)
                return work_report(work, work->device.chardev, "bind devdax", ONLINE_ALREADY, 0);

        if (work->device.mode == DEVICE_MODE_SYSTEM_RAM) {
                r = blocks_offline(work);
                if (r < 0 || work->n_failed > 0)
                        return r;
        }

        if (work->dry_run)
                return work_report(work, work->device.chardev, "bind devdax", ONLINE_WOULD, 0);

        r = work_device_refresh(work);
        if (r < 0)
                return r;
        /* Unbinding with a block online loses that memory until the next boot. */
        if (work->device.online_memblocks > 0)
                return work_failed(work, work->device.chardev, "stay with kmem: went online again",
                                   -EAGAIN);

        r = device_bind_devdax(&work->device);
        if (r < 0) {
                work_failed(work, work->device.chardev, "bind devdax", r);
                return r;
        }
        return work_report(work, work->device.chardev, "bind devdax", ONLINE_DONE, 0);
}

int device_offline(const char *name, bool dry_run, online_step_fn step, void *userdata)
{
        _cleanup_(work_end) Work work = WORK_INIT;
        int r;

        r = work_begin(&work, name, dry_run, step, userdata);
        if (r >= 0)
                r = work_offline(&work);
        if (r >= 0 && work.n_failed > 0)
                r = -EUCLEAN;
        return r;
}

int online_recover(void)
{
        _cleanup_(work_end) Work work = WORK_INIT;
        int r;

        r = work_lock(&work, false);
        if (r == -EWOULDBLOCK) /* somebody is at work: what is held is theirs */
                return 0;
        if (r < 0)
                return r;

        return hold_recover(work.sys_fd, work.run_fd, HOLD_AUTO_ONLINE);
}
