/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cgroups(): what is kept of whole cgroups, limits and ColdAfter=. */
#include <errno.h>

#include "daemon/bus.h"
#include "daemon/busplacement.h"
#include "daemon/kernel/cgroup.h"
#include "daemon/manager.h"
#include "daemon/server.h"
#include "policy/macro.h"
#include "policy/utf8.h"

/* That an ordinary user is told of: the kernel is asked about each, while everybody else waits. */
#define CGROUPS_USER_MAX ((size_t)256)

/* A cgroup with processes whose policy is about it as a whole. */
typedef struct Kept {
        const char *cgroup;
        const Rule *rule;
        uint64_t re_moved_bytes;
} Kept;

static bool is_kept(const Rule *rule)
{
        return rule &&
               (rule->anon.cold_after_usec != RULE_UNSET || rule->limits.cheap_max != RULE_UNSET ||
                rule->limits.fast_max != RULE_UNSET);
}

static int compare_kept(const void *a, const void *b)
{
        const Kept *left = a, *right = b;
        int order = strcmp(left->cgroup, right->cgroup);

        return order != 0 ? order : strcmp(left->rule->source, right->rule->source);
}

/* Each pair of cgroup and policy once, of the processes that the caller may see. */
static size_t kept_collect(const Placement *placement, uid_t uid, Kept *kept)
{
        size_t n = 0, n_merged = 0;

        for (const Target *target = placement->targets.by_pid; target; target = target->hh.next)
                if (is_kept(target->rule) && (uid == 0 || target->subject.uid == uid))
                        kept[n++] = (Kept){
                                .cgroup = target->subject.cgroup,
                                .rule = target->rule,
                                .re_moved_bytes = sampler_count(placement->sampler, target->pid)
                                                          .re_moved_bytes,
                        };
        qsort(kept, n, sizeof(*kept), compare_kept);

        for (size_t i = 0; i < n; i++)
                if (n_merged > 0 && compare_kept(&kept[n_merged - 1], &kept[i]) == 0)
                        kept[n_merged - 1].re_moved_bytes += kept[i].re_moved_bytes;
                else
                        kept[n_merged++] = kept[i];
        return uid != 0 && n_merged > CGROUPS_USER_MAX ? CGROUPS_USER_MAX : n_merged;
}

static int append_text(sd_bus_message *reply, const char *key, const char *text)
{
        _cleanup_(freep) char *clean = utf8_clean(text);

        return clean ? sd_bus_message_append(reply, "{sv}", key, "s", clean) : -ENOMEM;
}

static int append_set(sd_bus_message *reply, const char *key, uint64_t value)
{
        return value == RULE_UNSET ? 0 : sd_bus_message_append(reply, "{sv}", key, "t", value);
}

/* What the kernel says now; nothing where memory is not accounted. */
static int append_tier(sd_bus_message *reply, const Placement *placement, const char *key,
                       const char *cgroup, const NodeSet *nodes)
{
        uint64_t bytes;

        if (cgroup_node_bytes(placement->host.cgroup_fd, cgroup, nodes, &bytes) < 0)
                return 0;
        return sd_bus_message_append(reply, "{sv}", key, "t", bytes);
}

static int append_settings(sd_bus_message *reply, const Placement *placement, const Kept *kept)
{
        const Limits *limits = &kept->rule->limits;
        int r;

        r = append_text(reply, "cgroup", kept->cgroup);
        if (r >= 0)
                r = append_text(reply, "policy_file", kept->rule->source);
        if (r >= 0)
                r = append_tier(reply, placement, "cheap_bytes", kept->cgroup,
                                &placement->tiers.cheap);
        if (r >= 0)
                r = append_tier(reply, placement, "fast_bytes", kept->cgroup,
                                &placement->tiers.fast);
        if (r >= 0)
                r = append_set(reply, "cheap_max", limits->cheap_max);
        if (r >= 0)
                r = append_set(reply, "fast_max", limits->fast_max);
        return r < 0 ? r : append_set(reply, "cold_after_usec", kept->rule->anon.cold_after_usec);
}

static int append_kept(sd_bus_message *reply, const Placement *placement, const Kept *kept)
{
        CgroupUse use;
        int r;

        aging_use(placement, kept->cgroup, kept->rule, &use);
        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = append_settings(reply, placement, kept);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "engine", "s", use.engine,
                                          "demoted_bytes", "t", use.demoted_bytes, "promoted_bytes",
                                          "t", use.promoted_bytes, "re_moved_bytes", "t",
                                          kept->re_moved_bytes);
        if (r >= 0)
                r = append_text(reply, "reason", use.reason);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_method_cgroups(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        const Connection *connection = userdata;
        const Placement *placement = connection->manager->placement;
        _cleanup_(freep) Kept *kept = NULL;
        sd_bus_message *reply = NULL;
        size_t n_kept;
        uid_t uid;
        int r;

        r = bus_sender(message, connection, &uid);
        if (r < 0)
                return r;
        kept = calloc(HASH_COUNT(placement->targets.by_pid) + 1, sizeof(*kept));
        if (!kept)
                return -ENOMEM;
        n_kept = kept_collect(placement, uid, kept);

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < n_kept; i++)
                r = append_kept(reply, placement, &kept[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r < 0 ? r : 1;
}
