/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/hold.h"
#include "daemon/kernel/copypage.h"
#include "daemon/kernel/damonlist.h"
#include "daemon/kernel/pagerun.h"
#include "daemon/pace.h"
#include "daemon/relocate.h"
#include "policy/proximity.h"

#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_SEC  UINT64_C(1000000000)

/* Pages of a batch: what one engine gets at once. 64 MiB, 512 KiB of ours. */
#define MOVER_BATCH_PAGES ((size_t)16384)

typedef struct Mover Mover;

/* Where a mover works; a test has trees of its own. Not owned. */
typedef struct MoverRoots {
        int sys_fd;
        int proc_fd;
        int cgroup_fd; /* cgroup2; -1: none */
        int run_fd;    /* /run/daxtierd */
} MoverRoots;

/* Pages that would not move and are tried again; what is more is left for later. */
#define MOVER_BUSY_PAGES MOVER_BATCH_PAGES

/* How often in all, with longer and longer waits between. */
#define MOVER_TRIES 5u

/* What is at work in a relocation's process: goes through the ranges in batches and has each batch
 * moved by the best engine that is left. */
struct Mover {
        const RelocateRequest *request;
        const MoverRoots *roots;
        int result_fd;  /* -1: nobody listens */
        int process_fd; /* /proc/<pid> */
        int pidfd;
        char *memory_cgroup; /* that its new pages are charged to; NULL: not accounted */
        char *page_cgroup;   /* and one that some older ones are; with its inode, as a cache */
        uint64_t page_cgroup_inode;
        CopyFinder finder;

        CopyPage *pages; /* the batch: what of it is not moved yet */
        size_t n_pages;
        PageRun *runs;
        unsigned node; /* where the batch goes */
        Proximity proximity;

        RelocateRange *ranges; /* by address; none of a DAX mapping. What is left to look at: */
        size_t n_ranges, range;
        CopyPage *busy; /* by address; to be tried again */
        size_t n_busy;
        uint64_t busy_bytes; /* and what there was no room for */
        uint64_t room;       /* that .node is known to have */

        unsigned refused; /* 1 << RelocateEngine: not again in this relocation */
        EngineState engines[RELOCATE_ENGINES];
        int errors[RELOCATE_ENGINES];

        bool interrupted;
        bool limited; /* .bytes_max or .bytes_turn was reached */
        DamonClaim damon;
        bool damon_claimed;
        Hold demotion;
        bool demotion_held;
        uint64_t reclaim_began_ns; /* 0: not yet */

        uint64_t began_ns;
        Pace pace; /* of a DAX mapping what was tried counts, moved or not */
        RelocateResult result;
};

/* Nothing is opened yet; @roots, too, may be filled in later. Signals are held back from now on. */
void mover_init(const RelocateRequest *request, const MoverRoots *roots, int result_fd,
                Mover *mover);

/* Turns DAMON off and puts demotion back. Signals stay held back. */
void mover_deinit(Mover *mover);

/* Finds the process, or the cgroup. The memory that a process has now is meant, and gone after an
 * exec. */
int mover_open(Mover *mover);

/* Moves what is to be moved: the memory of the process, or what is coldest of the cgroup's. */
int mover_run(Mover *mover);
int mover_demote(Mover *mover);

/* Notes from now on what anonymous memory of the cgroup is accessed; sees how much was not since. */
int mover_mark(Mover *mover);
int mover_measure(Mover *mover);

/* What is not of a DAX mapping: finds the ranges, as the process has them now, and moves what is in
 * them, in one pass. -EDQUOT: a limit is reached; -EOPNOTSUPP: move_pages() is not to be used. */
int mover_pages_open(Mover *mover);
int mover_pages_run(Mover *mover);

/* The nearest of the wanted nodes that has room for *bytes, or for a page at least: then *bytes is what
 * it has room for. Sets .node. -ENOSPC: there is none. */
int mover_choose_node(Mover *mover, unsigned from, uint64_t *bytes);

/* What is left of .bytes_max, and of .bytes_turn. */
uint64_t mover_budget(const Mover *mover);
uint64_t mover_turn(const Mover *mover);

/* To whom it may concern: how far it has got. */
void mover_report(Mover *mover);

/* Fills in the rest of .result, of a relocation that ended with @error, and writes it. */
void mover_finish(Mover *mover, int error);

/* What a killed mover left behind; the caller has the lock. */
int mover_recover(const MoverRoots *roots);

/* For the engines. Each has the pages of the batch moved to .node, as far as it can: 0 or an error
 * that mover_refuse() has made of it. -EINTR and -ESRCH end the relocation. */
int mover_damon(Mover *mover, RelocateEngine engine);
int mover_reclaim(Mover *mover, RelocateEngine engine);

/* Looks where the first @n pages of the batch are now, from @first on, and takes those out that have
 * moved. Returns in @ret_left how many of the @n stay. */
int mover_settle(Mover *mover, RelocateEngine engine, size_t first, size_t n, size_t *ret_left);

/* Brings the pages of the batch from @first on that are charged to one and the same cgroup to the
 * front, *ret_n of them, and finds that cgroup; *ret_path stays the mover's. -EOPNOTSUPP, -ENOENT: it
 * cannot be told, or is none that can be named. */
int mover_group(Mover *mover, size_t first, size_t *ret_n, const char **ret_path);

/* Whether reclaim of the cgroup would bring pages from @node to where they are wanted, and nowhere
 * else; turns demotion on, until mover_deinit(). 0 or an error that mover_refuse() has made of it. */
int mover_reclaim_fits(Mover *mover, RelocateEngine engine, unsigned node);
int mover_demotion_on(Mover *mover, RelocateEngine engine);

/* Waits, unless a signal comes: -EINTR, then and ever after. */
int mover_sleep(Mover *mover, uint64_t ns);

/* Notes that the engine is of no use, and why; returns @error. */
int mover_refuse(Mover *mover, RelocateEngine engine, int error, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

uint64_t mover_now(void);
