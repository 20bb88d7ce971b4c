/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/heat.h"
#include "daemon/hold.h"
#include "daemon/kernel/damonheat.h"
#include "policy/sweep.h"

/* What the keeper of cold and hot memory does with DAMON: one step at a time, each in a process of its
 * own. It works on a copy of this, and what became of it goes back through a pipe; pointers in it are the
 * keeper's, and good in both. */

typedef struct HeatSlot HeatSlot;
typedef struct HeatWork HeatWork;
typedef struct HeatWorld HeatWorld;

/* A scheme. */
struct HeatSlot {
        char *cgroup; /* owned by the keeper; NULL: it only keeps its place */
        size_t wish;  /* which one it is of */
        bool hot;
        bool fresh;   /* DAMON has not been told of it yet */
        bool missing; /* there is no such cgroup */
        unsigned node;
        Sweep sweep;
        DamonStats seen;
        uint64_t moved_bytes; /* in this step */
};

struct HeatWork {
        HeatSlot slots[DAMON_SCHEMES_MAX];
        size_t n_slots;
        size_t n_told; /* so many of them DAMON has */
        SweepTimes times;
        SweepDebt debts[HEAT_WISHES_MAX]; /* of each wish */

        DamonRegion regions[DAMON_REGIONS_MAX];
        size_t n_regions;
        uint64_t regions_usec; /* when they were looked at */

        bool changed; /* DAMON is to be told everything */
        bool claimed;
        bool running;
        uint64_t seen_usec;
        Hold stat; /* the kernel's damon_stat, switched off */
        bool stat_held;

        int error; /* of the step */
        char reason[160];
        bool moved; /* anything */
};

/* What a step goes by. Not owned. */
struct HeatWorld {
        int sys_fd;
        int cgroup_fd;
        int run_fd;
        bool take;
        DamonClaim *claim;
        const HeatWish *wishes;
        size_t n_wishes;
        NodeSet fast;
        NodeSet cheap;
};

/* Brings DAMON nearer to what is wished for, and reads what it has done. Sets .error and .reason. */
void heat_step(const HeatWorld *world, HeatWork *work, uint64_t now_usec);

/* Turns it off and gives it back; at the end of everything, or without wishes. */
int heat_end(const HeatWorld *world, HeatWork *work);

/* The nodes whose memory a scheme of the wish looks at. */
void heat_sources(const HeatWorld *world, const HeatWish *wish, bool hot, NodeSet *ret_nodes);
