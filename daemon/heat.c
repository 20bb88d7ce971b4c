/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/heat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/heatprocess.h"
#include "daemon/heatwork.h"
#include "daemon/log.h"
#include "daemon/timer.h"
#include "policy/macro.h"

#define USEC_PER_SEC UINT64_C(1000000)

/* How soon we look again what DAMON has done: something moved, or not, or it did not go. */
#define BUSY_USEC      (1 * USEC_PER_SEC)
#define IDLE_USEC      (3 * USEC_PER_SEC)
#define RETRY_USEC_MIN (5 * USEC_PER_SEC)
#define RETRY_USEC_MAX (60 * USEC_PER_SEC)

typedef struct HeatCgroup HeatCgroup;

/* What was moved of it so far. */
struct HeatCgroup {
        char *path; /* the wish's .cgroup */
        uint64_t demoted_bytes;
        uint64_t promoted_bytes;
};

struct Heat {
        sd_event *event; /* not owned, as the descriptors */
        int sys_fd;
        int cgroup_fd;
        int run_fd;
        bool take;

        HeatWish *wishes;
        HeatCgroup *cgroups; /* of each wish */
        size_t n_wishes;
        bool overflow; /* there were more */
        Tiers tiers;

        DamonClaim claim;
        HeatProcess process;
        HeatWork work;
        /* The wishes that the step under way goes by are others than these. */
        bool changed;
        unsigned n_failures;
        uint64_t demoted_bytes;
        uint64_t promoted_bytes;
        sd_event_source *timer;
        char said[sizeof(((HeatWork *)NULL)->reason)];
};

static void step_start(Heat *heat);

static uint64_t now_usec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static HeatWorld world(Heat *heat)
{
        return (HeatWorld){
                .sys_fd = heat->sys_fd,
                .cgroup_fd = heat->cgroup_fd,
                .run_fd = heat->run_fd,
                .take = heat->take,
                .claim = &heat->claim,
                .wishes = heat->wishes,
                .n_wishes = heat->n_wishes,
                .fast = heat->tiers.fast,
                .cheap = heat->tiers.cheap,
        };
}

static void wishes_free(HeatWish *wishes, HeatCgroup *cgroups, size_t n)
{
        for (size_t i = 0; cgroups && i < n; i++)
                free(cgroups[i].path);
        free(wishes);
        free(cgroups);
}

int heat_new(sd_event *event, int sys_fd, int cgroup_fd, int run_fd, Heat **ret_heat)
{
        _cleanup_(heat_freep) Heat *heat = NULL;
        int r;

        heat = calloc(1, sizeof(*heat));
        if (!heat)
                return -ENOMEM;
        heat->event = event;
        heat->sys_fd = sys_fd;
        heat->cgroup_fd = cgroup_fd;
        heat->run_fd = run_fd;
        heat->claim = DAMON_CLAIM_NONE;
        heat->process = HEAT_PROCESS_NONE;
        r = damon_claim_open(sys_fd, run_fd, DAMON_SLOT_HEAT, &heat->claim);
        if (r < 0)
                return r;

        *ret_heat = TAKE_PTR(heat);
        return 0;
}

/* What a killed step has done is not known. */
static void step_lost(Heat *heat)
{
        heat->work.claimed = true;
        heat->work.running = false;
        heat->work.changed = true;
}

void heat_free(Heat *heat)
{
        HeatWorld all;

        if (!heat)
                return;

        if (heat_process_kill(&heat->process))
                step_lost(heat);
        sd_event_source_disable_unref(heat->timer);
        all = world(heat);
        if (heat->work.claimed || heat->work.stat_held)
                (void)heat_end(&all, &heat->work); /* what stays, the next start finds */
        damon_claim_close(&heat->claim);
        for (size_t i = 0; i < heat->work.n_slots; i++)
                free(heat->work.slots[i].cgroup);
        wishes_free(heat->wishes, heat->cgroups, heat->n_wishes);
        free(heat);
}

void heat_freep(Heat **heat)
{
        heat_free(*heat);
}

static HeatCgroup *cgroup_find(const Heat *heat, const char *path)
{
        for (size_t i = 0; i < heat->n_wishes; i++)
                if (strcmp(heat->cgroups[i].path, path) == 0)
                        return &heat->cgroups[i];
        return NULL;
}

/* The schemes keep their places; the first free one, or a new one, is for what is new. */
static int slot_take(HeatWork *work, const char *path, size_t wish, bool hot)
{
        size_t place = work->n_slots;

        for (size_t i = work->n_slots; i > 0; i--) {
                HeatSlot *slot = &work->slots[i - 1];

                if (!slot->cgroup)
                        place = i - 1;
                else if (slot->hot == hot && strcmp(slot->cgroup, path) == 0) {
                        slot->wish = wish;
                        return 0;
                }
        }
        if (place == DAMON_SCHEMES_MAX)
                return -E2BIG;

        work->slots[place] = (HeatSlot){
                .cgroup = strdup(path),
                .wish = wish,
                .hot = hot,
                .fresh = true,
                .seen = place < work->n_slots ? work->slots[place].seen : (DamonStats){},
        };
        if (!work->slots[place].cgroup)
                return -ENOMEM;
        if (place == work->n_slots)
                work->n_slots++;
        return 0;
}

static bool slot_is_wanted(const Heat *heat, const HeatSlot *slot)
{
        for (size_t i = 0; i < heat->n_wishes; i++)
                if (strcmp(heat->wishes[i].cgroup, slot->cgroup) == 0)
                        return !slot->hot || (heat->wishes[i].has_hot && !heat->wishes[i].hold_hot);
        return false;
}

/* No step is under way. */
static int slots_assign(Heat *heat)
{
        HeatWork *work = &heat->work;
        int r = 0;

        for (size_t i = 0; i < work->n_slots; i++) {
                HeatSlot *slot = &work->slots[i];

                if (slot->cgroup && !slot_is_wanted(heat, slot)) {
                        free(slot->cgroup);
                        *slot = (HeatSlot){ .seen = slot->seen };
                }
        }
        for (size_t i = 0; r >= 0 && i < heat->n_wishes; i++) {
                const HeatWish *wish = &heat->wishes[i];

                r = slot_take(work, wish->cgroup, i, false);
                if (r >= 0 && wish->has_hot && !wish->hold_hot)
                        r = slot_take(work, wish->cgroup, i, true);
        }
        memset(work->debts, 0, sizeof(work->debts));
        work->changed = true;
        heat->changed = false;
        return r;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        step_start(userdata);
        return 0;
}

static void schedule(Heat *heat, uint64_t usec)
{
        static const TimerKind kind = { "heat", on_timer, USEC_PER_SEC / 10 };
        int r;

        r = timer_set_in(heat->event, &heat->timer, usec, &kind, heat);
        if (r < 0)
                log_event(LOG_ERR, NULL, NULL, r, "Cold and hot memory is looked at no more: %s",
                          strerror(-r));
}

static void account(Heat *heat)
{
        for (size_t i = 0; i < heat->work.n_slots; i++) {
                const HeatSlot *slot = &heat->work.slots[i];
                HeatCgroup *cgroup = slot->cgroup ? cgroup_find(heat, slot->cgroup) : NULL;

                *(slot->hot ? &heat->promoted_bytes : &heat->demoted_bytes) += slot->moved_bytes;
                if (cgroup)
                        *(slot->hot ? &cgroup->promoted_bytes : &cgroup->demoted_bytes) +=
                                slot->moved_bytes;
        }
}

/* Once, until it changes. */
static void say(Heat *heat)
{
        const HeatWork *work = &heat->work;

        if (strcmp(heat->said, work->reason) == 0)
                return;
        memcpy(heat->said, work->reason, sizeof(heat->said));
        if (work->error < 0)
                log_event(LOG_WARNING, LOG_ID_WATCH, NULL, work->error,
                          "ColdAfter= cannot be carried out by DAMON: %s", work->reason);
        else if (work->running)
                log_event(LOG_INFO, NULL, NULL, 0, "DAMON carries out ColdAfter= now");
}

static void on_stepped(const HeatWork *work, void *userdata)
{
        Heat *heat = userdata;
        uint64_t retry = RETRY_USEC_MIN;

        if (work) {
                heat->work = *work;
                account(heat);
                say(heat);
        } else {
                step_lost(heat);
                heat->work.error = -ECANCELED;
        }

        heat->n_failures = heat->work.error < 0 ? heat->n_failures + 1 : 0;
        if (heat->changed && heat->work.error != -EOPNOTSUPP)
                step_start(heat);
        else if (heat->n_wishes == 0 || heat->work.error == -EOPNOTSUPP)
                return;
        else if (heat->n_failures > 0) {
                for (unsigned i = 1; i < heat->n_failures && retry < RETRY_USEC_MAX; i++)
                        retry *= 2;
                schedule(heat, retry < RETRY_USEC_MAX ? retry : RETRY_USEC_MAX);
        } else
                schedule(heat, heat->work.moved ? BUSY_USEC : IDLE_USEC);
}

/* In the process of a step. */
static void run(const HeatWorld *all, HeatWork *work)
{
        int r;

        if (all->n_wishes > 0) {
                heat_step(all, work, now_usec());
                return;
        }
        r = heat_end(all, work);
        if (r < 0)
                snprintf(work->reason, sizeof(work->reason), "DAMON cannot be given back: %s",
                         strerror(-r));
        else
                work->reason[0] = '\0';
        work->error = r;
}

static void step_start(Heat *heat)
{
        HeatWorld all;
        int r = 0;

        if (heat_process_is_running(&heat->process))
                return; /* on_stepped() sees to it */
        if (heat->changed)
                r = slots_assign(heat);
        all = world(heat);
        if (r >= 0)
                r = heat_process_start(&heat->process, heat->event, run, &all, &heat->work,
                                       on_stepped, heat);
        if (r >= 0)
                return;

        heat->changed = true;
        heat->n_failures++;
        heat->work.error = r;
        snprintf(heat->work.reason, sizeof(heat->work.reason), "no process can be made for it: %s",
                 strerror(-r));
        say(heat);
        schedule(heat, RETRY_USEC_MAX);
}

void heat_set_take(Heat *heat, bool take)
{
        if (take && !heat->take && heat->work.error == -EBUSY)
                schedule(heat, 0);
        heat->take = take;
}

static bool wish_equal(const HeatWish *a, const HeatWish *b)
{
        return strcmp(a->cgroup, b->cgroup) == 0 && a->cold_after_usec == b->cold_after_usec &&
               nodeset_equal(&a->cold, &b->cold) && a->has_hot == b->has_hot &&
               (!a->has_hot || nodeset_equal(&a->hot, &b->hot)) && a->rate == b->rate &&
               a->hold_hot == b->hold_hot;
}

static bool wishes_equal(const HeatWish *a, const HeatWish *b, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (!wish_equal(&a[i], &b[i]))
                        return false;
        return true;
}

static bool is_named(const HeatWish *wishes, size_t n, const char *cgroup)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(wishes[i].cgroup, cgroup) == 0)
                        return true;
        return false;
}

/* What was moved so far of a cgroup stays known. */
static int cgroups_make(const Heat *heat, HeatWish *wishes, size_t n, HeatCgroup *cgroups)
{
        for (size_t i = 0; i < n; i++) {
                const HeatCgroup *before = cgroup_find(heat, wishes[i].cgroup);

                if (before)
                        cgroups[i] = *before;
                cgroups[i].path = strdup(wishes[i].cgroup);
                if (!cgroups[i].path)
                        return -ENOMEM;
                wishes[i].cgroup = cgroups[i].path;
        }
        return 0;
}

static int wishes_take(Heat *heat, const HeatWish *wishes, size_t n)
{
        HeatWish *copies = reallocarray(NULL, n > 0 ? n : 1, sizeof(*copies));
        HeatCgroup *cgroups = calloc(n > 0 ? n : 1, sizeof(*cgroups));

        if (!copies || !cgroups) {
                free(copies);
                free(cgroups);
                return -ENOMEM;
        }
        memcpy(copies, wishes, n * sizeof(*copies));
        if (cgroups_make(heat, copies, n, cgroups) < 0) {
                wishes_free(copies, cgroups, n);
                return -ENOMEM;
        }

        wishes_free(heat->wishes, heat->cgroups, heat->n_wishes);
        heat->wishes = copies;
        heat->cgroups = cgroups;
        heat->n_wishes = n;
        return 0;
}

int heat_set(Heat *heat, const HeatWish *wishes, size_t n_wishes, const Tiers *tiers)
{
        HeatWish kept[HEAT_WISHES_MAX];
        size_t n = 0;
        int r;

        heat->overflow = false;
        for (size_t i = 0; i < n_wishes; i++) {
                if (is_named(kept, n, wishes[i].cgroup))
                        continue;
                if (n < HEAT_WISHES_MAX)
                        kept[n++] = wishes[i];
                else
                        heat->overflow = true;
        }
        if (n == heat->n_wishes && wishes_equal(heat->wishes, kept, n) &&
            nodeset_equal(&heat->tiers.cheap, &tiers->cheap) &&
            nodeset_equal(&heat->tiers.fast, &tiers->fast))
                return 0;
        if (n == 0 && heat->n_wishes == 0) {
                heat->tiers = *tiers;
                return 0; /* nothing is looked for anywhere */
        }

        r = wishes_take(heat, kept, n);
        if (r < 0)
                return r;
        heat->tiers = *tiers;
        heat->changed = true;
        /* A kernel that cannot do it does not learn it. */
        if (heat->work.error != -EOPNOTSUPP)
                step_start(heat);
        return 0;
}

/* Why a cgroup's schemes do nothing although DAMON is at work; NULL: they do. */
static const char *slot_reason(const Heat *heat, const char *cgroup)
{
        for (size_t i = 0; i < heat->work.n_slots; i++) {
                const HeatSlot *slot = &heat->work.slots[i];

                if (slot->cgroup && strcmp(slot->cgroup, cgroup) == 0)
                        return slot->missing ? "there is no such cgroup" : NULL;
        }
        return "";
}

void heat_state(const Heat *heat, const char *cgroup, HeatState *ret_state)
{
        const HeatCgroup *found = cgroup_find(heat, cgroup);
        HeatState state = { .error = heat->work.error, .reason = heat->work.reason };
        const char *reason;

        if (!found) {
                *ret_state = heat->overflow ? (HeatState){ -E2BIG, "as many cgroups as can be have "
                                                                   "ColdAfter= already" }
                                            : (HeatState){ -ENOENT, "nothing is wished for it" };
                return;
        }

        reason = slot_reason(heat, cgroup);
        if (state.error >= 0) {
                state.error = !reason ? 0 : reason[0] != '\0' ? -ENOENT : -EINPROGRESS;
                state.reason = reason ? reason : "";
                if (!heat->work.running)
                        state.error = -EINPROGRESS;
        }
        state.demoted_bytes = found->demoted_bytes;
        state.promoted_bytes = found->promoted_bytes;
        *ret_state = state;
}

void heat_totals(const Heat *heat, uint64_t *ret_demoted_bytes, uint64_t *ret_promoted_bytes)
{
        *ret_demoted_bytes = heat->demoted_bytes;
        *ret_promoted_bytes = heat->promoted_bytes;
}
