/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include "daemon/account.h"
#include "policy/macro.h"

#define MIB UINT64_C(1048576)
#define SEC UINT64_C(1000000)

#define LIMITS(cheap, fast, rate)                                                                  \
        {                                                                                          \
                .cheap_max = (cheap), .fast_max = (fast), .move_rate = (rate)                      \
        }

static const Limits unlimited = LIMITS(RULE_UNSET, RULE_UNSET, RULE_UNSET);
static const Limits limited = LIMITS(100 * MIB, RULE_UNSET, RULE_UNSET);
static const Limits fast_limited = LIMITS(RULE_UNSET, 100 * MIB, RULE_UNSET);

Test(account, without_a_limit_nothing_is_polled)
{
        _cleanup_(account_deinit) Account account = {};
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &unlimited);

        cr_assert_not_null(cgroup);
        cr_assert_eq(account_next_poll(&account), UINT64_MAX);
        cr_assert_not(cgroup_limit_update(&cgroup->cheap, 1000 * MIB, SEC));
        cr_assert_eq(account_next_poll(&account), UINT64_MAX);
        cr_assert_eq(cgroup_limit_left(&cgroup->cheap), UINT64_MAX);
        cr_assert_eq(account_cgroup(&account, "/a", &unlimited), cgroup);
        cr_assert_neq(account_cgroup(&account, "/b", &unlimited), cgroup);
}

Test(account, cheap_max_is_reached_and_left_again)
{
        _cleanup_(account_deinit) Account account = {};
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &limited);

        cr_assert_eq(account_next_poll(&account), 0, "to be read at once");
        cr_assert_not(cgroup_limit_update(&cgroup->cheap, 40 * MIB, SEC));
        cr_assert_eq(cgroup_limit_left(&cgroup->cheap), 60 * MIB);
        cr_assert(cgroup_limit_update(&cgroup->cheap, 100 * MIB, 2 * SEC));
        cr_assert(cgroup->cheap.exhausted);
        cr_assert_not(cgroup_limit_update(&cgroup->cheap, 95 * MIB, 3 * SEC), "not yet again");
        cr_assert(cgroup->cheap.exhausted);
        cr_assert(cgroup_limit_update(&cgroup->cheap, 89 * MIB, 4 * SEC));
        cr_assert_not(cgroup->cheap.exhausted);
}

Test(account, it_is_read_before_the_limit_can_be_passed_by_much)
{
        _cleanup_(account_deinit) Account account = {};
        Limits large = LIMITS(UINT64_C(20) << 30, RULE_UNSET, RULE_UNSET);
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &large);

        cgroup_limit_update(&cgroup->cheap, UINT64_C(10) << 30, SEC);
        cr_expect_leq(cgroup->cheap.poll_usec, SEC + 5 * SEC + SEC / 100);
        cr_expect_geq(cgroup->cheap.poll_usec, SEC + 4 * SEC);
        cgroup_limit_update(&cgroup->cheap, (UINT64_C(20) << 30) - MIB, 7 * SEC);
        cr_expect_eq(cgroup->cheap.poll_usec, 7 * SEC + ACCOUNT_POLL_MIN_USEC);
}

Test(account, where_nothing_changes_it_is_read_once_a_second)
{
        _cleanup_(account_deinit) Account account = {};
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &limited);
        uint64_t now = SEC;
        unsigned n = 0;

        for (; now < 600 * SEC; n++) {
                cgroup_limit_update(&cgroup->cheap, 99 * MIB, now);
                now = cgroup->cheap.poll_usec;
        }
        cr_expect_leq(n, 610u, "%u reads in ten minutes", n);

        cgroup_limit_update(&cgroup->cheap, 98 * MIB, now);
        cr_expect_eq(cgroup->cheap.interval_usec, ACCOUNT_POLL_MIN_USEC);
}

Test(account, a_new_limit_counts_at_once)
{
        _cleanup_(account_deinit) Account account = {};
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &limited);

        cgroup_limit_update(&cgroup->cheap, 100 * MIB, SEC);
        cr_assert(cgroup->cheap.exhausted);
        account_rules_changed(&account);
        account_cgroup(&account, "/a", &unlimited);
        cr_assert_not(cgroup->cheap.exhausted);
        cr_assert_eq(account_next_poll(&account), UINT64_MAX);
        account_cgroup(&account, "/a", &limited);
        cr_assert_eq(account_next_poll(&account), 0);
}

/* Two policies for different programs in one cgroup: a look at one does not lift the other's limit. */
Test(account, of_several_limits_the_smallest_holds)
{
        _cleanup_(account_deinit) Account account = {};
        Limits larger = LIMITS(200 * MIB, RULE_UNSET, RULE_UNSET);
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &limited);

        cgroup_limit_update(&cgroup->cheap, 100 * MIB, SEC);
        account_cgroup(&account, "/a", &unlimited);
        account_cgroup(&account, "/a", &larger);
        cr_assert(cgroup->cheap.exhausted);
        cr_assert_eq(cgroup->cheap.max, 100 * MIB);
        cr_assert_lt(account_next_poll(&account), UINT64_MAX, "it is still read");
}

Test(account, fast_max_is_polled_like_cheap_max)
{
        _cleanup_(account_deinit) Account account = {};
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &fast_limited);

        cr_assert_eq(account_next_poll(&account), 0, "to be read at once");
        cr_assert_eq(cgroup->cheap.poll_usec, UINT64_MAX, "there is no CheapMax=");
        cr_assert_not(cgroup_limit_update(&cgroup->fast, 40 * MIB, SEC));
        cr_assert_lt(account_next_poll(&account), 2 * SEC);
        cr_assert(cgroup_limit_update(&cgroup->fast, 100 * MIB, 2 * SEC));
        cr_assert(cgroup->fast.exhausted);
        cr_assert_not(cgroup->cheap.exhausted);
}

/* Once it is over, more has to go than just what is above the limit: else it would be over again with
 * the next page. */
Test(account, what_is_over_fast_max_is_so_until_it_is_well_below)
{
        _cleanup_(account_deinit) Account account = {};
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &fast_limited);
        static const struct {
                uint64_t mib;
                bool is_over;
        } steps[] = { { 99, false }, { 100, false }, { 101, true },  { 100, true },
                      { 98, true },  { 97, false },  { 100, false }, { 200, true } };

        cr_assert_geq(cgroup_over_aim(cgroup), 96 * MIB);
        cr_assert_leq(cgroup_over_aim(cgroup), 97 * MIB);
        for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
                uint64_t bytes = steps[i].mib == 97 ? cgroup_over_aim(cgroup) : steps[i].mib * MIB;

                cgroup_limit_update(&cgroup->fast, bytes, i * SEC);
                cgroup_over_update(cgroup);
                cr_expect_eq(cgroup->is_over, steps[i].is_over, "%zu", i);
        }
        account_rules_changed(&account);
        cr_assert_not(cgroup->is_over);
        cr_assert_eq(account_next_poll(&account), UINT64_MAX);
}

/* Brought down to the aim, it is at its limit still: what is accessed must not come back. */
Test(account, well_below_fast_max_is_not_yet_room_again)
{
        _cleanup_(account_deinit) Account account = {};
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &fast_limited);

        cgroup_limit_update(&cgroup->fast, 200 * MIB, SEC);
        cgroup_limit_update(&cgroup->fast, cgroup_over_aim(cgroup), 2 * SEC);
        cr_assert(cgroup->fast.exhausted);
        cgroup_limit_update(&cgroup->fast, 89 * MIB, 3 * SEC);
        cr_assert_not(cgroup->fast.exhausted);
}

Test(account, of_several_rates_the_smallest_holds)
{
        _cleanup_(account_deinit) Account account = {};
        Limits slow = LIMITS(RULE_UNSET, RULE_UNSET, MIB);
        CgroupAccount *cgroup = account_cgroup(&account, "/a", &slow);

        account_cgroup(&account, "/a", &unlimited);
        cr_assert_eq(cgroup->move_rate, MIB);
        account_rules_changed(&account);
        cr_assert_eq(cgroup->move_rate, RULE_UNSET);
}
