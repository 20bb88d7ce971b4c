/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/busplacement.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "daemon/bus.h"
#include "daemon/listing.h"
#include "daemon/manager.h"
#include "daemon/metrics.h"
#include "daemon/server.h"
#include "policy/macro.h"
#include "policy/utf8.h"

int bus_get_totals(sd_bus *bus, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const Connection *connection = userdata;
        const Placement *placement = connection->manager->placement;
        uint64_t all = 0, cheap = 0, fast = 0, mappings = 0, demoted = 0, promoted = 0;
        TargetAnon anon;
        int r;

        if (!placement)
                return sd_bus_message_append(reply, "a{st}", 0);

        metrics_copies(placement, &all, &cheap, &fast);
        heat_totals(placement->heat, &demoted, &promoted);
        r = sd_bus_message_open_container(reply, 'a', "{st}");
        for (MappingState state = 0; r >= 0 && state < MAPPING_STATES; state++) {
                mappings += placement->targets.totals[state];
                r = sd_bus_message_append(reply, "{st}", mapping_state_name(state),
                                          (uint64_t)placement->targets.totals[state]);
        }
        if (r >= 0)
                r = sd_bus_message_append(
                        reply, "{st}{st}{st}{st}{st}{st}", "processes",
                        (uint64_t)metrics_processes(placement), "mappings", mappings, "cow_bytes",
                        all, "cow_cheap_bytes", cheap, "cow_fast_bytes", fast, "moved_bytes",
                        account_moved_bytes(&placement->account) + demoted + promoted);
        metrics_anon(placement, &anon);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{st}{st}{st}{st}", "anon_bytes", anon.bytes,
                                          "anon_cheap_bytes", anon.cheap_bytes, "anon_fast_bytes",
                                          anon.fast_bytes, "re_moved_bytes",
                                          sampler_total(placement->sampler).re_moved_bytes);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_method_metrics(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        const Connection *connection = userdata;
        _cleanup_(freep) char *text = NULL;
        int r;

        r = metrics_format(connection->manager->placement, &text);
        return r < 0 ? r : sd_bus_reply_method_return(message, "s", text);
}

int bus_method_list(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        const Connection *connection = userdata;
        ListingFilter filter = {};
        uint32_t pid, after;
        int r;

        r = sd_bus_message_read(message, "susu", &filter.cgroup, &pid, &filter.file, &after);
        if (r < 0)
                return r;
        if (pid > INT32_MAX || after > INT32_MAX)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "There is no such pid.");
        filter.pid = (pid_t)pid;
        filter.after = (pid_t)after;

        r = bus_sender(message, connection, &filter.uid);
        if (r < 0)
                return r;
        filter.all_users = filter.uid == 0;

        r = listing_start(connection->manager->placement, message, &filter);
        if (r == -EBUSY)
                return sd_bus_error_set(error, BUS_ERROR_IN_PROGRESS,
                                        "Too many ask for lists at the moment: try again.");
        if (r == -EINVAL)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                                        "No path is as long as this cgroup or file.");
        return r < 0 ? r : 1;
}

/* One key of a policy as the file would have it; "" for what is not set. */
static int append_setting(sd_bus_message *reply, const char *key, const char *text)
{
        _cleanup_(freep) char *clean = utf8_clean(text ? text : "");

        return clean ? sd_bus_message_append(reply, "{sv}", key, "s", clean) : -ENOMEM;
}

static int append_number(sd_bus_message *reply, const char *key, uint64_t value, const char *unit)
{
        char text[40];

        snprintf(text, sizeof(text), "%" PRIu64 "%s", value, unit);
        return append_setting(reply, key, value == RULE_UNSET ? "" : text);
}

static int append_tier(sd_bus_message *reply, const char *key, const Tier *tier)
{
        char text[NODESET_TEXT_MAX + 8];
        int r;

        r = tier_format(tier, text, sizeof(text));
        return r < 0 ? r : append_setting(reply, key, text);
}

static const char *file_text(const CowRule *cow)
{
        switch (cow->filter) {
        case FILE_FILTER_DAX:
                return "dax";
        case FILE_FILTER_ANY:
                return "any";
        case FILE_FILTER_GLOB:
                break;
        }
        return cow->file;
}

static int append_rule(sd_bus_message *reply, const Rule *rule)
{
        const Limits *limits = &rule->limits;
        int r;

        r = append_setting(reply, "file", rule->source);
        if (r >= 0)
                r = append_setting(reply, "cgroup", rule->cgroup);
        if (r >= 0)
                r = append_setting(reply, "exe", rule->exe);
        if (r >= 0)
                r = append_setting(reply, "user", rule->user);
        if (r >= 0)
                r = append_setting(reply, "cow.file", file_text(&rule->cow));
        if (r >= 0)
                r = append_tier(reply, "cow.tier", &rule->cow.tier);
        if (r >= 0)
                r = append_setting(reply, "cow.strict", rule->cow.strict ? "yes" : "no");
        if (r >= 0)
                r = append_setting(reply, "cow.existing",
                                   rule->cow.move_existing ? "move" : "leave");
        if (r >= 0)
                r = append_tier(reply, "anon.tier", &rule->anon.tier);
        if (r >= 0)
                r = append_number(reply, "anon.cold_after", rule->anon.cold_after_usec, "us");
        if (r >= 0)
                r = append_tier(reply, "anon.cold_tier", &rule->anon.cold_tier);
        if (r >= 0)
                r = rule->anon.has_hot_tier
                            ? append_tier(reply, "anon.hot_tier", &rule->anon.hot_tier)
                            : append_setting(reply, "anon.hot_tier", "");
        if (r >= 0)
                r = append_number(reply, "limits.cheap_max", limits->cheap_max, "");
        if (r >= 0)
                r = append_number(reply, "limits.fast_max", limits->fast_max, "");
        if (r >= 0)
                r = append_number(reply, "limits.move_rate", limits->move_rate, "");
        if (r >= 0)
                r = append_number(reply, "limits.pause_max", limits->pause_max_usec, "us");
        return r;
}

/* A cgroup that has processes under a policy. */
typedef struct Covered {
        const char *cgroup;
        const Rule *rule;
        uint32_t n_processes;
} Covered;

static int compare_covered(const void *a, const void *b)
{
        const Covered *left = a, *right = b;
        int order = strcmp(left->cgroup, right->cgroup);

        return order != 0 ? order : strcmp(left->rule->source, right->rule->source);
}

/* Every pair of cgroup and policy once, by path. */
static size_t covered_collect(const Placement *placement, Covered *covered)
{
        size_t n = 0, n_merged = 0;

        for (const Target *target = placement->targets.by_pid; target; target = target->hh.next)
                if (target->rule)
                        covered[n++] = (Covered){ target->subject.cgroup, target->rule, 1 };
        qsort(covered, n, sizeof(*covered), compare_covered);

        for (size_t i = 0; i < n; i++)
                if (n_merged > 0 && compare_covered(&covered[n_merged - 1], &covered[i]) == 0)
                        covered[n_merged - 1].n_processes++;
                else
                        covered[n_merged++] = covered[i];
        return n_merged;
}

static int append_policies(sd_bus_message *reply, const Placement *placement,
                           const Covered *covered, size_t n_covered)
{
        int r;

        r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < placement->n_rules; i++) {
                uint32_t n_cgroups = 0, n_processes = 0;

                for (size_t j = 0; j < n_covered; j++)
                        if (covered[j].rule == &placement->rules[i]) {
                                n_cgroups++;
                                n_processes += covered[j].n_processes;
                        }
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
                if (r >= 0)
                        r = append_rule(reply, &placement->rules[i]);
                if (r >= 0)
                        r = sd_bus_message_append(reply, "{sv}{sv}", "n_cgroups", "u", n_cgroups,
                                                  "n_processes", "u", n_processes);
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_cgroups(sd_bus_message *reply, const Covered *covered, size_t n_covered)
{
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(ssu)");
        for (size_t i = 0; r >= 0 && i < n_covered; i++) {
                _cleanup_(freep) char *cgroup = utf8_clean(covered[i].cgroup),
                                      *file = utf8_clean(covered[i].rule->source);

                r = cgroup && file ? sd_bus_message_append(reply, "(ssu)", cgroup, file,
                                                           covered[i].n_processes)
                                   : -ENOMEM;
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_method_policies(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        const Connection *connection = userdata;
        const Placement *placement = connection->manager->placement;
        _cleanup_(freep) Covered *covered = NULL;
        sd_bus_message *reply = NULL;
        size_t n_covered;
        int r;

        covered = calloc(HASH_COUNT(placement->targets.by_pid) + 1, sizeof(*covered));
        if (!covered)
                return -ENOMEM;
        n_covered = covered_collect(placement, covered);

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = append_policies(reply, placement, covered, n_covered);
        if (r >= 0)
                r = append_cgroups(reply, covered, n_covered);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r < 0 ? r : 1;
}
