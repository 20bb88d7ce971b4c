/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/directory.h"
#include "policy/macro.h"
#include "policy/nodeset.h"

/* Device-mapper tables upon each other: more are a mistake. */
#define STACK_MAX 8u

/* A target_node attribute; "-1", which is no number to attr_read_u64(), says that there is none. */
static int node_read(int dir_fd, const char *path, int *ret_node)
{
        uint64_t node;
        int r;

        r = attr_read_u64(dir_fd, path, &node);
        if (r < 0)
                return r == -EBADMSG ? -ENODATA : r;
        if (node >= NODESET_MAX)
                return -ENODATA;

        *ret_node = (int)node;
        return 0;
}

static int block_node(int block_fd, unsigned depth, int *ret_node);

/* The node that all devices below a device-mapper device agree on. */
static int slaves_node(int block_fd, unsigned depth, int *ret_node)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        int node = -1;
        int r;

        if (depth == STACK_MAX || directory_open(block_fd, "slaves", &dir) < 0)
                return -ENODATA;

        for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
                _cleanup_(closep) int slave_fd = -1;
                int slave_node = -1;

                if (entry->d_name[0] == '.')
                        continue;

                slave_fd = openat(dirfd(dir), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (slave_fd < 0)
                        return -errno;
                r = block_node(slave_fd, depth + 1, &slave_node);
                if (r < 0)
                        return r;
                if (node >= 0 && node != slave_node)
                        return -ENODATA;
                node = slave_node;
        }

        if (node < 0)
                return -ENODATA;

        *ret_node = node;
        return 0;
}

/* pmem0's "device" is a namespace (or its pfn), whose parent in the device tree is the region. The
 * kernel resolves ".." after it has followed the link. */
static int block_node(int block_fd, unsigned depth, int *ret_node)
{
        int r;

        r = node_read(block_fd, "device/../target_node", ret_node);
        if (r == -ENOENT && faccessat(block_fd, "partition", F_OK, 0) == 0)
                r = node_read(block_fd, "../device/../target_node", ret_node);
        if (r == -ENOENT)
                r = slaves_node(block_fd, depth, ret_node);

        return r;
}

int backing_node_of_block(int sys_fd, uint32_t major, uint32_t minor, int *ret_node)
{
        _cleanup_(closep) int block_fd = -1;
        char path[64];

        snprintf(path, sizeof(path), "dev/block/%u:%u", major, minor);
        block_fd = openat(sys_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (block_fd < 0)
                return errno == ENOENT ? -ENODATA : -errno; /* btrfs, virtiofs: no device */

        return block_node(block_fd, 0, ret_node);
}

int backing_node_of_char(int sys_fd, uint32_t major, uint32_t minor, int *ret_node)
{
        char path[64];
        int r;

        snprintf(path, sizeof(path), "dev/char/%u:%u/target_node", major, minor);
        r = node_read(sys_fd, path, ret_node);
        return r == -ENOENT ? -ENODATA : r;
}

int backing_may_be_dax(int sys_fd, uint32_t major, uint32_t minor)
{
        static const char *const queues[] = { "queue/dax",
                                              "../queue/dax" }; /* a partition has none */
        uint64_t dax = 1;

        for (size_t i = 0; i < ARRAY_SIZE(queues); i++) {
                char path[64];

                snprintf(path, sizeof(path), "dev/block/%u:%u/%s", major, minor, queues[i]);
                if (attr_read_u64(sys_fd, path, &dax) >= 0)
                        break;
        }

        return dax != 0;
}
