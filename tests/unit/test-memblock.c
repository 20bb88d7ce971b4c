/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/stat.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/memblock.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

#define MIB UINT64_C(1048576)

Test(memblock, block_size_is_hexadecimal_without_a_prefix)
{
        _cleanup_(closep) int guest = fixture_open("sys-guest");
        _cleanup_(closep) int big = fixture_open("sys-access0");
        uint64_t bytes;

        cr_assert_eq(memblock_size(guest, &bytes), 0);
        cr_assert_eq(bytes, 128 * MIB);
        cr_assert_eq(memblock_size(big, &bytes), 0);
        cr_assert_eq(bytes, 2048 * MIB);
}

Test(memblock, reads_state_zone_and_node_of_each_block_in_a_device)
{
        static const MemBlock expected[] = {
                { 40, 1, MEMBLOCK_ONLINE, MEMBLOCK_ZONE_MOVABLE },
                { 41, 1, MEMBLOCK_OFFLINE, MEMBLOCK_ZONE_NONE },
                { 42, 1, MEMBLOCK_ONLINE, MEMBLOCK_ZONE_OTHER }, /* "none": several zones */
                { 43, 1, MEMBLOCK_GOING_OFFLINE, MEMBLOCK_ZONE_MOVABLE },
        };
        _cleanup_(closep) int sys_fd = fixture_open("sys-guest");
        _cleanup_(freep) MemBlock *blocks = NULL;
        size_t n_blocks;

        cr_assert_eq(memblocks_read(sys_fd, 40 * 128 * MIB, 4 * 128 * MIB, &blocks, &n_blocks), 0);
        cr_assert_eq(n_blocks, ARRAY_SIZE(expected));
        for (size_t i = 0; i < n_blocks; i++) {
                cr_assert_eq(blocks[i].index, expected[i].index);
                cr_assert_eq(blocks[i].node, expected[i].node);
                cr_assert_eq(blocks[i].state, expected[i].state);
                cr_assert_eq(blocks[i].zone, expected[i].zone);
        }
}

Test(memblock, takes_only_blocks_wholly_inside)
{
        _cleanup_(closep) int sys_fd = fixture_open("sys-guest");
        _cleanup_(freep) MemBlock *blocks = NULL;
        size_t n_blocks;

        /* A device whose metadata moves its start into block 40 and its end into block 43. */
        cr_assert_eq(memblocks_read(sys_fd, 40 * 128 * MIB + 2 * MIB, 4 * 128 * MIB - 4 * MIB,
                                    &blocks, &n_blocks),
                     0);
        cr_assert_eq(n_blocks, 2);
        cr_assert_eq(blocks[0].index, 41);
        cr_assert_eq(blocks[1].index, 42);
}

Test(memblock, unclaimed_or_shared_blocks_have_no_node_and_any_range_is_bounded)
{
        _cleanup_(closep) int sys_fd = fixture_open("sys-guest");
        _cleanup_(freep) MemBlock *blocks = NULL, *none = NULL;
        size_t n_blocks;

        cr_assert_eq(memblocks_read(sys_fd, 100 * 128 * MIB, UINT64_MAX - 100 * 128 * MIB, &blocks,
                                    &n_blocks),
                     0);
        cr_assert_eq(n_blocks, 2);
        cr_assert_eq(blocks[0].node, -1, "an offline block that no node claims");
        cr_assert_eq(blocks[1].node, -1, "a block of two nodes");
        cr_assert_eq(blocks[1].zone, MEMBLOCK_ZONE_NONE, "a kernel that does not say");

        cr_assert_eq(memblocks_read(sys_fd, 1, UINT64_MAX, &none, &n_blocks), -EOVERFLOW);
        cr_assert_eq(memblocks_read(sys_fd, 200 * 128 * MIB, 128 * MIB, &none, &n_blocks), 0);
        cr_assert_eq(n_blocks, 0);
}

Test(memblock, writes_states_and_the_auto_online_policy)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        char text[32];

        cr_assert_eq(auto_online_read(scratch.fd, text, sizeof(text)), -ENOENT);

        cr_assert_eq(mkdirat(scratch.fd, "devices", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "devices/system", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "devices/system/memory", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "devices/system/memory/memory41", 0755), 0);
        scratch_write(&scratch, "devices/system/memory/memory41/state", "offline\n", 8);
        scratch_write(&scratch, "devices/system/memory/auto_online_blocks", "online\n", 7);

        cr_assert_eq(memblock_set_state(scratch.fd, 41, "online_movable"), 0);
        cr_assert_geq(
                attr_read(scratch.fd, "devices/system/memory/memory41/state", text, sizeof(text)),
                0);
        cr_assert_str_eq(text, "online_movable");
        cr_assert_eq(memblock_set_state(scratch.fd, 42, "online_movable"), -ENOENT);

        cr_assert_eq(auto_online_read(scratch.fd, text, sizeof(text)), 0);
        cr_assert_str_eq(text, "online");
        cr_assert_eq(auto_online_write(scratch.fd, "offline"), 0);
        cr_assert_eq(auto_online_read(scratch.fd, text, sizeof(text)), 0);
        cr_assert_str_eq(text, "offline");
        cr_assert_eq(auto_online_read(scratch.fd, text, 4), -E2BIG);
}
