/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The road from "something happened in a policy's cgroup" to "its copies are where the policy wants
 * them": watch, scan, match, plan, apply, account. Whatever happens, a new mapping, a process, another
 * policy, the slow reconcile, ends in target_due(), and from there takes the same way:
 *
 *      events.c      what happens, as the kernel tells it
 *      placement.c   what is to be looked at, and when
 *      placing.c     plan, have policies applied to mappings
 *      anon.c        the same for anonymous memory: policies of threads
 *      recall.c      what an earlier run of the service gave
 *      moving.c      have pages moved that were there before
 *      limits.c      what CheapMax= and FastMax= leave
 *      aging.c       what ColdAfter= asks for
 *      demoting.c    have cgroups' coldest memory demoted, for FastMax= and ColdAfter=
 *      idle.c        ColdAfter= where DAMON cannot serve it
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/account.h"
#include "daemon/aging.h"
#include "daemon/apply.h"
#include "daemon/heat.h"
#include "daemon/ledger.h"
#include "daemon/relocate.h"
#include "daemon/sampler.h"
#include "daemon/scan.h"
#include "daemon/target.h"
#include "daemon/watch.h"
#include "policy/rule.h"
#include "policy/tier.h"

typedef struct Placement Placement;

/* Nothing is under way any more that must not be cut short. */
typedef void (*placement_idle_fn)(void *userdata);

/* Where it looks; tests have others. */
typedef struct PlacementHost {
        int proc_fd;
        int sys_fd;
        int cgroup_fd; /* -1: there is no cgroup2 */
        int run_fd;    /* /run/daxtierd */
        const char *injector_path;
        relocation_run_fn relocate;
} PlacementHost;

/* One, owned by the Manager. */
struct Placement {
        sd_event *event;
        PlacementHost host;
        bool dry_run; /* say what would be done */

        Rule *rules;
        size_t n_rules;
        bool all_dax; /* every rule is about DAX files only */
        Tiers tiers;

        Watch *watch; /* NULL: there are no policies, or the kernel has no perf events */
        int watch_error;
        Scanner scanner;
        Targets targets;
        Ledger *ledger; /* NULL: nothing outlives this run */
        Applier *applier;
        int injector_error; /* why the injector was not reached last; 0: it was */
        Account account;
        Sampler *sampler;
        Aging aging;
        Heat *heat;
        sd_event_source *poll_timer; /* CheapMax=, FastMax= */

        sd_event_source *lost_timer;
        uint64_t lost_usec; /* when lost events were last made up for; 0: never yet */

        Target **waiting; /* a queue of those whose copies are to move */
        size_t n_waiting, n_waiting_allocated;
        Relocation *relocation;        /* the one at work; NULL: none */
        Target *relocating;            /* for it; NULL: it has ended meanwhile */
        sd_event_source *move_timer;   /* MoveRate= */
        bool cold_by_reclaim;          /* ColdAfter=, as DAMON is not there, or cannot: idle.h */
        Relocation *demotion;          /* of a cgroup; NULL: none is at work */
        bool demotion_for_limit;       /* it is for FastMax=, not for ColdAfter= */
        sd_event_source *demote_timer; /* MoveRate=, ColdAfter=, and what has failed */
        placement_idle_fn on_idle;     /* after placement_stop() */
        void *userdata;
        bool stopping;

        struct Listing *listings; /* answers that are being made */
        size_t n_listings;

        unsigned idle_engines; /* 1 << RelocateEngine: those that do nothing on this kernel */
};

/* Takes fds of @host over on success only. */
int placement_new(sd_event *event, const PlacementHost *host, Placement **ret_placement);
Placement *placement_free(Placement *placement);
void placement_freep(Placement **placement);

/* Policies from now on; takes @rules over in any case. What is placed already stays, and is looked at
 * again: without a gap. */
int placement_set_rules(Placement *placement, Rule *rules, size_t n_rules);

/* The tiers as they are now; a change makes everything be looked at again. */
void placement_set_tiers(Placement *placement, const Tiers *tiers);

/* Begins nothing new. What is being moved ends after its present batch, and @on_idle is called then, if
 * this returns true; else there is nothing to wait for. Policies stay on the mappings. */
bool placement_stop(Placement *placement, placement_idle_fn on_idle, void *userdata);

/* The slow safety net: finds processes that no event told of, and looks again at all the others. */
void placement_reconcile(Placement *placement);

/* Looks at one process now. -ESRCH: it has gone, and @target with it. */
int placement_look(Placement *placement, Target *target);

/* Looks at it in so long, or before. */
void placement_due(Placement *placement, Target *target, uint64_t in_usec);

/* Drops a target, with all that is under way for it. */
void placement_remove(Placement *placement, Target *target);

/* CLOCK_MONOTONIC, as of the present turn of the event loop. */
uint64_t placement_now(const Placement *placement);

/* CLOCK_MONOTONIC, as of now. */
uint64_t placement_clock_ns(void);

/* How long to wait after the @n_failures-th failure in a row: @first_usec, then twice as long each
 * time, @last_usec at most. */
uint64_t placement_backoff(unsigned n_failures, uint64_t first_usec, uint64_t last_usec);

/* A process that one has heard of, new or known. NULL: out of memory. */
Target *placement_target(Placement *placement, pid_t pid);

/* Looks at all that are known, a few at a time; at every process in a policy's cgroup that is not. */
void placement_look_again(Placement *placement);
void placement_sweep(Placement *placement);

/* Both, after events were lost; from the event loop, and once in a second at most. */
int placement_make_up(Placement *placement);

/* events.c: a watch_fn */
void placement_hear(const WatchEvent *event, void *userdata);

/* How long to wait after the @n_failures-th failure in a row of a call; a reason that will not pass by
 * itself waits for another program in the process, or another policy. */
uint64_t placement_retry_usec(unsigned n_failures, bool for_good);

/* So many failures in a row are called one. */
#define PLACEMENT_FAILED_AFTER 3u

/* limits.c: whether CheapMax= keeps the process from the nodes. */
bool limits_is_spent(const Placement *placement, const Target *target, const Intent *intent);

/* limits.c: starts to keep an eye on the limits of the process' cgroup; forgets cgroups without
 * processes under policy. */
void limits_look(Placement *placement, const Target *target);
void limits_forget(Placement *placement);
void limits_read(Placement *placement, CgroupAccount *cgroup); /* what is due of it */

/* demoting.c: does what is to be done for the first cgroup that may be served now, if nothing is being
 * done, and looks after the next. */
void demoting_start(Placement *placement);
void demoting_due(Placement *placement, uint64_t at_usec); /* the same then, not sooner */
bool demoting_stop(Placement *placement);                  /* true: one is still at work */
void demoting_deinit(Placement *placement);

/* anon.c: plans; begins with the next thread, true: a call is under way; says what it would do. */
void anon_plan(Placement *placement, Target *target, const Scan *scan, uint64_t now_usec);
bool anon_proceed(Placement *placement, Target *target);
void anon_pretend(Placement *placement, Target *target);

/* What moves, or has moved, its pages: "move-pages", "damon", "reclaim"; "" nothing yet. */
const char *anon_engine_name(const Placement *placement, const Target *target);

/* placing.c: plans what was seen and starts on it. */
void target_plan(Placement *placement, Target *target, const Scan *scan, uint64_t now_usec);
void target_proceed(Placement *placement, Target *target);

/* moving.c */
void target_move(Placement *placement, Target *target);
void target_stop_moving(Placement *placement, Target *target);
bool moving_stop(Placement *placement); /* true: one is still at work */
void moving_deinit(Placement *placement);
void moving_recover(void); /* undoes what a killed mover left */
