/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "policy/macro.h"

size_t metrics_processes(const Placement *placement)
{
        size_t n = 0;

        for (const Target *target = placement->targets.by_pid; target; target = target->hh.next)
                n += target->rule != NULL;
        return n;
}

void metrics_copies(const Placement *placement, uint64_t *ret_all, uint64_t *ret_cheap,
                    uint64_t *ret_fast)
{
        uint64_t all = 0, cheap = 0, fast = 0;

        for (const Target *target = placement->targets.by_pid; target; target = target->hh.next)
                for (size_t i = 0; i < target->n_mappings; i++) {
                        all += target->mappings[i].cow_bytes;
                        cheap += target->mappings[i].cheap_bytes;
                        fast += target->mappings[i].fast_bytes;
                }
        *ret_all = all;
        *ret_cheap = cheap;
        *ret_fast = fast;
}

void metrics_anon(const Placement *placement, TargetAnon *ret_sum)
{
        TargetAnon sum = {};

        for (const Target *target = placement->targets.by_pid; target; target = target->hh.next) {
                if (!target->anon.is_concerned)
                        continue;
                sum.bytes += target->anon.bytes;
                sum.cheap_bytes += target->anon.cheap_bytes;
                sum.fast_bytes += target->anon.fast_bytes;
        }
        *ret_sum = sum;
}

static void describe(FILE *stream, const char *name, const char *type, const char *help)
{
        fprintf(stream, "# TYPE daxtier_%s %s\n# HELP daxtier_%s %s\n", name, type, name, help);
}

static void counter(FILE *stream, const char *name, const char *help, uint64_t value)
{
        describe(stream, name, "counter", help);
        fprintf(stream, "daxtier_%s_total %" PRIu64 "\n", name, value);
}

static void gauge(FILE *stream, const char *name, const char *help, uint64_t value)
{
        describe(stream, name, "gauge", help);
        fprintf(stream, "daxtier_%s %" PRIu64 "\n", name, value);
}

static void events_print(FILE *stream, const Account *account)
{
        counter(stream, "map_events", "New private file mappings that were heard of.",
                account->map_events);
        counter(stream, "lost_events", "Times that events were lost and everything was looked at.",
                account->lost_events);
        counter(stream, "scans", "Looks at a process.", account->scans);

        describe(stream, "injections", "counter", "Memory policy calls in other processes.");
        fprintf(stream, "daxtier_injections_total{result=\"done\"} %" PRIu64 "\n",
                account->injections_done);
        fprintf(stream, "daxtier_injections_total{result=\"refused\"} %" PRIu64 "\n",
                account->injections_refused);
        fprintf(stream, "daxtier_injections_total{result=\"failed\"} %" PRIu64 "\n",
                account->injections_failed);
        counter(stream, "pause_refused",
                "Calls not made because the process would have been stopped beyond PauseMax=.",
                account->pauses_refused);

        describe(stream, "moved_bytes", "counter", "Pages that were moved to their tier.");
        for (RelocateEngine engine = 0; engine < RELOCATE_ENGINES; engine++)
                fprintf(stream, "daxtier_moved_bytes_total{engine=\"%s\"} %" PRIu64 "\n",
                        engine_name(engine), account->moved_bytes[engine]);
        counter(stream, "moves_failed", "Moves that left pages where they should not be.",
                account->moves_failed);
}

static void states_print(FILE *stream, const Placement *placement)
{
        uint64_t all, cheap, fast;

        gauge(stream, "processes", "Processes under a policy.", metrics_processes(placement));
        describe(stream, "mappings", "gauge", "Mappings under a policy.");
        for (MappingState state = 0; state < MAPPING_STATES; state++)
                fprintf(stream, "daxtier_mappings{state=\"%s\"} %zu\n", mapping_state_name(state),
                        placement->targets.totals[state]);

        metrics_copies(placement, &all, &cheap, &fast);
        gauge(stream, "cow_bytes", "Copies in these mappings, as last seen.", all);
        gauge(stream, "cow_cheap_bytes", "Of these: on the cheap tier.", cheap);
        gauge(stream, "cow_fast_bytes", "Of these: on the fast tier.", fast);
}

static void engines_print(FILE *stream, const char *name, const char *help, uint64_t by_damon,
                          uint64_t by_reclaim)
{
        describe(stream, name, "counter", help);
        fprintf(stream,
                "daxtier_%s_total{engine=\"damon\"} %" PRIu64
                "\ndaxtier_%s_total{engine=\"reclaim\"} %" PRIu64 "\n",
                name, by_damon, name, by_reclaim);
}

/* A node that is listed for both tiers counts for both. */
static uint64_t other_bytes(const TargetAnon *sum)
{
        uint64_t known = sum->cheap_bytes + sum->fast_bytes;

        return known < sum->bytes ? sum->bytes - known : 0;
}

static void anon_print(FILE *stream, const Placement *placement)
{
        uint64_t demoted, promoted;
        TargetAnon sum;

        metrics_anon(placement, &sum);
        describe(stream, "anon_bytes", "gauge",
                 "Anonymous memory of processes whose policy is about it, as last seen.");
        fprintf(stream,
                "daxtier_anon_bytes{tier=\"cheap\"} %" PRIu64
                "\ndaxtier_anon_bytes{tier=\"fast\"} %" PRIu64
                "\ndaxtier_anon_bytes{tier=\"other\"} %" PRIu64 "\n",
                sum.cheap_bytes, sum.fast_bytes, other_bytes(&sum));
        heat_totals(placement->heat, &demoted, &promoted);
        engines_print(stream, "demoted_bytes",
                      "Memory moved away from the fast tier for ColdAfter= and FastMax=.", demoted,
                      placement->account.demoted_bytes[RELOCATE_RECLAIM]);
        engines_print(stream, "promoted_bytes", "Memory brought back as it was used again.",
                      promoted, 0);
        counter(stream, "re_moved_bytes",
                "Anonymous memory moved twice within ColdAfter=, estimated from a sample.",
                sampler_total(placement->sampler).re_moved_bytes);
}

int metrics_format(const Placement *placement, char **ret_text)
{
        _cleanup_(freep) char *text = NULL;
        FILE *stream;
        size_t size;

        stream = open_memstream(&text, &size);
        if (!stream)
                return -errno;

        events_print(stream, &placement->account);
        states_print(stream, placement);
        anon_print(stream, placement);
        histogram_print(&placement->account.place_latency, "daxtier_place_latency_seconds",
                        "From mmap() to the memory policy on the new mapping.", stream);
        histogram_print(&placement->account.target_pause, "daxtier_target_pause_seconds",
                        "How long a process was stopped for a call.", stream);
        fputs("# EOF\n", stream);
        if (fclose(stream) != 0)
                return -ENOMEM;

        *ret_text = TAKE_PTR(text);
        return 0;
}
