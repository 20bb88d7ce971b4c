/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct MemBlock MemBlock;

typedef enum MemBlockState {
        MEMBLOCK_OFFLINE,
        MEMBLOCK_ONLINE,
        MEMBLOCK_GOING_OFFLINE,
} MemBlockState;

typedef enum MemBlockZone {
        MEMBLOCK_ZONE_NONE, /* offline, or the kernel does not say */
        MEMBLOCK_ZONE_MOVABLE,
        MEMBLOCK_ZONE_OTHER, /* Normal, DMA32, … */
} MemBlockZone;

/* /sys/devices/system/memory/memory<index> */
struct MemBlock {
        uint64_t index;
        int node; /* -1: unknown (an offline block that no node claims) */
        MemBlockState state;
        MemBlockZone zone;
};

/* Bytes per memory block. */
int memblock_size(int sys_fd, uint64_t *ret_bytes);

/* The blocks wholly inside the physical range, ordered by index; the caller frees. */
int memblocks_read(int sys_fd, uint64_t physical_start, uint64_t size, MemBlock **ret_blocks,
                   size_t *ret_n_blocks);

/* Writes "online_movable", "online_kernel" or "offline" into the block's state. May block for
 * seconds while pages migrate (offline): never call it from the event loop. A page that somebody
 * has pinned makes the kernel try for ever, until a signal comes: -EINTR; some of the other pages
 * have moved then, the block is online as before. */
int memblock_set_state(int sys_fd, uint64_t index, const char *state);

/* The kernel's policy for memory that appears: "offline", "online", "online_kernel",
 * "online_movable". -ENOENT: the kernel has no such switch. */
int auto_online_read(int sys_fd, char *policy, size_t size);
int auto_online_write(int sys_fd, const char *policy);
