/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What was done, in numbers, and what it leaves to be done: per cgroup, how much of CheapMax= and of
 * MoveRate= is spent. */

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "daemon/histogram.h"
#include "daemon/kernel/engine.h"
#include "policy/bucket.h"
#include "policy/nodeset.h"
#include "policy/plan.h"
#include "policy/rule.h"

typedef struct Account Account;
typedef struct CgroupAccount CgroupAccount;

/* The bytes of a cgroup that has CheapMax= are read when what is left of it could have been written
 * at full speed, so many bytes per second. Close to the limit that is often; where they do not change
 * it becomes less and less, to once in so long. */
#define ACCOUNT_WRITE_SPEED    (UINT64_C(2) << 30)
#define ACCOUNT_POLL_MIN_USEC  UINT64_C(20000)
#define ACCOUNT_POLL_IDLE_USEC UINT64_C(1000000)
#define ACCOUNT_POLL_MAX_USEC  UINT64_C(30000000)

/* Below this part of CheapMax= new copies go to the cheap tier again. */
#define ACCOUNT_AGAIN_PERCENT 90u

struct CgroupAccount {
        char *cgroup;
        uint64_t cheap_max;   /* RULE_UNSET: no limit */
        uint64_t cheap_bytes; /* as last read */
        bool exhausted;
        bool in_use;        /* of limits_forget() */
        uint64_t poll_usec; /* when to read again; UINT64_MAX: it has no limit */
        uint64_t interval_usec;
        Bucket moves;
        UT_hash_handle hh;
};

struct Account {
        CgroupAccount *cgroups;

        uint64_t map_events;
        uint64_t lost_events;
        uint64_t scans;
        uint64_t injections_done;
        uint64_t injections_refused; /* by the kernel in the target */
        uint64_t injections_failed;
        uint64_t pauses_refused;
        uint64_t moved_bytes[RELOCATE_ENGINES];
        uint64_t moves_failed;
        Histogram place_latency; /* from mmap() to the policy on it */
        Histogram target_pause;  /* from stop to resume of a target */
};

void account_deinit(Account *account);

/* That of a cgroup, made if it is new; its limit is the rule's, or the smallest of several rules' for
 * its processes. NULL: out of memory. */
CgroupAccount *account_cgroup(Account *account, const char *cgroup, const Limits *limits);
CgroupAccount *account_find(const Account *account, const char *cgroup);
void account_forget(Account *account, CgroupAccount *cgroup);

/* No limit is in force until account_cgroup() tells of one again; what was spent stays. */
void account_rules_changed(Account *account);

/* Takes over what the kernel says is on the cheap tier. Returns whether .exhausted has changed. */
bool cgroup_account_update(CgroupAccount *cgroup, uint64_t cheap_bytes, uint64_t now_usec);

/* What may still go to the cheap tier; UINT64_MAX: no limit. */
uint64_t cgroup_account_left(const CgroupAccount *cgroup);

/* The earliest .poll_usec, UINT64_MAX if there is none. */
uint64_t account_next_poll(const Account *account);

uint64_t account_moved_bytes(const Account *account);
