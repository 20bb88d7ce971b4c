/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What moves pages that exist. Those of a private DAX mapping only the kernel's own DAMON and
 * reclaim move (vma_migratable() refuses the VMA to everything else); the first three are for them,
 * best first. */
typedef enum RelocateEngine {
        RELOCATE_DAMON_VADDR, /* DAMON, by process and address (6.12 accepts it and moves nothing) */
        RELOCATE_DAMON_PADDR, /* DAMON, by the physical runs of the copies (6.11) */
        RELOCATE_RECLAIM,     /* MADV_COLD and the cgroup's memory.reclaim, with demotion on */
        RELOCATE_MOVE_PAGES,  /* move_pages(2): whatever is not in a DAX mapping */
        RELOCATE_NONE,
} RelocateEngine;

#define RELOCATE_ENGINES     4u
#define RELOCATE_ENGINES_ALL ((1u << RELOCATE_ENGINES) - 1u)

typedef struct EngineState EngineState;

struct EngineState {
        bool available;
        /* A sentence why not, and what to do; "": available. */
        char reason[160];
};

/* "damon-vaddr", "damon-paddr", "reclaim", "move-pages", "none": for logs and metrics. */
const char *engine_name(RelocateEngine engine);

/* Tries each engine of this machine; what is tried is undone. That DAMON takes an action does not
 * mean that it does it: only a relocation finds that out. @sys_fd is an open /sys, @cgroup_fd the
 * cgroup2 root or -1. Needs root, and nobody else's kdamond is touched. */
void engine_probe(int sys_fd, int cgroup_fd, EngineState ret_states[static RELOCATE_ENGINES]);
