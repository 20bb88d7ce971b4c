/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/kernel/damon.h"
#include "daemon/kernel/reclaim.h"
#include "policy/macro.h"

const char *engine_name(RelocateEngine engine)
{
        static const char *const names[] = {
                [RELOCATE_DAMON_VADDR] = "damon-vaddr",
                [RELOCATE_DAMON_PADDR] = "damon-paddr",
                [RELOCATE_RECLAIM] = "reclaim",
                [RELOCATE_MOVE_PAGES] = "move-pages",
                [RELOCATE_NONE] = "none",
        };

        return names[engine];
}

/* @available is left alone. */
static void say(EngineState *state, const char *reason)
{
        snprintf(state->reason, sizeof(state->reason), "%s", reason);
}

static void damon_result(EngineState *state, int error)
{
        state->available = error >= 0;
        if (error == -EOPNOTSUPP)
                say(state, "this kernel's DAMON cannot move pages to another node; "
                           "a kernel from 6.11 on can");
        else if (error < 0)
                snprintf(state->reason, sizeof(state->reason), "DAMON cannot be tried: %s",
                         strerror(-error));
}

/* One of ours that is at work shows that it is there. */
static void damon_probe(int sys_fd, EngineState *by_address, EngineState *by_frame)
{
        DamonClaim claim = DAMON_CLAIM_NONE;
        int r;

        if (damon_is_taken(sys_fd, by_address->reason, sizeof(by_address->reason))) {
                *by_frame = *by_address;
                return;
        }

        (void)damon_claim_open(sys_fd, -1, DAMON_SLOT_MOVE, &claim);
        r = damon_claim(&claim, false);
        if (r == -EBUSY) {
                by_address->available = by_frame->available = true;
                return;
        }
        if (r == -EOPNOTSUPP) {
                say(by_address, "this kernel is built without DAMON (CONFIG_DAMON_SYSFS)");
                *by_frame = *by_address;
                return;
        }
        if (r < 0) {
                damon_result(by_address, r);
                damon_result(by_frame, r);
                return;
        }

        damon_result(by_address, damon_try(&claim, false));
        damon_result(by_frame, damon_try(&claim, true));
        (void)damon_release(&claim);
}

static void reclaim_probe(int sys_fd, int cgroup_fd, EngineState *state)
{
        _cleanup_(closep) int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool may_swap = false;

        if (cgroup_fd < 0 || faccessat(cgroup_fd, "memory.reclaim", F_OK, 0) < 0)
                say(state,
                    "cgroups cannot be asked to reclaim memory here: it takes the unified "
                    "hierarchy (cgroup2) with its memory controller, and a kernel from 5.19 on");
        else if (faccessat(sys_fd, "kernel/mm/numa/demotion_enabled", F_OK, 0) < 0 ||
                 faccessat(sys_fd, "devices/virtual/memory_tiering", F_OK, 0) < 0)
                say(state, "this kernel does not demote pages; one from 6.1 on does");
        else if (proc_fd >= 0 && reclaim_may_swap(proc_fd, cgroup_fd, "/", &may_swap) >= 0 &&
                 may_swap)
                say(state, "swap is on, and reclaim could push pages there: swapoff -a, or "
                           "MemorySwapMax=0 for the cgroup in question");
        else
                state->available = true;
}

static void move_pages_probe(EngineState *state)
{
        state->available = syscall(SYS_move_pages, 0, 0UL, NULL, NULL, NULL, 0) >= 0;
        if (!state->available)
                snprintf(state->reason, sizeof(state->reason), "move_pages() is refused: %s",
                         strerror(errno));
}

void engine_probe(int sys_fd, int cgroup_fd, EngineState ret_states[static RELOCATE_ENGINES])
{
        memset(ret_states, 0, RELOCATE_ENGINES * sizeof(*ret_states));
        damon_probe(sys_fd, &ret_states[RELOCATE_DAMON_VADDR], &ret_states[RELOCATE_DAMON_PADDR]);
        reclaim_probe(sys_fd, cgroup_fd, &ret_states[RELOCATE_RECLAIM]);
        move_pages_probe(&ret_states[RELOCATE_MOVE_PAGES]);
}
