/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/kernel/pagecgroup.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

static uint64_t make_cgroup(const Scratch *root, const char *path)
{
        struct stat st;

        cr_assert_eq(mkdirat(root->fd, path, 0755), 0);
        cr_assert_eq(fstatat(root->fd, path, &st, 0), 0);
        return st.st_ino;
}

Test(pagecgroup, is_read_for_each_frame)
{
        _cleanup_(scratch_freep) Scratch proc = scratch_new();
        const uint64_t inodes[] = { 1, 22, 333, 4444 };
        CopyPage pages[] = { { .frame = 3 }, { .frame = 1 }, { .frame = 99 } };

        cr_assert_eq(page_cgroup_read(proc.fd, pages, 3), -EOPNOTSUPP);
        scratch_write(&proc, "kpagecgroup", inodes, sizeof(inodes));
        cr_assert_eq(page_cgroup_read(proc.fd, pages, 3), 0);
        cr_assert_eq(pages[0].cgroup, 4444);
        cr_assert_eq(pages[1].cgroup, 22);
        cr_assert_eq(pages[2].cgroup, 0, "behind the end of memory");
}

Test(pagecgroup, has_the_path_of_its_directory)
{
        _cleanup_(scratch_freep) Scratch root = scratch_new();
        _cleanup_(freep) char *path = NULL;
        uint64_t inode, gone;

        make_cgroup(&root, "a");
        inode = make_cgroup(&root, "a/b");
        make_cgroup(&root, "c");
        cr_assert_eq(page_cgroup_path(root.fd, inode, &path), 0);
        cr_assert_str_eq(path, "/a/b");

        gone = make_cgroup(&root, "d");
        cr_assert_eq(page_cgroup_path(root.fd, gone + 1000000, &path), -ENOENT);
        cr_assert_eq(page_cgroup_path(root.fd, 0, &path), -ENOENT);
        cr_assert_str_eq(path, "/a/b", "untouched");
}
