/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>

#include "daemon/kernel/user.h"

Test(user, by_name_and_by_number)
{
        uint32_t uid = 1;

        cr_assert_eq(user_find("root", &uid), 0);
        cr_assert_eq(uid, 0);
        cr_assert_eq(user_find("4000000001", &uid), 0);
        cr_assert_eq(uid, 4000000001u);
}

Test(user, nobody_has_that_name)
{
        uint32_t uid = 77;

        cr_assert_eq(user_find("no-such-user-here", &uid), -ENOENT);
        cr_assert_eq(user_find("4294967295", &uid), -ENOENT);
        cr_assert_eq(uid, 77u);
}
