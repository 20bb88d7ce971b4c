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

static CgroupAccount *account_add(Account *account, const char *cgroup)
{
        CgroupAccount *added = calloc(1, sizeof(*added));

        if (added)
                added->cgroup = strdup(cgroup);
        if (!added || !added->cgroup) {
                free(added);
                return NULL;
        }

        added->cheap_max = RULE_UNSET;
        added->poll_usec = UINT64_MAX;
        HASH_ADD_KEYPTR(hh, account->cgroups, added->cgroup, strlen(added->cgroup), added);
        if (!added->hh.tbl) {
                free(added->cgroup);
                free(added);
                return NULL;
        }
        return added;
}

CgroupAccount *account_cgroup(Account *account, const char *cgroup, const Limits *limits)
{
        CgroupAccount *found = account_find(account, cgroup);

        if (!found)
                found = account_add(account, cgroup);
        if (found && limits->cheap_max < found->cheap_max) {
                found->cheap_max = limits->cheap_max;
                found->interval_usec = 0;
                found->poll_usec = 0;
        }
        return found;
}

void account_rules_changed(Account *account)
{
        for (CgroupAccount *cgroup = account->cgroups; cgroup; cgroup = cgroup->hh.next) {
                cgroup->cheap_max = RULE_UNSET;
                cgroup->exhausted = false;
                cgroup->poll_usec = UINT64_MAX;
        }
}

static uint64_t poll_interval(const CgroupAccount *cgroup, uint64_t cheap_bytes)
{
        uint64_t left = cheap_bytes < cgroup->cheap_max ? cgroup->cheap_max - cheap_bytes : 0;
        uint64_t usec = left / (ACCOUNT_WRITE_SPEED / 1000000u);
        uint64_t idle = cgroup->interval_usec * 2;

        if (usec < ACCOUNT_POLL_MIN_USEC)
                usec = ACCOUNT_POLL_MIN_USEC;
        if (idle > ACCOUNT_POLL_IDLE_USEC)
                idle = ACCOUNT_POLL_IDLE_USEC;
        if (cheap_bytes == cgroup->cheap_bytes && usec < idle)
                usec = idle;
        return usec < ACCOUNT_POLL_MAX_USEC ? usec : ACCOUNT_POLL_MAX_USEC;
}

bool cgroup_account_update(CgroupAccount *cgroup, uint64_t cheap_bytes, uint64_t now_usec)
{
        bool before = cgroup->exhausted;

        if (cgroup->cheap_max == RULE_UNSET) {
                cgroup->exhausted = false;
                cgroup->poll_usec = UINT64_MAX;
        } else {
                if (cheap_bytes >= cgroup->cheap_max)
                        cgroup->exhausted = true;
                else if (cheap_bytes < cgroup->cheap_max / 100 * ACCOUNT_AGAIN_PERCENT)
                        cgroup->exhausted = false;
                cgroup->interval_usec = poll_interval(cgroup, cheap_bytes);
                cgroup->poll_usec = now_usec + cgroup->interval_usec;
        }
        cgroup->cheap_bytes = cheap_bytes;
        return cgroup->exhausted != before;
}

uint64_t cgroup_account_left(const CgroupAccount *cgroup)
{
        if (cgroup->cheap_max == RULE_UNSET)
                return UINT64_MAX;
        return cgroup->cheap_bytes < cgroup->cheap_max ? cgroup->cheap_max - cgroup->cheap_bytes
                                                       : 0;
}

uint64_t account_next_poll(const Account *account)
{
        uint64_t next = UINT64_MAX;

        for (const CgroupAccount *cgroup = account->cgroups; cgroup; cgroup = cgroup->hh.next)
                if (cgroup->poll_usec < next)
                        next = cgroup->poll_usec;
        return next;
}

uint64_t account_moved_bytes(const Account *account)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < RELOCATE_ENGINES; i++)
                bytes += account->moved_bytes[i];
        return bytes;
}
