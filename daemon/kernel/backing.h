/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/* The NUMA node of the memory that a file on a DAX filesystem, or a device-dax, is made of: the
 * target_node that the firmware gives its NVDIMM region or dax device. The node need not be online,
 * as none of this memory is system RAM; nothing else is known of it then. -ENODATA: the firmware
 * does not say, or the memory is on several nodes. Never the region's numa_node: that is the nearest
 * online node, whose memory is another. */

/* @major and @minor: the block device that carries the filesystem, as st_dev says. Looks through
 * partitions and device-mapper. */
int backing_node_of_block(int sys_fd, uint32_t major, uint32_t minor, int *ret_node);

/* @major and @minor: st_rdev of /dev/daxX.Y. */
int backing_node_of_char(int sys_fd, uint32_t major, uint32_t minor, int *ret_node);

/* Whether files on this block device can be DAX at all: 0, no; 1, maybe. Where there is no such block
 * device (virtiofs, btrfs), or the kernel does not say, maybe. */
int backing_may_be_dax(int sys_fd, uint32_t major, uint32_t minor);
