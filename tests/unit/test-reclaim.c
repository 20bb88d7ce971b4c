/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/reclaim.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

#define SWAPS_HEAD "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
#define SWAPS_LINE "/dev/vda2                               partition\t1048572\t\t0\t\t-2\n"

static void put(const Scratch *tree, const char *name, const char *text)
{
        scratch_write(tree, name, text, strlen(text));
}

/* /proc and the cgroup root in one. */
static Scratch machine(const char *swaps, const char *swap_max)
{
        Scratch tree = scratch_new();

        put(&tree, "swaps", swaps);
        cr_assert_eq(mkdirat(tree.fd, "a", 0755), 0);
        cr_assert_eq(mkdirat(tree.fd, "a/b", 0755), 0);
        put(&tree, "a/b/memory.reclaim", "");
        if (swap_max)
                put(&tree, "a/b/memory.swap.max", swap_max);
        return tree;
}

static bool may_swap(const Scratch *tree)
{
        bool may;

        cr_assert_eq(reclaim_may_swap(tree->fd, tree->fd, "/a/b", &may), 0);
        return may;
}

Test(reclaim, cannot_swap_where_there_is_no_swap)
{
        _cleanup_(scratch_freep) Scratch tree = machine(SWAPS_HEAD, "max\n");

        cr_assert_not(may_swap(&tree));
}

Test(reclaim, may_swap_unless_the_cgroup_may_not)
{
        _cleanup_(scratch_freep) Scratch allowed = machine(SWAPS_HEAD SWAPS_LINE, "max\n");
        _cleanup_(scratch_freep) Scratch silent = machine(SWAPS_HEAD SWAPS_LINE, NULL);
        _cleanup_(scratch_freep) Scratch denied = machine(SWAPS_HEAD SWAPS_LINE, "0\n");

        cr_assert(may_swap(&allowed));
        cr_assert(may_swap(&silent));
        cr_assert_not(may_swap(&denied));
}

Test(reclaim, asks_the_cgroup_for_so_many_bytes)
{
        _cleanup_(scratch_freep) Scratch tree = machine(SWAPS_HEAD, NULL);
        char text[32];

        cr_assert_eq(reclaim_request(tree.fd, "/a/b", 4194304, 1000), 0);
        cr_assert_geq(attr_read(tree.fd, "a/b/memory.reclaim", text, sizeof(text)), 0);
        cr_assert_str_eq(text, "4194304");
        cr_assert_eq(reclaim_request(tree.fd, "/a", 4096, 1000), -EOPNOTSUPP);
        cr_assert_eq(reclaim_request(tree.fd, "/c", 4096, 1000), -ENOENT);
}

static void put_tier(const Scratch *sys, const char *tier, const char *nodes)
{
        char path[128];

        snprintf(path, sizeof(path), "devices/virtual/memory_tiering/%s", tier);
        cr_assert_eq(mkdirat(sys->fd, path, 0755), 0);
        snprintf(path, sizeof(path), "devices/virtual/memory_tiering/%s/nodelist", tier);
        put(sys, path, nodes);
}

static bool goes(const Scratch *sys, unsigned from, const char *list)
{
        NodeSet nodes;
        bool ret;

        cr_assert_eq(nodeset_parse(list, &nodes), 0);
        cr_assert_eq(reclaim_goes_to(sys->fd, from, &nodes, &ret), 0);
        return ret;
}

/* A FIFO without a reader: to open it for writing waits, as the kernel does while it reclaims. */
Test(reclaim, does_not_wait_for_ever, .timeout = 60)
{
        _cleanup_(scratch_freep) Scratch tree = machine(SWAPS_HEAD, NULL);

        cr_assert_eq(unlinkat(tree.fd, "a/b/memory.reclaim", 0), 0);
        cr_assert_eq(mkfifoat(tree.fd, "a/b/memory.reclaim", 0600), 0);
        cr_assert_eq(reclaim_request(tree.fd, "/a/b", 4096, 20), -ETIME);
}

Test(reclaim, goes_down_the_tiers_and_never_up)
{
        _cleanup_(scratch_freep) Scratch sys = scratch_new();
        NodeSet none = {};
        bool ret;

        cr_assert_eq(reclaim_goes_to(sys.fd, 0, &none, &ret), -EOPNOTSUPP);

        cr_assert_eq(mkdirat(sys.fd, "devices", 0755), 0);
        cr_assert_eq(mkdirat(sys.fd, "devices/virtual", 0755), 0);
        cr_assert_eq(mkdirat(sys.fd, "devices/virtual/memory_tiering", 0755), 0);
        put_tier(&sys, "memory_tier4", "0-1\n");
        put_tier(&sys, "memory_tier22", "2\n");
        cr_assert_eq(mkdirat(sys.fd, "devices/virtual/memory_tiering/power", 0755), 0);

        cr_assert(goes(&sys, 0, "2"));
        cr_assert(goes(&sys, 1, "2"));
        cr_assert_not(goes(&sys, 2, "0"));
        cr_assert_not(goes(&sys, 0, "1"));
        cr_assert_not(goes(&sys, 0, "1-2"));
        cr_assert_not(goes(&sys, 0, "7"));
}

Test(reclaim, may_drain_and_mark_its_own_memory)
{
        size_t length = 64 * 4096;
        char *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        _cleanup_(closep) int pidfd = pidfd_open(getpid(), 0);
        PageRun runs[2] = { { (uintptr_t)map, (uintptr_t)map + 4096 },
                            { (uintptr_t)map + 8192, (uintptr_t)map + length } };

        cr_assert_neq(map, MAP_FAILED);
        memset(map, 'w', length);
        cr_assert_eq(reclaim_drain(), 0);
        cr_assert_eq(reclaim_mark_cold(pidfd, runs, 2), 0);
        cr_assert_eq(munmap(map, 4096), 0);
        cr_assert_eq(reclaim_mark_cold(pidfd, runs, 2), 0, "a page that went away is no failure");
        for (size_t i = 4096; i < length; i++)
                cr_assert_eq(map[i], 'w');
}
