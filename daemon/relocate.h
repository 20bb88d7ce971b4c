/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "daemon/kernel/engine.h"
#include "policy/nodeset.h"

typedef struct RelocateRange RelocateRange;
typedef struct RelocateRequest RelocateRequest;
typedef struct RelocateResult RelocateResult;
typedef struct Relocation Relocation;

/* What is to be done. */
typedef enum RelocateKind {
        RELOCATE_PROCESS, /* move memory of a process */
        RELOCATE_COLDEST, /* demote what is coldest of a cgroup's anonymous memory */
        RELOCATE_MARK,    /* note from now on what of that is accessed; moves nothing */
        RELOCATE_MEASURE, /* see how much was not, since; moves nothing */
} RelocateKind;

#define RELOCATE_KINDS 4u

/* Bytes of a process. Of a file mapping only the copies are moved, of anonymous memory every page. */
struct RelocateRange {
        uint64_t start;
        uint64_t end;
        bool dax; /* of a private DAX mapping: move_pages(2) is of no use */
};

/* Of RELOCATE_PROCESS the process and its ranges. Of the others a cgroup that accounts its memory, with
 * all that is below it: every process there must be one whose memory may be demoted. */
struct RelocateRequest {
        RelocateKind kind;
        NodeSet from_nodes;  /* of a cgroup: where the pages are now */
        bool careful;        /* of a cgroup: ends when all pages were looked at once */
        uint64_t keep_bytes; /* of a cgroup: what may stay there */
        pid_t pid;
        uint64_t start_time;         /* process_start_time(): a number is used again */
        const char *cgroup;          /* of the process, below the cgroup2 root: "/a/b" */
        const RelocateRange *ranges; /* any order, not overlapping */
        size_t n_ranges;
        bool anonymous; /* also all that anon_match() says is the process's anonymous memory */
        uint64_t from;  /* leaves out what is below this address, unless it is of a DAX mapping */
        NodeSet nodes;  /* where the pages should be: on the nearest with room */
        uint64_t rate;  /* bytes per second; UINT64_MAX: no limit */
        uint64_t saved_bytes; /* that may be moved at once: up to BUCKET_BURST_USEC's worth is */
        uint64_t bytes_max;   /* of what is moved; UINT64_MAX: no limit */
        uint64_t bytes_turn;  /* the same, but a huge page that is more still goes; 0: no limit */
        /* One move_pages() call takes no longer, as far as it can be foreseen; UINT64_MAX: no limit.
         * The least is a call for 32 pages, or for one huge page; and where a call for none takes more
         * than half of it, half of it for the pages. */
        uint64_t pause_max_ns;
        unsigned engines; /* 1 << RelocateEngine: those to try, RELOCATE_ENGINES_ALL at first */
};

/* What the kernel shows afterwards, never what it says that it did. */
struct RelocateResult {
        RelocateEngine engine; /* the one that moved most; RELOCATE_NONE: nothing was moved */
        uint64_t moved_bytes;  /* that were on other nodes before and are on .nodes now */
        uint64_t moved_by[RELOCATE_ENGINES]; /* the same by engine */
        /* That are still on other nodes; of what is not of a DAX mapping only as far as it was looked
         * at, which is all if .next is 0. */
        uint64_t left_bytes;
        uint64_t next; /* the RelocateRequest.from that goes on after this one; 0: it is through */
        uint64_t idle_bytes; /* of RELOCATE_MEASURE: wherever they are */
        uint64_t elapsed_ns;
        /* 1 << RelocateEngine: accepted everything and moved nothing where another did: leave them
         * out of RelocateRequest.engines for the rest of this run. */
        unsigned idle_engines;
        /* 0: nothing is left, or one of .bytes_max and .bytes_turn is reached. -ESRCH: the process is
         * gone. -ENOSPC: no room on .nodes. -EBUSY: what could move them belongs to somebody else.
         * -EOPNOTSUPP: no engine for it here. -EAGAIN: some pages would not move now. -EINTR,
         * -ECANCELED: ended from outside. Others of the kernel. */
        int error;
        char reason[160]; /* a sentence for people if bytes are left: what, why, what to do */
};

/* Called once when it has ended, with .result filled in; the relocation is still its owner's. */
typedef void (*relocation_done_fn)(Relocation *relocation, void *userdata);

/* What the relocation's process runs: relocation_run(), or a test's own. */
typedef void (*relocation_run_fn)(const RelocateRequest *request, int result_fd);

/* The copies of one process that are to move, in a process of its own: the kernel may block it. One
 * at a time is at work on a machine (there is one kdamond of ours), a second one waits for the
 * first; to queue them is cheaper. */
struct Relocation {
        RelocateRequest request; /* a copy; owned */
        RelocateResult result;   /* grows while it runs */

        relocation_done_fn on_done;
        void *userdata;
        sd_event_source *pipe_source;
        sd_event_source *child_source;
        int pipe_fd;
        int pidfd; /* -1: not running */
};

/* Copies the request. -EINVAL: no nodes, nothing to move or a rate of 0. */
int relocation_new(const RelocateRequest *request, Relocation **ret_relocation);

/* One that still runs is told to end, and awaited: what it holds is the whole machine's, and at the end
 * of a service nobody else is left to give it back. One that has not ended in two seconds is killed. */
void relocation_free(Relocation *relocation);
void relocation_freep(Relocation **relocation);

/* Forks. @on_done is always called after a 0 was returned, from the event loop. SIGCHLD must be
 * blocked. */
int relocation_start(Relocation *relocation, sd_event *event, relocation_run_fn run,
                     relocation_done_fn on_done, void *userdata);
bool relocation_is_running(const Relocation *relocation);

/* Asks it to end after the present batch; it reports -EINTR, and what was moved until then. */
void relocation_cancel(Relocation *relocation);

/* In the relocation's process: does it, and writes a RelocateResult after each batch; the last one
 * counts. */
void relocation_run(const RelocateRequest *request, int result_fd);

/* Which engines there are, best first, as engine_probe(). May block for a moment. */
void relocate_probe(EngineState ret_states[static RELOCATE_ENGINES]);

/* Turns off a kdamond, and puts back a setting, that a killed relocation left behind. At start, and
 * after a relocation that ended with -ECANCELED. -EBUSY: one is still at work. */
int relocate_recover(void);
