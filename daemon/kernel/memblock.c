/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/memblock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/directory.h"
#include "policy/macro.h"
#include "policy/nodeset.h"

#define MEMORY_DIR  "devices/system/memory"
#define AUTO_ONLINE MEMORY_DIR "/auto_online_blocks"

int memblock_size(int sys_fd, uint64_t *ret_bytes)
{
        char text[32];
        unsigned long long bytes;
        char *end;
        int r;

        /* Hexadecimal without 0x: "8000000". */
        r = attr_read(sys_fd, MEMORY_DIR "/block_size_bytes", text, sizeof(text));
        if (r < 0)
                return r;

        errno = 0;
        bytes = strtoull(text, &end, 16);
        if (errno != 0 || end == text || *end != '\0' || bytes == 0)
                return -EBADMSG;

        *ret_bytes = bytes;
        return 0;
}

static int read_state(int block_fd, MemBlockState *ret_state)
{
        static const char *const names[] = {
                [MEMBLOCK_OFFLINE] = "offline",
                [MEMBLOCK_ONLINE] = "online",
                [MEMBLOCK_GOING_OFFLINE] = "going-offline",
        };
        char text[32];
        int r;

        r = attr_read(block_fd, "state", text, sizeof(text));
        if (r < 0)
                return r;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strcmp(text, names[i]) == 0) {
                        *ret_state = (MemBlockState)i;
                        return 0;
                }

        return -EBADMSG;
}

/* Of an online block valid_zones is the one zone that it is in, or "none" where it spans several
 * (and can never be offlined): that is not movable either. Of any other block it lists the zones
 * that it could be onlined to. */
static int read_zone(int block_fd, MemBlockState state, MemBlockZone *ret_zone)
{
        char text[128];
        int r;

        if (state == MEMBLOCK_OFFLINE) {
                *ret_zone = MEMBLOCK_ZONE_NONE;
                return 0;
        }

        r = attr_read(block_fd, "valid_zones", text, sizeof(text));
        if (r < 0 && r != -ENOENT)
                return r;

        if (r <= 0) /* without CONFIG_MEMORY_HOTREMOVE there is no such file */
                *ret_zone = MEMBLOCK_ZONE_NONE;
        else
                *ret_zone =
                        strcmp(text, "Movable") == 0 ? MEMBLOCK_ZONE_MOVABLE : MEMBLOCK_ZONE_OTHER;
        return 0;
}

/* The node<N> link in the block's directory; -1 if there is none, or several. */
static int read_node(int block_fd, int *ret_node)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        int node = -1, r;

        r = directory_open(block_fd, ".", &dir);
        if (r < 0)
                return r;

        for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
                uint64_t number;

                if (!name_is_numbered(entry->d_name, "node", &number) || number >= NODESET_MAX)
                        continue;
                if (node >= 0) {
                        node = -1;
                        break;
                }
                node = (int)number;
        }

        *ret_node = node;
        return 0;
}

static int memblock_read(int memory_fd, uint64_t index, MemBlock *ret_block)
{
        _cleanup_(closep) int block_fd = -1;
        MemBlock block = { .index = index };
        char name[32];
        int r;

        snprintf(name, sizeof(name), "memory%" PRIu64, index);
        block_fd = openat(memory_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (block_fd < 0)
                return -errno;

        r = read_state(block_fd, &block.state);
        if (r >= 0)
                r = read_zone(block_fd, block.state, &block.zone);
        if (r >= 0)
                r = read_node(block_fd, &block.node);
        if (r < 0)
                return r;

        *ret_block = block;
        return 0;
}

static int compare_index(const void *a, const void *b)
{
        const MemBlock *left = a, *right = b;

        return (left->index > right->index) - (left->index < right->index);
}

static int append(MemBlock **blocks, size_t *n_blocks, size_t *allocated, const MemBlock *block)
{
        if (*n_blocks == *allocated) {
                size_t larger = *allocated > 0 ? *allocated * 2 : 64;
                MemBlock *array = reallocarray(*blocks, larger, sizeof(**blocks));

                if (!array)
                        return -ENOMEM;
                *blocks = array;
                *allocated = larger;
        }

        (*blocks)[(*n_blocks)++] = *block;
        return 0;
}

int memblocks_read(int sys_fd, uint64_t physical_start, uint64_t size, MemBlock **ret_blocks,
                   size_t *ret_n_blocks)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        _cleanup_(freep) MemBlock *blocks = NULL;
        size_t n_blocks = 0, allocated = 0;
        uint64_t block_size, first, end;
        int r;

        r = memblock_size(sys_fd, &block_size);
        if (r < 0)
                return r;
        if (size > UINT64_MAX - physical_start)
                return -EOVERFLOW;

        first = physical_start / block_size + (physical_start % block_size != 0);
        end = (physical_start + size) / block_size;

        /* The directory rather than every index: a device can be far larger than what is there. */
        r = directory_open(sys_fd, MEMORY_DIR, &dir);
        if (r < 0)
                return r;

        for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
                MemBlock block;
                uint64_t index;

                if (!name_is_numbered(entry->d_name, "memory", &index) || index < first ||
                    index >= end)
                        continue;

                r = memblock_read(dirfd(dir), index, &block);
                if (r == -ENOENT) /* unplugged since */
                        continue;
                if (r >= 0)
                        r = append(&blocks, &n_blocks, &allocated, &block);
                if (r < 0)
                        return r;
        }

        if (n_blocks > 0)
                qsort(blocks, n_blocks, sizeof(*blocks), compare_index);

        *ret_blocks = TAKE_PTR(blocks);
        *ret_n_blocks = n_blocks;
        return 0;
}

int memblock_set_state(int sys_fd, uint64_t index, const char *state)
{
        char path[64];

        snprintf(path, sizeof(path), MEMORY_DIR "/memory%" PRIu64 "/state", index);

        return attr_write(sys_fd, path, state);
}

int auto_online_read(int sys_fd, char *policy, size_t size)
{
        int r;

        r = attr_read(sys_fd, AUTO_ONLINE, policy, size);
        return r < 0 ? r : 0;
}

int auto_online_write(int sys_fd, const char *policy)
{
        return attr_write(sys_fd, AUTO_ONLINE, policy);
}
