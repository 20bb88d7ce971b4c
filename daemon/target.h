/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is remembered of a process between two looks at it, and of all of them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>
#include <uthash.h>

#include "daemon/scan.h"
#include "policy/plan.h"

typedef struct Given Given;
typedef struct Target Target;
typedef struct TargetAnon TargetAnon;
typedef struct TargetMapping TargetMapping;
typedef struct TargetThread TargetThread;
typedef struct Targets Targets;

/* Policies that mappings were given: few, and shared by all that have them. */
struct Given {
        NodeSet nodes;
        bool strict;
        Given *next;
};

/* A mapping under policy. Bytes are those of the last look. */
struct TargetMapping {
        uint64_t start;
        uint64_t end;
        uint64_t offset;
        uint64_t inode;
        uint32_t dev_major;
        uint32_t dev_minor;
        char *file;
        MappingKind kind;
        MappingState state;
        const char *reason;  /* a sentence, of static storage or .move_reason; "" */
        const Given *given;  /* what we gave it; NULL: nothing */
        unsigned actions;    /* PlanAction: yet to be done */
        unsigned n_failures; /* in a row, of giving it its policy */
        uint64_t retry_usec; /* not before; CLOCK_MONOTONIC */
        uint64_t cow_bytes;
        uint64_t cheap_bytes;
        uint64_t fast_bytes;
        uint64_t wanted_bytes;
};

/* A thread that is to be given the policy, or to lose it. */
struct TargetThread {
        pid_t tid;
        PlanAction action; /* PLAN_PLACE or PLAN_RELEASE */
};

/* The anonymous memory of a process. Bytes are those of the last look. */
struct TargetAnon {
        bool is_concerned;  /* its policy is about it */
        MappingState state; /* if so */
        const char *reason; /* as of a mapping */
        const Given *given; /* what its threads were given; NULL: nothing. It outlives an exec */
        const Given *given_before; /* and before that, which some of them may still have */
        bool is_settled;  /* all threads are as they should be, and so will be those they make */
        Plan plan;        /* of its threads, at the last look at them */
        unsigned actions; /* PLAN_MOVE */
        unsigned n_failures;
        uint64_t retry_usec;
        uint64_t pause_max_ns; /* of the policy that gave it */
        TargetThread *threads; /* yet to be done */
        size_t n_threads, at;
        const char *put_off;   /* why one of them could not be had just now; NULL: none */
        VmaPolicy main_policy; /* of the main thread, when they were looked at */
        NodeSet main_nodes;
        pid_t threads_after; /* where the next look at threads goes on; 0: at the first */
        bool pass_is_clean;  /* all were as they should be, and */
        bool pass_is_bare;   /* none had a policy, in this going through them */
        uint64_t stack_start, stack_end; /* to be kept out of it; 0: nothing to do */
        bool stack_was_tried;
        uint64_t move_from;      /* where a relocation of it that was cut short goes on */
        char cgroup_reason[192]; /* why ColdAfter= or FastMax= of its cgroup is not served; "" */
        uint64_t bytes;
        uint64_t cheap_bytes;
        uint64_t fast_bytes;
        uint64_t wanted_bytes;
        uint64_t moved_bytes; /* by move_pages(), since it was found */
};

/* A process that was heard of. */
struct Target {
        pid_t pid;
        Subject subject;  /* empty until it was looked at */
        const Rule *rule; /* NULL: not looked at yet, or no policy is for it */
        Intent intent;
        Intent anon_intent;
        TargetMapping *mappings; /* by address */
        size_t n_mappings;
        TargetAnon anon;
        bool scanned;
        bool is_outdated; /* the rules have changed since: .rule is not known */

        sd_event_source *timer; /* when to look again */
        uint64_t due_usec;      /* UINT64_MAX: not of itself */
        bool is_routine;        /* for no other reason than that time has passed */
        uint64_t fingerprint;   /* process_fingerprint() at the last routine look; 0: none yet */
        unsigned n_skipped;     /* routine looks since the last real one */
        uint64_t scanned_usec;
        uint64_t owed_usec;  /* time that looks took, less what has been paid off since */
        uint64_t rest_usec;  /* do not look before: looking shall not become all we do */
        uint64_t heard_ns;   /* the oldest new mapping that was not looked at yet; 0: none */
        uint64_t placing_ns; /* the same, of what is being placed now */

        struct Placement *placement; /* whose it is */
        struct Apply *apply;         /* a call that is being made in it: */
        PlanAction apply_kind;       /* PLAN_PLACE or PLAN_RELEASE, */
        NodeSet apply_nodes;
        bool apply_strict;
        uint64_t apply_start, apply_end; /* of what is mapped there */
        bool apply_outdated;             /* it is of a policy that is no longer in force */
        bool was_applied;                /* one was, since the last look */
        unsigned n_stale;                /* calls in a row that found something else there */
        bool is_moving;                  /* its pages are being moved, or wait for that */
        bool anon_is_next;               /* it was copies' turn */
        uint64_t move_from; /* where a relocation of copies that was cut short goes on */
        unsigned n_move_failures;
        uint64_t move_retry_usec;
        char move_reason[160]; /* why copies are left elsewhere; "" */

        UT_hash_handle hh;
};

struct Targets {
        Target *by_pid;
        Given *given;
        size_t totals[MAPPING_STATES]; /* mappings, and anonymous memories, in each state */
};

void targets_deinit(Targets *targets);

Target *targets_find(const Targets *targets, pid_t pid);

/* A new one, which nobody has looked at. */
int targets_add(Targets *targets, pid_t pid, Target **ret_target);

/* Forgets it. */
void targets_remove(Targets *targets, Target *target);

/* Takes over what was seen: the names leave @scan, and its mappings, with the policies that they have,
 * are then those of @target, one for one. What is known of a mapping that is still there, what we
 * gave it above all, stays. A process of another start time keeps nothing. */
int target_update(Targets *targets, Target *target, Scan *scan);

/* To a child: what its parent's threads were given. If nobody has looked at it, its parent's mappings, too,
 * with what these were given. */
int target_inherit(Targets *targets, Target *child, const Target *parent);

/* As .anon.given; or what a call that is being made gives the first of its threads, or has given. */
const Given *target_given(Targets *targets, const Target *target);

/* As of a process that runs another program: nothing that is known of its mappings holds. What its
 * thread was given does. */
void target_forget(Targets *targets, Target *target);

/* Another policy may be for it: what has failed may be tried anew. What it was given is remembered; a
 * call that is being made is still heard of, as outdated. */
void target_rules_changed(Target *target);

/* What its threads were given, one of them at least. */
void target_give(Target *target, const Given *given);

void target_set_state(Targets *targets, TargetMapping *mapping, MappingState state,
                      const char *reason);
void target_set_anon_state(Targets *targets, Target *target, MappingState state,
                           const char *reason);

/* The one like this. NULL: out of memory. */
const Given *targets_given(Targets *targets, const NodeSet *nodes, bool strict);
