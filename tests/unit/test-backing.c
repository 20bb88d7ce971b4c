/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "daemon/kernel/backing.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

/* A piece of /sys as Linux 6.12 lays it out: a pmem disk with a partition, one made with a pfn
 * device, dm over the first, dm over both, a disk that is none, and two dax devices. */
static const char tree[] =
        "set -e; cd '%s'; mkdir -p dev/block dev/char devices/nd/region0/namespace0.0/block/pmem0/p1"
        " devices/nd/region1/pfn1.0/block/pmem1 devices/dm/dm-0/slaves devices/dm/dm-1/slaves"
        " devices/dm/dm-2/slaves devices/pci/host0/sda devices/nd/dax/dax1.0 devices/nd/dax/dax2.0;"
        "echo 2 >devices/nd/region0/target_node; echo 0 >devices/nd/region0/numa_node;"
        "echo 3 >devices/nd/region1/target_node;"
        "echo 1 >devices/nd/region0/namespace0.0/block/pmem0/p1/partition;"
        "ln -s ../../../namespace0.0 devices/nd/region0/namespace0.0/block/pmem0/device;"
        "ln -s ../../../pfn1.0 devices/nd/region1/pfn1.0/block/pmem1/device;"
        "ln -s ../../host0 devices/pci/host0/sda/device;"
        "ln -s ../../../nd/region0/namespace0.0/block/pmem0 devices/dm/dm-0/slaves/pmem0;"
        "ln -s ../../../nd/region0/namespace0.0/block/pmem0 devices/dm/dm-1/slaves/pmem0;"
        "ln -s ../../../nd/region1/pfn1.0/block/pmem1 devices/dm/dm-1/slaves/pmem1;"
        "ln -s ../../dm-0 devices/dm/dm-2/slaves/dm-0;"
        "ln -s ../../devices/nd/region0/namespace0.0/block/pmem0 dev/block/259:0;"
        "ln -s ../../devices/nd/region0/namespace0.0/block/pmem0/p1 dev/block/259:1;"
        "ln -s ../../devices/nd/region1/pfn1.0/block/pmem1 dev/block/259:2;"
        "ln -s ../../devices/dm/dm-0 dev/block/253:0; ln -s ../../devices/dm/dm-1 dev/block/253:1;"
        "ln -s ../../devices/dm/dm-2 dev/block/253:2;"
        "ln -s ../../devices/pci/host0/sda dev/block/8:0;"
        "ln -s ../../devices/nd/dax/dax1.0 dev/char/252:0;"
        "ln -s ../../devices/nd/dax/dax2.0 dev/char/252:1;"
        "echo 4 >devices/nd/dax/dax1.0/target_node; echo -1 >devices/nd/dax/dax2.0/target_node";

static char root[] = "/tmp/daxtier-backing-XXXXXX";
static int sys_fd = -1;

static void run(const char *format)
{
        char command[8192];

        snprintf(command, sizeof(command), format, root);
        cr_assert_eq(system(command), 0); /* NOLINT(cert-env33-c) */
}

static void tree_make(void)
{
        cr_assert_not_null(mkdtemp(root));
        run(tree);
        sys_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(sys_fd, 0);
}

static void tree_remove(void)
{
        close(sys_fd);
        run("rm -r '%s'");
}

TestSuite(backing, .init = tree_make, .fini = tree_remove);

static int block_node(unsigned major, unsigned minor)
{
        int node = -77;
        int r = backing_node_of_block(sys_fd, major, minor, &node);

        cr_assert(r == 0 || node == -77, "untouched on failure");
        return r < 0 ? r : node;
}

Test(backing, of_a_pmem_disk_is_its_regions_target_node)
{
        cr_assert_eq(block_node(259, 0), 2);
        cr_assert_eq(block_node(259, 2), 3);
}

Test(backing, looks_through_partitions_and_device_mapper)
{
        cr_assert_eq(block_node(259, 1), 2);
        cr_assert_eq(block_node(253, 0), 2);
        cr_assert_eq(block_node(253, 2), 2);
}

Test(backing, is_unknown_rather_than_guessed)
{
        cr_assert_eq(block_node(253, 1), -ENODATA, "on two nodes");
        cr_assert_eq(block_node(8, 0), -ENODATA, "no memory");
        cr_assert_eq(block_node(0, 42), -ENODATA, "no device");
}

Test(backing, of_a_dax_device_is_its_target_node)
{
        int node = -77;

        cr_assert_eq(backing_node_of_char(sys_fd, 252, 1, &node), -ENODATA);
        cr_assert_eq(backing_node_of_char(sys_fd, 1, 3, &node), -ENODATA);
        cr_assert_eq(node, -77);
        cr_assert_eq(backing_node_of_char(sys_fd, 252, 0, &node), 0);
        cr_assert_eq(node, 4);
}

Test(backing, a_device_without_dax_is_told_apart)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();

        cr_assert_eq(mkdirat(scratch.fd, "dev", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "dev/block", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "dev/block/8:0", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "dev/block/8:0/queue", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "dev/block/259:0", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "dev/block/259:0/queue", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "dev/block/259:0/pmem0p1", 0755), 0);
        cr_assert_eq(symlinkat("259:0/pmem0p1", scratch.fd, "dev/block/259:1"), 0);
        scratch_write(&scratch, "dev/block/8:0/queue/dax", "0\n", 2);
        scratch_write(&scratch, "dev/block/259:0/queue/dax", "1\n", 2);

        cr_expect_eq(backing_may_be_dax(scratch.fd, 8, 0), 0);
        cr_expect_eq(backing_may_be_dax(scratch.fd, 259, 0), 1);
        cr_expect_eq(backing_may_be_dax(scratch.fd, 259, 1), 1, "a partition");
        cr_expect_eq(backing_may_be_dax(scratch.fd, 0, 42), 1, "no block device");
}
