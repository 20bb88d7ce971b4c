/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>

#include "policy/macro.h"
#include "tests/unit/child.h"
#include "tests/unit/scratch.h"

static void take_odd_name(void *data)
{
        prctl(PR_SET_NAME, "a) R 1 (\nb");
}

Test(process, a_name_cannot_confuse_it)
{
        _cleanup_(child_freep) Child child = child_new(take_odd_name, NULL),
                                     plain = child_new(NULL, NULL);
        uint64_t odd_start = 0, plain_start = 0;
        char name[16];

        cr_assert_eq(process_name(child.process_fd, name, sizeof(name)), 0);
        cr_assert_str_eq(name, "a) R 1 (\nb");
        cr_assert_eq(process_start_time(child.process_fd, &odd_start), 0);
        cr_assert_eq(process_start_time(plain.process_fd, &plain_start), 0);
        cr_assert_leq(odd_start, plain_start);
        cr_assert_lt(plain_start - odd_start, 100000, "ticks: forked one after the other");
}

Test(process, start_time_is_field_22)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        static const char stat[] =
                "7 (x) y) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23\n";
        uint64_t ticks = 77;

        scratch_write(&scratch, "stat", stat, strlen(stat));
        cr_assert_eq(process_start_time(scratch.fd, &ticks), 0);
        cr_assert_eq(ticks, 22);

        scratch_write(&scratch, "stat", "7 (x) S 4 5\n", 12);
        cr_assert_eq(process_start_time(scratch.fd, &ticks), -EBADMSG);
        scratch_write(&scratch, "stat", "", 0);
        cr_assert_eq(process_start_time(scratch.fd, &ticks), -EBADMSG);
        cr_assert_eq(ticks, 22);
}

Test(process, gone_is_one_code_and_a_zombie_is_still_there)
{
        _cleanup_(closep) int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        Child child = child_new(NULL, NULL);
        uint64_t ticks;
        char name[16];
        int fd = 77;

        cr_assert_eq(process_without_memory(child.process_fd), -ESRCH, "no kernel thread");

        child_end(&child);
        cr_assert_eq(process_start_time(child.process_fd, &ticks), 0);
        cr_assert_eq(process_without_memory(child.process_fd), -ESRCH);

        child_reap(&child);
        cr_assert_eq(process_start_time(child.process_fd, &ticks), -ESRCH);
        cr_assert_eq(process_name(child.process_fd, name, sizeof(name)), -ESRCH);
        cr_assert_eq(process_without_memory(child.process_fd), -ESRCH);
        cr_assert_eq(process_result(child.process_fd, -ENOENT), -ESRCH);
        cr_assert_eq(process_open(proc_fd, child.pid, &fd), -ESRCH);
        cr_assert_eq(process_open(proc_fd, -1, &fd), -ESRCH);
        cr_assert_eq(fd, 77);
        close(child.process_fd);
}

Test(process, what_a_living_process_lacks_is_not_its_end)
{
        _cleanup_(closep) int process_fd = own_process();

        cr_assert_eq(process_result(process_fd, -ENOENT), -ENOENT);
        cr_assert_eq(process_result(process_fd, -EACCES), -EACCES);
}

Test(process, a_kernel_thread_has_no_memory)
{
        _cleanup_(closep) int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closep) int kthreadd = -1;
        char name[64] = "";

        if (process_open(proc_fd, 2, &kthreadd) < 0 ||
            process_name(kthreadd, name, sizeof(name)) < 0 || strcmp(name, "kthreadd") != 0)
                cr_skip_test("no kernel threads to be seen in this container");

        cr_assert_eq(process_without_memory(kthreadd), 0);
}

Test(process, user_and_executable)
{
        _cleanup_(child_freep) Child child = child_new(take_odd_name, NULL);
        _cleanup_(freep) char *path = NULL;
        char own[PATH_MAX] = {};
        uint32_t uid = 77;

        cr_assert_eq(process_user(child.process_fd, &uid), 0);
        cr_assert_eq(uid, getuid());
        cr_assert_eq(process_executable(child.process_fd, &path), 0);
        cr_assert_gt(readlink("/proc/self/exe", own, sizeof(own) - 1), 0);
        cr_assert_str_eq(path, own);
}

Test(process, a_replaced_executable_keeps_its_name)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(freep) char *path = NULL;

        cr_assert_eq(symlinkat("/usr/bin/program (deleted)", scratch.fd, "exe"), 0);
        cr_assert_eq(process_executable(scratch.fd, &path), 0);
        cr_assert_str_eq(path, "/usr/bin/program");
}
