/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/pagecgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/kernel/cgroup.h"
#include "policy/macro.h"

int page_cgroup_read(int proc_fd, CopyPage *pages, size_t n)
{
        _cleanup_(closep) int fd = -1;

        fd = openat(proc_fd, "kpagecgroup", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -EOPNOTSUPP : -errno;

        for (size_t i = 0; i < n; i++) {
                uint64_t inode = 0;
                ssize_t bytes = TEMP_FAILURE_RETRY(
                        pread(fd, &inode, sizeof(inode), (off_t)(pages[i].frame * sizeof(inode))));

                if (bytes < 0)
                        return -errno;
                pages[i].cgroup = bytes == sizeof(inode) ? inode : 0;
        }

        return 0;
}

typedef struct Search {
        uint64_t inode;
        char *path;
} Search;

/* Ends the walk with -EEXIST when it is found. */
static int compare(int cgroup_fd, const char *path, void *userdata)
{
        Search *search = userdata;
        struct stat st;

        if (fstat(cgroup_fd, &st) < 0 || st.st_ino != search->inode)
                return 1;

        search->path = strdup(path);
        return search->path ? -EEXIST : -ENOMEM;
}

int page_cgroup_path(int cgroup_fd, uint64_t inode, char **ret_path)
{
        Search search = { .inode = inode };
        int r;

        if (inode == 0)
                return -ENOENT;
        r = cgroup_walk(cgroup_fd, "/", compare, &search);
        if (r != -EEXIST)
                return r < 0 ? r : -ENOENT;

        *ret_path = search.path;
        return 0;
}
