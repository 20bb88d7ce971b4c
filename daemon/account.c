/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/account.h"

#include "policy/macro.h"

void account_deinit(Account *account)
{
        CgroupAccount *cgroup, *next;

        HASH_ITER (hh, account->cgroups, cgroup, next)
                account_forget(account, cgroup);
}

void account_forget(Account *account, CgroupAccount *cgroup)
{
        HASH_DEL(account->cgroups, cgroup);
        free(cgroup->cgroup);
        free(cgroup);
}

CgroupAccount *account_find(const Account *account, const char *cgroup)
{
        CgroupAccount *found;

        HASH_FIND_STR(account->cgroups, cgroup, found);
        return found;
}

static const CgroupLimit no_limit = { .max = RULE_UNSET, .poll_usec = UINT64_MAX };

static void limits_lift(CgroupAccount *cgroup)
{
        cgroup->cheap = cgroup->fast = no_limit;
        cgroup->move_rate = RULE_UNSET;
        cgroup->is_over = false;
        cgroup->cold = (Cold){ .after_usec = RULE_UNSET };
}

static CgroupAccount *account_add(Account *account, const char *cgroup)
{
        CgroupAccount *added = calloc(1, sizeof(*added));

        if (added)
                added->cgroup = strdup(cgroup);
        if (!added || !added->cgroup) {
                free(added);
                return NULL;
        }

        limits_lift(added);
        HASH_ADD_KEYPTR(hh, account->cgroups, added->cgroup, strlen(added->cgroup), added);
        if (!added->hh.tbl) {
                free(added->cgroup);
                free(added);
                return NULL;
        }
        return added;
}

static void limit_lower(CgroupLimit *limit, uint64_t max)
{
        if (max >= limit->max)
                return;

        limit->max = max;
        limit->interval_usec = 0;
        limit->poll_usec = 0;
}

CgroupAccount *account_cgroup(Account *account, const char *cgroup, const Limits *limits)
{
        CgroupAccount *found = account_find(account, cgroup);

        if (!found)
                found = account_add(account, cgroup);
        if (!found)
                return NULL;

        limit_lower(&found->cheap, limits->cheap_max);
        limit_lower(&found->fast, limits->fast_max);
        if (limits->move_rate < found->move_rate)
                found->move_rate = limits->move_rate;
        return found;
}

void account_rules_changed(Account *account)
{
        for (CgroupAccount *cgroup = account->cgroups; cgroup; cgroup = cgroup->hh.next) {
                limits_lift(cgroup);
                cgroup->n_demote_failures = 0;
                cgroup->demote_retry_usec = 0;
                cgroup->reason[0] = '\0';
        }
}

static uint64_t poll_interval(const CgroupLimit *limit, uint64_t bytes)
{
        uint64_t usec =
                (bytes < limit->max ? limit->max - bytes : 0) / (ACCOUNT_WRITE_SPEED / 1000000u);
        uint64_t idle = limit->interval_usec * 2;

        if (usec < ACCOUNT_POLL_MIN_USEC)
                usec = ACCOUNT_POLL_MIN_USEC;
        if (idle > ACCOUNT_POLL_IDLE_USEC)
                idle = ACCOUNT_POLL_IDLE_USEC;
        if (bytes == limit->bytes && usec < idle)
                usec = idle;
        return usec < ACCOUNT_POLL_MAX_USEC ? usec : ACCOUNT_POLL_MAX_USEC;
}

bool cgroup_limit_update(CgroupLimit *limit, uint64_t bytes, uint64_t now_usec)
{
        bool before = limit->exhausted;

        if (limit->max == RULE_UNSET) {
                limit->exhausted = false;
                limit->poll_usec = UINT64_MAX;
        } else {
                if (bytes >= limit->max)
                        limit->exhausted = true;
                else if (bytes < limit->max / 100 * ACCOUNT_AGAIN_PERCENT)
                        limit->exhausted = false;
                limit->interval_usec = poll_interval(limit, bytes);
                limit->poll_usec = now_usec + limit->interval_usec;
        }
        limit->bytes = bytes;
        return limit->exhausted != before;
}

uint64_t cgroup_limit_left(const CgroupLimit *limit)
{
        if (limit->max == RULE_UNSET)
                return UINT64_MAX;
        return limit->bytes < limit->max ? limit->max - limit->bytes : 0;
}

uint64_t cgroup_over_aim(const CgroupAccount *cgroup)
{
        return cgroup->fast.max / 100 * ACCOUNT_AIM_PERCENT;
}

void cgroup_over_update(CgroupAccount *cgroup)
{
        const CgroupLimit *fast = &cgroup->fast;

        if (fast->max == RULE_UNSET || fast->bytes <= cgroup_over_aim(cgroup))
                cgroup->is_over = false;
        else if (fast->bytes > fast->max)
                cgroup->is_over = true;
}

uint64_t account_next_poll(const Account *account)
{
        uint64_t next = UINT64_MAX;

        for (const CgroupAccount *cgroup = account->cgroups; cgroup; cgroup = cgroup->hh.next) {
                if (cgroup->cheap.poll_usec < next)
                        next = cgroup->cheap.poll_usec;
                if (cgroup->fast.poll_usec < next)
                        next = cgroup->fast.poll_usec;
        }
        return next;
}

uint64_t account_moved_bytes(const Account *account)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < RELOCATE_ENGINES; i++)
                bytes += account->moved_bytes[i];
        return bytes;
}
