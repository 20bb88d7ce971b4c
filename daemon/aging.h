/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What ColdAfter= asks for, gathered from all processes under such policies and handed to what serves
 * it: DAMON (heat.h); where that cannot, idle.h finds its cgroups by itself. The kernel tells memory apart by the cgroup that it is charged to, so a policy
 * can only be served where all of such a cgroup is under it. */

#include <systemd/sd-event.h>

#include "daemon/target.h"

typedef struct Aging Aging;
typedef struct AgingCgroup AgingCgroup;
typedef struct CgroupUse CgroupUse;
typedef struct Placement Placement;

/* A cgroup that memory is charged to, and the policy that is for it. */
struct AgingCgroup {
        char *cgroup;
        const Rule *rule; /* valid until the next placement_set_rules() */
        NodeSet cold;
        NodeSet hot;        /* empty without HotTier= */
        const char *reason; /* why it cannot be served, static; "": it can, as far as we know */
};

/* One, owned by the Placement. */
struct Aging {
        sd_event_source *timer;
        AgingCgroup *cgroups; /* by name */
        size_t n_cgroups;
        uint64_t cost_usec; /* of gathering them last */
        unsigned n_put_off; /* in a row */
};

/* What is done for a cgroup as a whole, for ColdAfter= and FastMax=. */
struct CgroupUse {
        const char *engine; /* "damon", "reclaim"; "" none */
        const char
                *reason;   /* why it is not served now; "". Valid until the event loop runs again */
        bool is_beginning; /* nothing is known yet */
        bool is_beyond_damon; /* this kernel's DAMON cannot do it, and never will */
        uint64_t demoted_bytes;
        uint64_t promoted_bytes;
};

/* Gathers anew, soon: something has changed. Where no policy has ColdAfter= that is nothing. */
void aging_due(Placement *placement);

/* How it stands with a cgroup that has processes under the policy. */
void aging_use(const Placement *placement, const char *cgroup, const Rule *rule,
               CgroupUse *ret_use);

/* Which cgroup the memory of processes in this one is charged to, if the policy has ColdAfter=; else
 * NULL. */
const AgingCgroup *aging_cgroup(const Placement *placement, const char *cgroup, const Rule *rule);

/* No policy is in force any more; until they are gathered anew nothing is known. */
void aging_forget(Placement *placement);

void aging_deinit(Aging *aging);
