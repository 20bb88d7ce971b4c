/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/kernel/cpu.h"
#include "policy/macro.h"
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
