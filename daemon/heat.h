/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "policy/nodeset.h"
#include "policy/tier.h"

/* ColdAfter=, ColdTier= and HotTier=: anonymous memory that nobody reads or writes goes to the cold
 * nodes, and what is used again comes to the hot ones. The kernel's DAMON does it, in one kdamond of ours
 * that is there as long as there are wishes. Each wish has a scheme or two in it.
 *
 * What talks to DAMON waits for it, so that happens in a process of its own, which lives for one step. */

/* Each scheme looks at all of the memory. */
#define HEAT_WISHES_MAX 64u

typedef struct Heat Heat;
typedef struct HeatWish HeatWish;
typedef struct HeatState HeatState;

/* What is wanted for one cgroup. */
struct HeatWish {
        const char *cgroup; /* that the memory is charged to, the very one: "/a/b" */
        uint64_t cold_after_usec;
        NodeSet cold;
        bool has_hot; /* false: what is cold stays there */
        NodeSet hot;
        uint64_t rate; /* bytes a second, in both directions together */
        bool hold_hot; /* nothing comes back for now: there is no room */
};

/* How it stands with a cgroup's wish. */
struct HeatState {
        /* 0: DAMON is at it. -EINPROGRESS: not yet. -EOPNOTSUPP: this kernel cannot do it, and never will.
         * Anything else is tried again: -EBUSY: somebody else has DAMON; -ENOENT: nothing is wished for
         * this cgroup; -E2BIG: it is beyond HEAT_WISHES_MAX; … */
        int error;
        const char *reason;     /* a sentence, with what to do; "" if .error is 0 or -EINPROGRESS */
        uint64_t demoted_bytes; /* what DAMON says it moved, since it was first wished for */
        uint64_t promoted_bytes;
};

/* @sys_fd is an open /sys, @cgroup_fd cgroup2's root, @run_fd /run/daxtierd; not owned. SIGCHLD must be
 * blocked. */
int heat_new(sd_event *event, int sys_fd, int cgroup_fd, int run_fd, Heat **ret_heat);

/* Turns the kdamond off and gives DAMON back, waiting for that. */
void heat_free(Heat *heat);
void heat_freep(Heat **heat);

/* What a killed one left behind: damon_stat switched off. (Its kdamond is relocate_recover()'s to turn off,
 * with all that is ours in DAMON.) Nobody is at it: at the start. */
int heat_recover(void);

/* Damon=take: whether DAMON may be taken from damon_stat, and from who has set it up and runs nothing. */
void heat_set_take(Heat *heat, bool take);

/* What is wanted from now on, all of it; copied. Wishes that are as they were change nothing, those of
 * one cgroup but the first are ignored, as are those beyond HEAT_WISHES_MAX. @tiers: where cold memory is
 * looked for (fast, and hot nodes), and hot memory (cheap, and cold nodes). */
int heat_set(Heat *heat, const HeatWish *wishes, size_t n_wishes, const Tiers *tiers);

void heat_state(const Heat *heat, const char *cgroup, HeatState *ret_state);

/* Of all cgroups, those too for which nothing is wished any more. */
void heat_totals(const Heat *heat, uint64_t *ret_demoted_bytes, uint64_t *ret_promoted_bytes);
