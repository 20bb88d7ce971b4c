/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/stat.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/replace.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

Test(replace, reader_of_the_old_file_keeps_it_whole)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int old = -1;
        char text[16] = {};

        cr_assert_eq(file_replace(scratch.fd, "tiers", "before", 0644), 0);
        old = openat(scratch.fd, "tiers", O_RDONLY | O_CLOEXEC);
        cr_assert_eq(file_replace(scratch.fd, "tiers", "after", 0644), 0);

        cr_assert_eq(read(old, text, sizeof(text)), 6);
        cr_assert_str_eq(text, "before");
        cr_assert_eq(attr_read(scratch.fd, "tiers", text, sizeof(text)), 5);
        cr_assert_str_eq(text, "after");
        cr_assert_neq(faccessat(scratch.fd, "tiers.new", F_OK, 0), 0);
}

Test(replace, gives_the_mode_asked_for_whatever_the_umask)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        struct stat st;

        umask(077);
        cr_assert_eq(file_replace(scratch.fd, "tiers", "", 0644), 0);
        cr_assert_eq(fstatat(scratch.fd, "tiers", &st, 0), 0);
        cr_assert_eq(st.st_mode & 0777, 0644);
}

Test(replace, does_not_write_through_a_link)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();

        cr_assert_eq(symlinkat("elsewhere", scratch.fd, "tiers.new"), 0);
        cr_assert_eq(file_replace(scratch.fd, "tiers", "x", 0644), -ELOOP);
        cr_assert_neq(faccessat(scratch.fd, "elsewhere", F_OK, 0), 0);
}
