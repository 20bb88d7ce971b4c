/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/aging.h"

#include <errno.h>

#include "daemon/kernel/cgroup.h"
#include "daemon/log.h"
#include "daemon/placement.h"
#include "daemon/timer.h"
#include "policy/macro.h"
#include "policy/match.h"

/* Many processes come and go together. */
#define GATHER_USEC UINT64_C(100000)

/* And who has so many cgroups that it takes long does not make it all we do. */
#define GATHER_SHARE 20u

/* After a reload it is waited so often for those that are yet to be looked at anew. */
#define PUT_OFF_MAX 50u

/* A cgroup that has processes, and one of the policies (NULL: none) that they have. */
typedef struct Inhabited {
        const char *cgroup;
        const Rule *rule;
} Inhabited;

static void cgroups_free(AgingCgroup *cgroups, size_t n_cgroups)
{
        for (size_t i = 0; i < n_cgroups; i++)
                free(cgroups[i].cgroup);
        free(cgroups);
}

void aging_deinit(Aging *aging)
{
        cgroups_free(aging->cgroups, aging->n_cgroups);
        sd_event_source_disable_unref(aging->timer);
        *aging = (Aging){};
}

static int compare_inhabited(const void *a, const void *b)
{
        const Inhabited *left = a, *right = b;
        int order = strcmp(left->cgroup, right->cgroup);

        if (order != 0)
                return order;
        return (left->rule > right->rule) - (left->rule < right->rule);
}

/* Each pair of cgroup and policy once, by cgroup. */
static size_t inhabited_collect(const Placement *placement, Inhabited *inhabited)
{
        size_t n = 0, n_distinct = 0;

        for (const Target *target = placement->targets.by_pid; target; target = target->hh.next)
                if (target->scanned && target->subject.cgroup)
                        inhabited[n++] = (Inhabited){ target->subject.cgroup, target->rule };
        qsort(inhabited, n, sizeof(*inhabited), compare_inhabited);

        for (size_t i = 0; i < n; i++)
                if (n_distinct == 0 ||
                    compare_inhabited(&inhabited[n_distinct - 1], &inhabited[i]) != 0)
                        inhabited[n_distinct++] = inhabited[i];
        return n_distinct;
}

static bool wants(const Rule *rule)
{
        return rule && rule->anon.cold_after_usec != RULE_UNSET;
}

static bool anybody_wants(const Placement *placement)
{
        for (size_t i = 0; i < placement->n_rules; i++)
                if (wants(&placement->rules[i]))
                        return true;
        return false;
}

static AgingCgroup *cgroup_find(AgingCgroup *cgroups, size_t n_cgroups, const char *cgroup)
{
        for (size_t i = 0; i < n_cgroups; i++)
                if (strcmp(cgroups[i].cgroup, cgroup) == 0)
                        return &cgroups[i];
        return NULL;
}

/* The tier's nodes, the nearest to where the cgroup runs. DAMON takes one of them for all of it. */
static int tier_resolve(const Placement *placement, const AgingCgroup *cgroup, const Tier *tier,
                        NodeSet *ret_nodes)
{
        const Tiers *tiers = &placement->tiers;
        int root_fd = placement->host.cgroup_fd;
        NodeSet allowed, home;
        bool limited, bound;

        if (!tiers_have_choice(tiers, tier))
                return tiers_resolve(tiers, tier, ret_nodes);

        limited = cgroup_allowed_nodes(root_fd, cgroup->cgroup, &allowed) >= 0 &&
                  !nodeset_is_empty(&allowed);
        bound = cgroup_home_nodes(root_fd, placement->host.sys_fd, cgroup->cgroup,
                                  &tiers->proximity.cpus, &home) >= 0;
        return tiers_resolve_near(tiers, tier, limited ? &allowed : NULL, bound ? &home : NULL,
                                  ret_nodes);
}

/* Where its memory should be, or why that cannot be. */
static void cgroup_resolve(const Placement *placement, AgingCgroup *cgroup)
{
        const AnonRule *anon = &cgroup->rule->anon;

        if (!cgroup_match(cgroup->rule->cgroup, cgroup->cgroup))
                cgroup->reason = "Its memory is accounted together with that of cgroups that the "
                                 "policy is not for: give it MemoryAccounting=yes.";
        else if (tier_resolve(placement, cgroup, &anon->cold_tier, &cgroup->cold) < 0 ||
                 nodeset_is_empty(&cgroup->cold) ||
                 (anon->has_hot_tier &&
                  tier_resolve(placement, cgroup, &anon->hot_tier, &cgroup->hot) < 0))
                cgroup->reason = plan_reason_text(PLAN_REASON_NO_NODE);
        else
                cgroup->reason = "";
}

/* Adds what one cgroup asks for, or that its memory is not that of one policy alone. */
static int cgroup_add(const Placement *placement, const Inhabited *inhabited, AgingCgroup *cgroups,
                      size_t *n_cgroups)
{
        _cleanup_(freep) char *memory = NULL;
        const char *reason = "";
        AgingCgroup *cgroup;
        int r;

        r = cgroup_memory_path(placement->host.cgroup_fd, inhabited->cgroup, &memory);
        if (r == -EOPNOTSUPP && wants(inhabited->rule)) {
                reason = "Memory is not accounted to cgroups on this machine, so theirs cannot be "
                         "told apart.";
                memory = strdup(inhabited->cgroup);
                r = memory ? 0 : -ENOMEM;
        }
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return 0; /* gone */

        cgroup = cgroup_find(cgroups, *n_cgroups, memory);
        if (cgroup) {
                if (cgroup->rule != inhabited->rule &&
                    (wants(cgroup->rule) || wants(inhabited->rule))) {
                        if (!wants(cgroup->rule))
                                cgroup->rule = inhabited->rule;
                        cgroup->reason = "Its cgroup has processes that the policy is not for, "
                                         "and their memory cannot be told apart.";
                }
                return 0;
        }

        cgroup = &cgroups[(*n_cgroups)++];
        *cgroup = (AgingCgroup){
                .cgroup = TAKE_PTR(memory),
                .rule = inhabited->rule,
                .reason = reason,
        };
        if (wants(cgroup->rule) && reason[0] == '\0')
                cgroup_resolve(placement, cgroup);
        return 0;
}

static void wishes_set(Placement *placement)
{
        const Aging *aging = &placement->aging;
        _cleanup_(freep) HeatWish *wishes = calloc(aging->n_cgroups + 1, sizeof(*wishes));
        size_t n_wishes = 0;
        int r = -ENOMEM;

        for (size_t i = 0; wishes && i < aging->n_cgroups; i++) {
                const AgingCgroup *cgroup = &aging->cgroups[i];
                const CgroupAccount *account = account_find(&placement->account, cgroup->cgroup);

                if (cgroup->reason[0] == '\0')
                        wishes[n_wishes++] = (HeatWish){
                                .cgroup = cgroup->cgroup,
                                .cold_after_usec = cgroup->rule->anon.cold_after_usec,
                                .cold = cgroup->cold,
                                .has_hot = cgroup->rule->anon.has_hot_tier,
                                .hot = cgroup->hot,
                                .rate = cgroup->rule->limits.move_rate,
                                .hold_hot = account && account->fast.exhausted,
                        };
        }
        if (wishes)
                r = heat_set(placement->heat, wishes, n_wishes, &placement->tiers);
        if (r < 0)
                log_event(LOG_WARNING, NULL, NULL, r,
                          "Cannot have cold and hot memory told apart: %s", strerror(-r));
}

_Static_assert(HEAT_WISHES_MAX == 64, "it is said below");

/* Beyond what DAMON is asked for it is said, rather than ignored. */
static void cgroups_limit(AgingCgroup *cgroups, size_t n_cgroups)
{
        size_t n_served = 0;

        for (size_t i = 0; i < n_cgroups; i++)
                if (cgroups[i].reason[0] == '\0' && n_served++ >= HEAT_WISHES_MAX)
                        cgroups[i].reason = "There are more cgroups with ColdAfter= than the 64 "
                                            "that are served at a time.";
}

static int aging_gather(Placement *placement)
{
        Aging *aging = &placement->aging;
        _cleanup_(freep) Inhabited *inhabited = NULL;
        AgingCgroup *cgroups;
        size_t n_inhabited, n_cgroups = 0, n_kept = 0;
        int r = 0;

        inhabited = calloc(HASH_COUNT(placement->targets.by_pid) + 1, sizeof(*inhabited));
        if (!inhabited)
                return -ENOMEM;
        n_inhabited = anybody_wants(placement) ? inhabited_collect(placement, inhabited) : 0;
        cgroups = calloc(n_inhabited + 1, sizeof(*cgroups));
        if (!cgroups)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < n_inhabited; i++)
                r = cgroup_add(placement, &inhabited[i], cgroups, &n_cgroups);
        if (r < 0) {
                cgroups_free(cgroups, n_cgroups);
                return r;
        }

        for (size_t i = 0; i < n_cgroups; i++)
                if (wants(cgroups[i].rule))
                        cgroups[n_kept++] = cgroups[i];
                else
                        free(cgroups[i].cgroup);
        cgroups_limit(cgroups, n_kept);
        cgroups_free(aging->cgroups, aging->n_cgroups);
        aging->cgroups = cgroups;
        aging->n_cgroups = n_kept;
        return 0;
}

/* What is not known of all yet is taken for no policy: DAMON would be told that, and then again. */
static bool is_too_early(Placement *placement)
{
        for (const Target *target = placement->targets.by_pid; target; target = target->hh.next)
                if (target->is_outdated)
                        return placement->aging.n_put_off++ < PUT_OFF_MAX;
        return false;
}

static void gather_soon(Placement *placement);

static int on_gather(sd_event_source *source, uint64_t usec, void *userdata)
{
        Placement *placement = userdata;
        uint64_t begun = placement_clock_ns() / 1000u;
        int r;

        if (!placement->stopping && is_too_early(placement)) {
                gather_soon(placement);
                return 0;
        }
        placement->aging.n_put_off = 0;
        r = placement->stopping ? 0 : aging_gather(placement);
        placement->aging.cost_usec = placement_clock_ns() / 1000u - begun;
        if (r < 0) {
                log_event(LOG_WARNING, NULL, NULL, r, "Cannot gather what ColdAfter= asks for: %s",
                          strerror(-r));
                gather_soon(placement);
                return 0;
        }
        if (!placement->stopping && !placement->dry_run && !placement->cold_by_reclaim)
                wishes_set(placement);
        return 0;
}

static void gather_soon(Placement *placement)
{
        static const TimerKind kind = { "aging", on_gather, 0 };
        Aging *aging = &placement->aging;
        uint64_t in_usec = GATHER_USEC + aging->cost_usec * GATHER_SHARE;
        int r;

        r = timer_is_set(aging->timer);
        if (r == 0)
                r = timer_set_in(placement->event, &aging->timer, in_usec, &kind, placement);
        if (r < 0)
                log_event(LOG_WARNING, NULL, NULL, r, "Cannot set a timer for ColdAfter=: %s",
                          strerror(-r));
}

void aging_due(Placement *placement)
{
        if (anybody_wants(placement))
                gather_soon(placement);
}

void aging_forget(Placement *placement)
{
        Aging *aging = &placement->aging;

        cgroups_free(aging->cgroups, aging->n_cgroups);
        aging->cgroups = NULL;
        aging->n_cgroups = 0;
        gather_soon(placement); /* be it to find that nobody wants anything any more */
}

const AgingCgroup *aging_cgroup(const Placement *placement, const char *cgroup, const Rule *rule)
{
        const Aging *aging = &placement->aging;
        const AgingCgroup *nearest = NULL;
        size_t longest = 0;

        if (!wants(rule))
                return NULL;
        /* At or above its own. */
        for (size_t i = 0; i < aging->n_cgroups; i++) {
                const char *memory = aging->cgroups[i].cgroup;
                size_t length = strcmp(memory, "/") == 0 ? 0 : strlen(memory);

                if (strncmp(cgroup, memory, length) == 0 &&
                    (cgroup[length] == '/' || cgroup[length] == '\0') &&
                    (!nearest || length > longest)) {
                        nearest = &aging->cgroups[i];
                        longest = length;
                }
        }
        return nearest;
}

/* DAMON's part. */
static void heat_use(const Placement *placement, const AgingCgroup *cgroup, CgroupUse *use)
{
        HeatState state;

        if (placement->dry_run) {
                use->reason = "This is a dry run: nothing is changed.";
                return;
        }
        if (!cgroup) {
                use->is_beginning = true;
                return;
        }
        if (cgroup->reason[0] != '\0') {
                use->reason = cgroup->reason;
                return;
        }

        heat_state(placement->heat, cgroup->cgroup, &state);
        use->is_beginning = state.error == -EINPROGRESS;
        use->is_beyond_damon = state.error == -EOPNOTSUPP;
        use->demoted_bytes += state.demoted_bytes;
        use->promoted_bytes += state.promoted_bytes;
        if (state.error >= 0)
                use->engine = "damon";
        else if (!use->is_beginning)
                use->reason = state.reason;
}

void aging_use(const Placement *placement, const char *cgroup, const Rule *rule, CgroupUse *ret_use)
{
        const CgroupAccount *account = account_find(&placement->account, cgroup);
        CgroupUse use = { .engine = "", .reason = "" };

        if (account) {
                use.demoted_bytes = account->demoted_bytes;
                use.reason = account->reason;
        }
        if (wants(rule) && !placement->cold_by_reclaim)
                heat_use(placement, aging_cgroup(placement, cgroup, rule), &use);
        else if (wants(rule) || rule->limits.fast_max != RULE_UNSET)
                use.engine = engine_name(RELOCATE_RECLAIM);

        *ret_use = use;
}
