/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "daemon/kernel/chardev.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

#define FULL makedev(1, 7)

/* A /proc in which process 100 has one file open and process 200 one mapped. */
static Scratch proc_with(const char *open_file, const char *mapped_file)
{
        static const char *const dirs[] = { "100",           "100/fd", "200",    "200/fd",
                                            "200/map_files", "self",   "self/fd" };
        Scratch scratch = scratch_new();

        for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
                cr_assert_eq(mkdirat(scratch.fd, dirs[i], 0755), 0);
        cr_assert_eq(symlinkat("/dev/full", scratch.fd, "self/fd/3"), 0);
        cr_assert_eq(symlinkat("socket:[1]", scratch.fd, "100/fd/2"), 0);
        cr_assert_eq(symlinkat(open_file, scratch.fd, "100/fd/3"), 0);
        cr_assert_eq(symlinkat(mapped_file, scratch.fd, "200/map_files/1000-2000"), 0);
        return scratch;
}

Test(chardev, finds_who_has_it_open)
{
        _cleanup_(scratch_freep) Scratch proc = proc_with("/dev/full", "/dev/zero");
        pid_t pid;

        cr_assert_eq(chardev_find_user(proc.fd, FULL, &pid), 0);
        cr_assert_eq(pid, 100);
}

Test(chardev, finds_who_has_it_mapped)
{
        _cleanup_(scratch_freep) Scratch proc = proc_with("/dev/zero", "/dev/full");
        pid_t pid;

        cr_assert_eq(chardev_find_user(proc.fd, FULL, &pid), 0);
        cr_assert_eq(pid, 200);
}

Test(chardev, is_free_when_nobody_has_it)
{
        _cleanup_(scratch_freep) Scratch proc = proc_with("/dev/zero", "/dev/null");
        pid_t pid = 7;

        cr_assert_eq(chardev_find_user(proc.fd, FULL, &pid), -ESRCH);
        cr_assert_eq(pid, 7);
}
