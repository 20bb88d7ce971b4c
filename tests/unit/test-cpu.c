/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/kernel/cpu.h"
#include "policy/macro.h"
#include "tests/unit/child.h"
#include "tests/unit/scratch.h"

static int read_list(const Scratch *scratch, const char *text, unsigned **ret_cpus, size_t *ret_n)
{
        scratch_write(scratch, "devices/system/cpu/online", text, strlen(text));
        return cpus_read_online(scratch->fd, ret_cpus, ret_n);
}

Test(cpu, online_is_a_list)
{
        static const char *const bad[] = { "\n",    "",       "x\n",  "1,\n",     "3-2\n",
                                           "2,1\n", "8192\n", "0-\n", "0-9999\n", "1,1\n" };
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(freep) unsigned *cpus = NULL;
        size_t n = 77;

        cr_assert_eq(cpus_read_online(scratch.fd, &cpus, &n), -ENOENT);
        cr_assert_eq(mkdirat(scratch.fd, "devices", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "devices/system", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "devices/system/cpu", 0755), 0);

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                cr_assert_eq(read_list(&scratch, bad[i], &cpus, &n), -EBADMSG, "%s", bad[i]);
        cr_assert_eq(n, 77);

        cr_assert_eq(read_list(&scratch, "0,2-3,8191\n", &cpus, &n), 0);
        cr_assert_eq(n, 4);
        cr_assert_eq(cpus[0], 0);
        cr_assert_eq(cpus[1], 2);
        cr_assert_eq(cpus[2], 3);
        cr_assert_eq(cpus[3], 8191);
}

static void expect_home(const char *allowed, const char *home)
{
        _cleanup_(scratch_freep) Scratch process = scratch_new();
        _cleanup_(closep) int sys_fd = fixture_open("sys-sockets");
        NodeSet sockets, wanted, is;
        char status[256];

        /* The name cannot be taken for the field. */
        snprintf(status, sizeof(status),
                 "Name:\tCpus_allowed_list:\t4\nCpus_allowed:\tffff\nCpus_allowed_list:\t%s\n"
                 "Mems_allowed_list:\t0-3\n",
                 allowed);
        scratch_write(&process, "status", status, strlen(status));
        cr_assert_eq(nodeset_parse("0-1", &sockets), 0);
        cr_assert_eq(nodeset_parse(home, &wanted), 0);
        cr_assert_eq(cpus_read_home(sys_fd, process.fd, &sockets, &is), 0);
        cr_expect(nodeset_equal(&is, &wanted), "%s", allowed);
}

Test(cpu, home_is_the_nodes_of_the_cpus_that_a_process_may_use)
{
        expect_home("0", "0");
        expect_home("8-9", "0");
        expect_home("4-7,12-15", "1");
        expect_home("3-4", "0-1");
        expect_home("0-511", "0-1"); /* CPUs that could come */
        expect_home("600", "");
}

static void bind_to_first(void *data)
{
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(0, &set);
        (void)sched_setaffinity(0, sizeof(set), &set);
}

Test(cpu, home_of_a_real_process)
{
        _cleanup_(closep) int sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        NodeSet first, home;
        Child child;

        if (faccessat(sys_fd, "devices/system/node/node0/cpulist", R_OK, 0) < 0)
                cr_skip_test("this kernel shows no NUMA nodes");

        child = child_new(bind_to_first, NULL);
        cr_assert_eq(nodeset_parse("0", &first), 0);
        cr_assert_eq(cpus_read_home(sys_fd, child.process_fd, &first, &home), 0);
        cr_assert(nodeset_equal(&home, &first));

        child_end(&child);
        child_reap(&child);
        cr_assert_eq(cpus_read_home(sys_fd, child.process_fd, &first, &home), -ESRCH);
        close(child.process_fd);
}
