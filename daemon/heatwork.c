/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/heatwork.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/kernel/cgroup.h"
#include "daemon/kernel/node.h"
#include "policy/macro.h"

/* Memory that comes or goes is noticed so late at the latest. */
#define REGIONS_USEC UINT64_C(60000000)

/* How often it is looked what has become hot again, while something becomes cold. */
#define HOT_ROUNDS 4u

/* A node with less is left if another one has more. */
#define ROOM_BYTES (UINT64_C(64) << 20)

static int refuse(HeatWork *work, int error, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

static int refuse(HeatWork *work, int error, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(work->reason, sizeof(work->reason), format, arguments);
        va_end(arguments);
        return error;
}

static void nodes_without(NodeSet *set, const NodeSet *other)
{
        for (int n = nodeset_next(other, 0); n >= 0; n = nodeset_next(other, (unsigned)n + 1))
                nodeset_remove(set, (unsigned)n);
}

void heat_sources(const HeatWorld *world, const HeatWish *wish, bool hot, NodeSet *ret_nodes)
{
        NodeSet nodes = hot ? world->cheap : world->fast;

        if (hot)
                nodeset_union(&nodes, &wish->cold);
        else if (wish->has_hot)
                nodeset_union(&nodes, &wish->hot);
        nodes_without(&nodes, hot ? &wish->hot : &wish->cold);
        *ret_nodes = nodes;
}

static int regions_update(const HeatWorld *world, HeatWork *work, uint64_t now_usec)
{
        _cleanup_(freep) DamonRegion *regions = NULL;
        NodeSet nodes = {}, sources;
        size_t n = 0;
        int r;

        if (!work->changed && now_usec - work->regions_usec < REGIONS_USEC)
                return 0;

        for (size_t i = 0; i < work->n_slots; i++)
                if (work->slots[i].cgroup) {
                        heat_sources(world, &world->wishes[work->slots[i].wish], work->slots[i].hot,
                                     &sources);
                        nodeset_union(&nodes, &sources);
                }
        r = damon_regions_read(world->sys_fd, &nodes, &regions, &n);
        if (r == -ENXIO)
                return refuse(work, r, "there is no node whose memory could be moved");
        if (r < 0)
                return refuse(work, r, "where the nodes' memory is cannot be told: %s",
                              strerror(-r));

        work->regions_usec = now_usec;
        if (n == work->n_regions && memcmp(regions, work->regions, n * sizeof(*regions)) == 0)
                return 0;
        memcpy(work->regions, regions, n * sizeof(*regions));
        work->n_regions = n;
        work->changed = true;
        return 0;
}

static uint64_t regions_bytes(const HeatWork *work, const NodeSet *nodes)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < work->n_regions; i++)
                if (nodeset_has(nodes, work->regions[i].node))
                        bytes += work->regions[i].end - work->regions[i].start;
        return bytes;
}

/* The one with the most room. The one that it was stays as long as it has some. */
static bool choose_node(int sys_fd, const NodeSet *nodes, unsigned *node)
{
        uint64_t most = 0, bytes;
        int best = -1;

        if (nodeset_has(nodes, *node) && node_free_bytes(sys_fd, *node, &bytes) >= 0) {
                if (bytes >= ROOM_BYTES)
                        return false;
                best = (int)*node;
                most = bytes;
        }
        for (int n = nodeset_next(nodes, 0); n >= 0; n = nodeset_next(nodes, (unsigned)n + 1))
                if (node_free_bytes(sys_fd, (unsigned)n, &bytes) >= 0 &&
                    (best < 0 || bytes > most)) {
                        best = n;
                        most = bytes;
                }
        if (best < 0 || (unsigned)best == *node)
                return false;
        *node = (unsigned)best;
        return true;
}

static bool cgroup_is_there(const HeatWorld *world, const char *path)
{
        _cleanup_(closep) int fd = -1;

        return cgroup_open(world->cgroup_fd, path, &fd) >= 0;
}

/* What of the world each scheme depends on. */
static void slots_update(const HeatWorld *world, HeatWork *work)
{
        for (size_t i = 0; i < work->n_slots; i++) {
                HeatSlot *slot = &work->slots[i];
                const HeatWish *wish = &world->wishes[slot->wish];
                bool missing;

                slot->moved_bytes = 0;
                if (!slot->cgroup)
                        continue;
                missing = !cgroup_is_there(world, slot->cgroup);
                if (choose_node(world->sys_fd, slot->hot ? &wish->hot : &wish->cold, &slot->node) ||
                    missing != slot->missing)
                        work->changed = true;
                slot->missing = missing;
        }
}

static void sweeps_init(const HeatWorld *world, HeatWork *work)
{
        uint64_t shortest = UINT64_MAX;
        unsigned n_sweeps = 0;
        SweepTimes times;
        bool same;

        for (size_t i = 0; i < work->n_slots; i++)
                n_sweeps += work->slots[i].cgroup != NULL;
        for (size_t i = 0; i < world->n_wishes; i++)
                if (world->wishes[i].cold_after_usec < shortest)
                        shortest = world->wishes[i].cold_after_usec;
        sweep_times(shortest, &times);
        same = times.sample_usec == work->times.sample_usec;
        work->times = times;

        for (size_t i = 0; i < work->n_slots; i++) {
                HeatSlot *slot = &work->slots[i];
                const HeatWish *wish = &world->wishes[slot->wish];
                uint64_t quota = slot->sweep.quota;
                NodeSet sources;

                if (!slot->cgroup)
                        continue;
                heat_sources(world, wish, slot->hot, &sources);
                sweep_init(&times, regions_bytes(work, &sources),
                           slot->hot ? wish->cold_after_usec / HOT_ROUNDS : wish->cold_after_usec,
                           wish->rate, n_sweeps, &slot->sweep);
                if (!slot->fresh && same && quota <= slot->sweep.quota_max)
                        slot->sweep.quota = quota;
                work->debts[slot->wish].rate = wish->rate;
        }
}

/* @hold: those that DAMON does not know yet do nothing for now. */
static int tell(const HeatWorld *world, HeatWork *work, bool hold,
                int (*how)(const DamonClaim *claim, const DamonHeat *heat))
{
        DamonScheme schemes[DAMON_SCHEMES_MAX];
        DamonHeat heat = {
                .regions = work->regions,
                .n_regions = work->n_regions,
                .sample_usec = work->times.sample_usec,
                .aggregate_usec = work->times.aggregate_usec,
                .schemes = schemes,
                .n_schemes = work->n_slots,
        };

        for (size_t i = 0; i < work->n_slots; i++) {
                const HeatSlot *slot = &work->slots[i];

                schemes[i] = (DamonScheme){
                        .memory_cgroup =
                                slot->missing || (hold && slot->fresh) ? NULL : slot->cgroup,
                        .hot = slot->hot,
                        .node = slot->node,
                        .quota = slot->sweep.quota,
                };
                if (slot->cgroup)
                        heat_sources(world, &world->wishes[slot->wish], slot->hot,
                                     &schemes[i].sources);
        }
        return how(world->claim, &heat);
}

static bool has_fresh(const HeatWork *work)
{
        for (size_t i = 0; i < work->n_slots; i++)
                if (work->slots[i].cgroup && work->slots[i].fresh)
                        return true;
        return false;
}

/* The quota of a scheme only holds from its second time on (6.12), and the first may go through all of the
 * memory. So that it has nothing to do then. */
static int tell_all(const HeatWorld *world, HeatWork *work,
                    int (*how)(const DamonClaim *claim, const DamonHeat *heat))
{
        uint64_t usec = 3 * work->times.sample_usec;
        int r;

        r = tell(world, work, true, how);
        if (r < 0 || !has_fresh(work))
                return r;
        usleep((useconds_t)usec);
        return tell(world, work, false, damon_heat_commit);
}

/* DAMON knows all of them now. */
static void told(HeatWork *work)
{
        for (size_t i = 0; i < work->n_slots; i++)
                work->slots[i].fresh = false;
        work->n_told = work->n_slots;
        work->changed = false;
}

static void lost(HeatWork *work)
{
        work->running = false;
        work->changed = true;
        work->n_told = 0;
        for (size_t i = 0; i < work->n_slots; i++) {
                work->slots[i].seen = (DamonStats){};
                work->slots[i].fresh = true;
        }
}

/* What is moved for a wish, by both of its schemes, in bytes. */
static void share_allowance(HeatWork *work, size_t i, uint64_t elapsed_usec, uint64_t *allowances)
{
        size_t wish = work->slots[i].wish, n_moving = 0;
        uint64_t moved = 0;

        for (size_t j = 0; j < work->n_told; j++)
                if (work->slots[j].cgroup && work->slots[j].wish == wish) {
                        moved += work->slots[j].moved_bytes;
                        n_moving += work->slots[j].moved_bytes > 0;
                }
        allowances[wish] =
                sweep_allowance(&work->debts[wish], moved, elapsed_usec, work->times.sample_usec) /
                (n_moving > 0 ? n_moving : 1);
}

/* Somebody may have turned it off and on: it counts from 0 then. */
static uint64_t since(uint64_t now, uint64_t before)
{
        return now >= before ? now - before : now;
}

/* Whether a quota is to change. */
static bool adjust(HeatWork *work, const DamonStats *stats, uint64_t elapsed_usec)
{
        uint64_t allowances[HEAT_WISHES_MAX] = {}, tried[DAMON_SCHEMES_MAX];
        bool changed = false, counted[HEAT_WISHES_MAX] = {};

        for (size_t i = 0; i < work->n_told; i++) {
                HeatSlot *slot = &work->slots[i];

                tried[i] = since(stats[i].tried_bytes, slot->seen.tried_bytes);
                if (slot->cgroup && !slot->fresh)
                        slot->moved_bytes = since(stats[i].moved_bytes, slot->seen.moved_bytes);
                if (slot->moved_bytes > 0)
                        work->moved = true;
                slot->seen = stats[i];
        }
        for (size_t i = 0; i < work->n_told; i++) {
                HeatSlot *slot = &work->slots[i];

                if (!slot->cgroup || slot->fresh)
                        continue;
                if (!counted[slot->wish])
                        share_allowance(work, i, elapsed_usec, allowances);
                counted[slot->wish] = true;
                if (sweep_adjust(&slot->sweep, allowances[slot->wish], tried[i], slot->moved_bytes))
                        changed = true;
        }
        return changed;
}

static int stat_release(HeatWork *work)
{
        int r;

        if (!work->stat_held)
                return 0;
        r = hold_release(&work->stat);
        if (r >= 0)
                work->stat_held = false;
        return r;
}

static int claim_list(const HeatWorld *world, HeatWork *work)
{
        int r;

        if (damon_is_taken(world->sys_fd, work->reason, sizeof(work->reason)) && !world->take)
                return -EBUSY;
        r = damon_claim(world->claim, world->take);
        if (r == -EOPNOTSUPP)
                return refuse(work, r, "this kernel is built without DAMON (CONFIG_DAMON_SYSFS)");
        if (r == -EBUSY) {
                if (!damon_is_taken(world->sys_fd, work->reason, sizeof(work->reason)))
                        return refuse(work, r, "somebody else uses DAMON");
                return r;
        }
        if (r < 0)
                return refuse(work, r, "DAMON cannot be set up: %s", strerror(-r));
        work->claimed = true;
        return 0;
}

static int claim(const HeatWorld *world, HeatWork *work)
{
        int r;

        if (world->take && !work->stat_held) {
                r = hold_take(world->sys_fd, world->run_fd, HOLD_DAMON_STAT, "N", &work->stat);
                if (r < 0)
                        return refuse(work, r, "damon_stat cannot be switched off: %s",
                                      strerror(-r));
                work->stat_held = true;
        }
        r = claim_list(world, work);
        if (r < 0)
                (void)stat_release(work);
        return r;
}

static int start(const HeatWorld *world, HeatWork *work, uint64_t now_usec)
{
        int r;

        lost(work);
        if (!work->claimed) {
                r = claim(world, work);
                if (r < 0)
                        return r;
        }
        r = tell_all(world, work, damon_heat_start);
        if (r < 0) {
                (void)damon_release(world->claim);
                (void)stat_release(work);
                work->claimed = false;
        }
        if (r == -EOPNOTSUPP)
                return refuse(
                        work, r,
                        "this kernel's DAMON cannot move pages to another node; a kernel from "
                        "6.11 on can");
        if (r == -EBUSY && damon_is_taken(world->sys_fd, work->reason, sizeof(work->reason)))
                return r;
        if (r < 0)
                return refuse(work, r, "DAMON does not start: %s", strerror(-r));

        told(work);
        work->running = true;
        work->seen_usec = now_usec;
        return 0;
}

/* -ESRCH: it has to be started again. */
static int go_on(const HeatWorld *world, HeatWork *work, uint64_t now_usec)
{
        DamonStats stats[DAMON_SCHEMES_MAX] = {};
        bool limits;
        int r;

        r = damon_heat_stats(world->claim, work->n_told, stats);
        if (r < 0)
                return r;
        limits = adjust(work, stats, now_usec - work->seen_usec);
        work->seen_usec = now_usec;

        if (work->changed) {
                sweeps_init(world, work);
                r = tell_all(world, work, damon_heat_commit);
                if (r >= 0)
                        told(work);
        } else if (limits)
                r = tell(world, work, false, damon_heat_limit);
        return r;
}

static int step(const HeatWorld *world, HeatWork *work, uint64_t now_usec)
{
        int r = -ESRCH;

        slots_update(world, work);
        r = regions_update(world, work, now_usec);
        if (r < 0)
                return r;

        r = work->running ? go_on(world, work, now_usec) : -ESRCH;
        if (r == -ENOENT) { /* somebody has set up a list of his own */
                (void)damon_release(world->claim);
                work->claimed = false;
                r = -ESRCH;
        }
        if (r == -EBUSY) /* with a command of others of ours, which takes a moment */
                return 0;
        if (r != -ESRCH)
                return r < 0 ? refuse(work, r, "DAMON cannot be told: %s", strerror(-r)) : 0;

        sweeps_init(world, work);
        return start(world, work, now_usec);
}

void heat_step(const HeatWorld *world, HeatWork *work, uint64_t now_usec)
{
        work->reason[0] = '\0';
        work->moved = false;
        work->error = step(world, work, now_usec);
        if (work->error >= 0)
                work->reason[0] = '\0';
}

int heat_end(const HeatWorld *world, HeatWork *work)
{
        int r, held;

        r = damon_release(world->claim);
        work->claimed = false;
        lost(work);
        held = stat_release(work);
        return r < 0 ? r : held;
}

int heat_recover(void)
{
        const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
        _cleanup_(closep) int sys_fd = -1, run_fd = -1;

        run_fd = open("/run/daxtierd", flags | O_NOFOLLOW);
        if (run_fd < 0)
                return errno == ENOENT ? 0 : -errno;
        sys_fd = open("/sys", flags);
        if (sys_fd < 0)
                return -errno;
        return hold_recover(sys_fd, run_fd, HOLD_DAMON_STAT);
}
