/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "daemon/kernel/directory.h"
#include "policy/macro.h"

/* Whether one of the magic links in a directory of a process leads to the device. */
static bool directory_leads_to(int proc_fd, const char *path, dev_t number)
{
        _cleanup_(closedirp) DIR *dir = NULL;

        /* The process is gone, a kernel thread, or not ours to look into. */
        if (directory_open(proc_fd, path, &dir) < 0)
                return false;

        for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
                struct statx stx;

                /* Without DONT_SYNC, a file on a network or FUSE filesystem whose server does not
                 * answer would keep us here for ever. */
                if (entry->d_name[0] != '.' &&
                    statx(dirfd(dir), entry->d_name, AT_STATX_DONT_SYNC, STATX_TYPE, &stx) == 0 &&
                    S_ISCHR(stx.stx_mode) &&
                    makedev(stx.stx_rdev_major, stx.stx_rdev_minor) == number)
                        return true;
        }

        return false;
}

int chardev_find_user(int proc_fd, dev_t number, pid_t *ret_pid)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        int r;

        r = directory_open(proc_fd, ".", &dir);
        if (r < 0)
                return r;

        for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
                char path[64];
                uint64_t pid;

                if (!name_is_numbered(entry->d_name, "", &pid))
                        continue;

                snprintf(path, sizeof(path), "%d/fd", (int)pid);
                if (!directory_leads_to(proc_fd, path, number)) {
                        /* A mapping outlives the file descriptor. */
                        snprintf(path, sizeof(path), "%d/map_files", (int)pid);
                        if (!directory_leads_to(proc_fd, path, number))
                                continue;
                }

                *ret_pid = (pid_t)pid;
                return 0;
        }

        return -ESRCH;
}
