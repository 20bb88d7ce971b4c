/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include "daemon/account.h"
#include "policy/macro.h"

#define MIB UINT64_C(1048576)
#define SEC UINT64_C(1000000)

static const Limits unlimited = { .cheap_max = RULE_UNSET };
static const Limits limited = { .cheap_max = 100 * MIB };

Test(account, without_a_limit_nothing_is_polled)
{
        _cleanup_(account_deinit) Account account = {};
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &unlimited);

        cr_assert_not_null(cgroup);
        cr_assert_eq(account_next_poll(&account), UINT64_MAX);
        cr_assert_not(cgroup_account_update(cgroup, 1000 * MIB, SEC));
        cr_assert_eq(account_next_poll(&account), UINT64_MAX);
        cr_assert_eq(cgroup_account_left(cgroup), UINT64_MAX);
        cr_assert_eq(account_cgroup(&account, "/a", &unlimited), cgroup);
        cr_assert_neq(account_cgroup(&account, "/b", &unlimited), cgroup);
}

Test(account, cheap_max_is_reached_and_left_again)
{
        _cleanup_(account_deinit) Account account = {};
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &limited);

        cr_assert_eq(account_next_poll(&account), 0, "to be read at once");
        cr_assert_not(cgroup_account_update(cgroup, 40 * MIB, SEC));
        cr_assert_eq(cgroup_account_left(cgroup), 60 * MIB);
        cr_assert(cgroup_account_update(cgroup, 100 * MIB, 2 * SEC));
        cr_assert(cgroup->exhausted);
        cr_assert_not(cgroup_account_update(cgroup, 95 * MIB, 3 * SEC), "not yet again");
        cr_assert(cgroup->exhausted);
        cr_assert(cgroup_account_update(cgroup, 89 * MIB, 4 * SEC));
        cr_assert_not(cgroup->exhausted);
}

Test(account, it_is_read_before_the_limit_can_be_passed_by_much)
{
        _cleanup_(account_deinit) Account account = {};
        Limits large = { .cheap_max = UINT64_C(20) << 30 };
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &large);

        cgroup_account_update(cgroup, UINT64_C(10) << 30, SEC);
        cr_expect_leq(cgroup->poll_usec, SEC + 5 * SEC + SEC / 100);
        cr_expect_geq(cgroup->poll_usec, SEC + 4 * SEC);
        cgroup_account_update(cgroup, (UINT64_C(20) << 30) - MIB, 7 * SEC);
        cr_expect_eq(cgroup->poll_usec, 7 * SEC + ACCOUNT_POLL_MIN_USEC);
}

Test(account, where_nothing_changes_it_is_read_once_a_second)
{
        _cleanup_(account_deinit) Account account = {};
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &limited);
        uint64_t now = SEC;
        unsigned n = 0;

        for (; now < 600 * SEC; n++) {
                cgroup_account_update(cgroup, 99 * MIB, now);
                now = cgroup->poll_usec;
        }
        cr_expect_leq(n, 610u, "%u reads in ten minutes", n);

        cgroup_account_update(cgroup, 98 * MIB, now);
        cr_expect_eq(cgroup->interval_usec, ACCOUNT_POLL_MIN_USEC);
}

Test(account, a_new_limit_counts_at_once)
{
        _cleanup_(account_deinit) Account account = {};
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &limited);

        cgroup_account_update(cgroup, 100 * MIB, SEC);
        cr_assert(cgroup->exhausted);
        account_rules_changed(&account);
        account_cgroup(&account, "/a", &unlimited);
        cr_assert_not(cgroup->exhausted);
        cr_assert_eq(account_next_poll(&account), UINT64_MAX);
        account_cgroup(&account, "/a", &limited);
        cr_assert_eq(account_next_poll(&account), 0);
}

/* Two policies for different programs in one cgroup: a look at one does not lift the other's limit. */
Test(account, of_several_limits_the_smallest_holds)
{
        _cleanup_(account_deinit) Account account = {};
        Limits larger = { .cheap_max = 200 * MIB };
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &limited);

        cgroup_account_update(cgroup, 100 * MIB, SEC);
        account_cgroup(&account, "/a", &unlimited);
        account_cgroup(&account, "/a", &larger);
        cr_assert(cgroup->exhausted);
        cr_assert_eq(cgroup->cheap_max, 100 * MIB);
        cr_assert_lt(account_next_poll(&account), UINT64_MAX, "it is still read");
}
