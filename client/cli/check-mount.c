/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/check.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "daemon/kernel/attr.h"
#include "policy/macro.h"

static inline void mnt_tablep(struct libmnt_table **mounts)
{
        mnt_unref_table(*mounts);
}

static inline void mnt_iterp(struct libmnt_iter **iterator)
{
        mnt_free_iter(*iterator);
}

static int mounts_read(int proc_fd, struct libmnt_table **ret_mounts)
{
        _cleanup_(mnt_tablep) struct libmnt_table *mounts = mnt_new_table();
        _cleanup_(closep) int fd = openat(proc_fd, "self/mountinfo", O_RDONLY | O_CLOEXEC);
        _cleanup_(fclosep) FILE *file = NULL;
        int r;

        if (!mounts)
                return -ENOMEM;
        if (fd < 0)
                return -errno;
        file = fdopen(fd, "re");
        if (!file)
                return -errno;
        TAKE_FD(fd);

        r = mnt_table_parse_stream(mounts, file, "mountinfo");
        if (r != 0)
                return r < 0 ? r : -EBADMSG;

        *ret_mounts = TAKE_PTR(mounts);
        return 0;
}

/* Whether the block device could be used with DAX. A partition has no queue, its disk has. */
static bool device_can_dax(int sys_fd, dev_t device)
{
        static const char *const queues[] = { "queue/dax", "../queue/dax" };

        for (size_t i = 0; i < ARRAY_SIZE(queues); i++) {
                char path[64];
                uint64_t dax;

                snprintf(path, sizeof(path), "dev/block/%u:%u/%s", major(device), minor(device),
                         queues[i]);
                if (attr_read_u64(sys_fd, path, &dax) == 0)
                        return dax == 1;
        }
        return false;
}

/* "dax" and "dax=always" are all files, "dax=inode" (the silent default) those with their flag set. */
static bool is_mounted_dax(struct libmnt_fs *mount)
{
        char *value = NULL;
        size_t length = 0;

        if (mnt_fs_get_option(mount, "dax", &value, &length) != 0)
                return false;
        return !value || (length == strlen("always") && strncmp(value, "always", length) == 0);
}

static int mount_judge(struct libmnt_fs *mount, Findings *findings)
{
        const char *source = mnt_fs_get_source(mount), *target = mnt_fs_get_target(mount);
        _cleanup_(freep) char *device = NULL, *where = NULL, *mend = NULL;

        if (is_mounted_dax(mount))
                return findings_add(findings, VERDICT_OK, NULL, "%s is mounted with dax", target);

        /* A remount cannot change it: XFS and ext4 both refuse. */
        device = text_quote(source ? source : "");
        where = text_quote(target);
        if (device && where)
                mend = text_format("umount %s && mount -o dax %s %s  # and dax in /etc/fstab",
                                   where, device, where);
        if (!mend)
                return -ENOMEM;
        return findings_add(findings, VERDICT_WARN, mend,
                            "%s lies on persistent memory and is mounted without dax: its files "
                            "go through the page cache, in DRAM",
                            target);
}

/* Bind mounts show one filesystem many times. */
static bool is_first_of(struct libmnt_table *mounts, struct libmnt_fs *mount)
{
        return mnt_table_find_devno(mounts, mnt_fs_get_devno(mount), MNT_ITER_FORWARD) == mount;
}

int probe_mounts(const Check *check, const Patient *patient, Findings *findings)
{
        _cleanup_(mnt_tablep) struct libmnt_table *mounts = NULL;
        _cleanup_(mnt_iterp) struct libmnt_iter *iterator = mnt_new_iter(MNT_ITER_FORWARD);
        struct libmnt_fs *mount;
        int r;

        if (!iterator)
                return -ENOMEM;
        r = mounts_read(patient->proc_fd, &mounts);
        if (r < 0)
                return r;

        while (mnt_table_next_fs(mounts, iterator, &mount) == 0) {
                if (!device_can_dax(patient->sys_fd, mnt_fs_get_devno(mount)) ||
                    !is_first_of(mounts, mount))
                        continue;
                r = mount_judge(mount, findings);
                if (r < 0)
                        return r;
        }

        if (findings->n_items == 0)
                return findings_add(findings, VERDICT_INFO, NULL,
                                    "no filesystem on persistent memory is mounted");
        return 0;
}
