/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>
#include <stdio.h>

#include "client/cli/exitcode.h"
#include "policy/macro.h"

Test(exitcode, is_the_documented_number)
{
        static const struct {
                int error;
                int code;
        } rows[] = {
                { 0, 0 },       { -ENODEV, 1 },       { -ESRCH, 1 },      { -EFAULT, 1 },
                { -EDOM, 1 },   { -EBADMSG, 1 },      { -ENOENT, 1 },     { -ENXIO, 2 },
                { -EBUSY, 2 },  { -EUCLEAN, 2 },      { -EOPNOTSUPP, 2 }, { -ENOMEM, 2 },
                { -ENOSPC, 2 }, { -ECONNREFUSED, 3 }, { -ECONNRESET, 3 }, { -EPERM, 4 },
                { -EACCES, 4 }, { -EXFULL, 2 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                cr_assert_eq(exitcode_of(rows[i].error), rows[i].code, "%d", rows[i].error);
                cr_assert_eq(exitcode_of(-rows[i].error), rows[i].code, "%d", -rows[i].error);
        }
}

Test(exitcode, every_error_has_a_sentence)
{
        for (int error = -1; error > -200; error--)
                cr_assert_gt(strlen(error_sentence(error)), 0, "%d", error);
        cr_assert(strstr(error_sentence(-ECONNREFUSED), "systemctl start daxtierd"));
        cr_assert(strstr(error_sentence(-EPERM), "root"));
}

Test(exitcode, a_report_names_its_subject, .init = cr_redirect_stderr)
{
        cr_assert_eq(error_report(-ESRCH, "4711"), EXITCODE_INPUT);
        cr_assert_eq(input_refuse("%s: not a number", "x"), EXITCODE_INPUT);
        fflush(stderr);
        cr_assert_stderr_eq_str("daxtier: 4711: no such process (it may just have ended)\n"
                                "daxtier: x: not a number\n");
}

Test(exitcode, a_broken_file_is_named_with_its_line, .init = cr_redirect_stderr)
{
        ConfigError error = { .file = (char *)"a.conf", .line = 3, .message = (char *)"not so" };
        ConfigError nothing = {};

        cr_assert_eq(config_error_report(-EBADMSG, "b.conf", &error), EXITCODE_INPUT);
        cr_assert_eq(config_error_report(-EACCES, "b.conf", &nothing), EXITCODE_DENIED);
        fflush(stderr);
        cr_assert_stderr_eq_str("daxtier: a.conf:3: not so\n"
                                "daxtier: b.conf: permission denied; try it as root, with sudo\n");
}
