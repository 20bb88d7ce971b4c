/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What was done, in numbers, and what it leaves to be done: per cgroup, how much of CheapMax=, FastMax=
 * and MoveRate= is spent. */

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
typedef struct CgroupLimit CgroupLimit;
typedef struct Cold Cold;

/* The bytes of a cgroup that has a limit are read when what is left of it could have been written at
 * full speed, so many bytes per second. Close to the limit that is often; where they do not change it
 * becomes less and less, to once in so long. */
#define ACCOUNT_WRITE_SPEED    (UINT64_C(2) << 30)
#define ACCOUNT_POLL_MIN_USEC  UINT64_C(20000)
#define ACCOUNT_POLL_IDLE_USEC UINT64_C(1000000)
#define ACCOUNT_POLL_MAX_USEC  UINT64_C(30000000)

/* Below this part of CheapMax= new copies go to the cheap tier again, and of FastMax= what is accessed
 * comes back. */
#define ACCOUNT_AGAIN_PERCENT 90u

/* What is demoted of a cgroup that is above FastMax= is a little more than has to be. Not below
 * ACCOUNT_AGAIN_PERCENT: what comes back then would be demoted next. */
#define ACCOUNT_AIM_PERCENT 97u

/* CheapMax= or FastMax= of a cgroup: so many bytes of anonymous memory, copies included, on a tier. */
struct CgroupLimit {
        uint64_t max;       /* RULE_UNSET: no limit */
        uint64_t bytes;     /* as last read */
        bool exhausted;     /* it was reached, and not enough is gone since */
        uint64_t poll_usec; /* when to read again; UINT64_MAX: there is no limit */
        uint64_t interval_usec;
};

/* ColdAfter= where DAMON does not serve it: round by round (idle.c). */
typedef enum ColdPhase {
        COLD_MARK,    /* from .due_usec on: to be noted what is accessed */
        COLD_MEASURE, /* from .due_usec on: to be seen what was not */
        COLD_DEMOTE,  /* .bytes of it are to go */
} ColdPhase;

struct Cold {
        uint64_t after_usec; /* RULE_UNSET: not wanted */
        ColdPhase phase;
        uint64_t due_usec;
        uint64_t bytes;
        bool is_guess;                  /* .bytes may be on the cheap tier already */
        unsigned n_rounds, rest_rounds; /* since the last guess, and how many to let pass */
};

struct CgroupAccount {
        char *cgroup;
        CgroupLimit cheap;
        CgroupLimit fast;
        uint64_t move_rate; /* the smallest of its rules'; RULE_UNSET: no limit */
        Bucket moves;
        bool in_use; /* of limits_forget() */

        bool is_over; /* FastMax=: until enough is demoted */
        Cold cold;
        uint64_t demoted_bytes;     /* by us, not by DAMON */
        uint64_t served_usec;       /* when something was last tried for it */
        unsigned n_demote_failures; /* in a row */
        uint64_t demote_retry_usec;
        char reason[160]; /* why FastMax= or ColdAfter= cannot be served now; "" */
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
        uint64_t demoted_bytes[RELOCATE_ENGINES]; /* for FastMax= and ColdAfter= */
        Histogram place_latency;                  /* from mmap() to the policy on it */
        Histogram target_pause;                   /* from stop to resume of a target */
};

void account_deinit(Account *account);

/* That of a cgroup, made if it is new; its limits are the rule's, or the smallest of several rules' for
 * its processes. NULL: out of memory. */
CgroupAccount *account_cgroup(Account *account, const char *cgroup, const Limits *limits);
CgroupAccount *account_find(const Account *account, const char *cgroup);
void account_forget(Account *account, CgroupAccount *cgroup);

/* No limit is in force until account_cgroup() tells of one again; what was spent stays. */
void account_rules_changed(Account *account);

/* Takes over what the kernel says is on the tier. Returns whether .exhausted has changed. */
bool cgroup_limit_update(CgroupLimit *limit, uint64_t bytes, uint64_t now_usec);

/* What may still go to the tier; UINT64_MAX: no limit. */
uint64_t cgroup_limit_left(const CgroupLimit *limit);

/* Now that .fast is updated: sets .is_over, from when it is above the limit until it is well below. */
void cgroup_over_update(CgroupAccount *cgroup);

/* Of FastMax=: what may stay there of one that is over. */
uint64_t cgroup_over_aim(const CgroupAccount *cgroup);

/* The earliest .poll_usec, UINT64_MAX if there is none. */
uint64_t account_next_poll(const Account *account);

uint64_t account_moved_bytes(const Account *account);
