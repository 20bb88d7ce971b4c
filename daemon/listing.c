/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/listing.h"

#include <errno.h>
#include <fnmatch.h>

#include "daemon/bus.h"
#include "policy/macro.h"
#include "policy/utf8.h"

/* A turn of the event loop: so long, and one look at a process. */
#define TURN_USEC UINT64_C(2000)

/* What a mapping takes in an answer, beside its texts. */
#define ROW_BYTES 512u

/* What was seen so lately need not be looked at again. */
#define FRESH_USEC UINT64_C(200000)

struct Listing {
        Placement *placement;
        sd_bus_message *call;
        sd_bus_message *reply;
        ListingFilter filter; /* its texts are .cgroup and .file */
        char *cgroup;
        char *file;
        pid_t *pids; /* in order */
        size_t n_pids, at;
        uint64_t from;      /* an address of the one at hand: those below are listed */
        TargetMapping rest; /* the sum of what there was no room for, of the one at hand; */
        size_t n_rest;      /* so many */
        size_t n_listed, n_bytes;
        sd_event_source *source;
        Listing *next;
};

static void listing_free(Listing *listing)
{
        if (!listing)
                return;

        sd_event_source_disable_unref(listing->source);
        sd_bus_message_unref(listing->call);
        sd_bus_message_unref(listing->reply);
        free(listing->cgroup);
        free(listing->file);
        free(listing->pids);
        free(listing);
}

static void listing_freep(Listing **listing)
{
        listing_free(*listing);
}

static void listing_end(Listing *listing)
{
        Listing **at = &listing->placement->listings;

        while (*at != listing)
                at = &(*at)->next;
        *at = listing->next;
        listing->placement->n_listings--;
        listing_free(listing);
}

void listings_free(Placement *placement)
{
        while (placement->listings) {
                sd_bus_reply_method_errno(placement->listings->call, ECANCELED, NULL);
                listing_end(placement->listings);
        }
}

static bool is_below(const char *cgroup, const char *top)
{
        size_t length = strlen(top);

        while (length > 1 && top[length - 1] == '/')
                length--;
        if (length == 0 || strcmp(top, "/") == 0)
                return true;
        return strncmp(cgroup, top, length) == 0 &&
               (cgroup[length] == '\0' || cgroup[length] == '/');
}

/* One that nobody has looked at yet may turn out to be. */
static bool is_asked_for(const Target *target, const ListingFilter *filter)
{
        if (target->pid <= filter->after || (filter->pid != 0 && target->pid != filter->pid))
                return false;
        if (!target->scanned)
                return true;

        return target->rule && (filter->all_users || target->subject.uid == filter->uid) &&
               is_below(target->subject.cgroup, filter->cgroup);
}

static int compare_pids(const void *a, const void *b)
{
        const pid_t *left = a, *right = b;

        return (*left > *right) - (*left < *right);
}

static int pids_collect(Listing *listing)
{
        const Targets *targets = &listing->placement->targets;

        listing->pids = calloc(HASH_COUNT(targets->by_pid) + 1, sizeof(*listing->pids));
        if (!listing->pids)
                return -ENOMEM;

        for (const Target *target = targets->by_pid; target; target = target->hh.next)
                if (is_asked_for(target, &listing->filter))
                        listing->pids[listing->n_pids++] = target->pid;
        qsort(listing->pids, listing->n_pids, sizeof(*listing->pids), compare_pids);
        return 0;
}

/* Names of files and processes may be any bytes. */
static int append_text(sd_bus_message *reply, const char *key, const char *text)
{
        _cleanup_(freep) char *clean = utf8_clean(text);

        return clean ? sd_bus_message_append(reply, "{sv}", key, "s", clean) : -ENOMEM;
}

/* What all rows have: whose it is, where it should be, and how it is. */
static int append_common(sd_bus_message *reply, const Target *target, const Tier *wanted,
                         const char *kind, MappingState state, const char *reason)
{
        char tier[NODESET_TEXT_MAX + 8];
        int r;

        r = tier_format(wanted, tier, sizeof(tier));
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "pid", "u",
                                          (uint32_t)target->pid, "kind", "s", kind, "tier", "s",
                                          tier, "state", "s", mapping_state_name(state));
        if (r >= 0)
                r = append_text(reply, "reason", reason);
        if (r >= 0)
                r = append_text(reply, "comm", target->subject.comm);
        if (r >= 0)
                r = append_text(reply, "cgroup", target->subject.cgroup);
        return r < 0 ? r : append_text(reply, "policy_file", target->rule->source);
}

static int append_bytes(sd_bus_message *reply, uint64_t bytes, uint64_t cheap, uint64_t fast)
{
        return sd_bus_message_append(reply, "{sv}{sv}{sv}", "cow_bytes", "t", bytes,
                                     "cow_cheap_bytes", "t", cheap, "cow_fast_bytes", "t", fast);
}

static int append_mapping(sd_bus_message *reply, const Target *target, const TargetMapping *mapping)
{
        bool is_dax = mapping->kind == MAPPING_DAX;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = append_common(reply, target, &target->rule->cow.tier,
                                  is_dax ? "dax" : "page-cache", mapping->state, mapping->reason);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}", "start", "t", mapping->start,
                                          "end", "t", mapping->end, "dax", "b", is_dax);
        if (r >= 0)
                r = append_bytes(reply, mapping->cow_bytes, mapping->cheap_bytes,
                                 mapping->fast_bytes);
        if (r >= 0 && mapping->file)
                r = append_text(reply, "file", mapping->file);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* All anonymous memory of the process. */
static int append_anon(sd_bus_message *reply, const Placement *placement, const Target *target)
{
        const TargetAnon *anon = &target->anon;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = append_common(reply, target, &target->rule->anon.tier, "anon", anon->state,
                                  anon->reason);
        if (r >= 0)
                r = append_bytes(reply, anon->bytes, anon->cheap_bytes, anon->fast_bytes);
        if (r >= 0)
                r = sd_bus_message_append(
                        reply, "{sv}{sv}{sv}", "moved_bytes", "t", anon->moved_bytes,
                        "re_moved_bytes", "t",
                        sampler_count(placement->sampler, target->pid).re_moved_bytes, "engine",
                        "s", anon_engine_name(placement, target));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* A stranger's question is no reason to look at a process that shall rest. */
static bool is_stale(const Listing *listing, const Target *target)
{
        uint64_t fresh_until = target->scanned_usec + FRESH_USEC;

        if (!listing->filter.all_users && target->rest_usec > fresh_until)
                fresh_until = target->rest_usec;
        return fresh_until < placement_clock_ns() / 1000u;
}

static void process_next(Listing *listing)
{
        listing->at++;
        listing->from = 0;
        listing->n_rest = 0;
}

static void rest_add(Listing *listing, const TargetMapping *mapping)
{
        TargetMapping *rest = &listing->rest;

        if (listing->n_rest++ == 0) {
                *rest = *mapping;
                rest->file = NULL;
                rest->reason =
                        "Too many to be listed one by one, these are added up: ask with --file.";
                return;
        }
        rest->end = mapping->end;
        if (rest->state != mapping->state)
                rest->state = MAPPING_PARTIAL;
        rest->cow_bytes += mapping->cow_bytes;
        rest->cheap_bytes += mapping->cheap_bytes;
        rest->fast_bytes += mapping->fast_bytes;
}

static int mapping_list(Listing *listing, const Target *target, const TargetMapping *mapping)
{
        if (listing->file[0] != '\0' &&
            (!mapping->file || fnmatch(listing->file, mapping->file, 0) != 0))
                return 0;
        if (listing->n_bytes >= LISTING_BYTES_MAX) {
                rest_add(listing, mapping);
                return 0;
        }

        listing->n_listed++;
        listing->n_bytes += ROW_BYTES + strlen(mapping->file ? mapping->file : "") +
                            strlen(target->subject.cgroup) + strlen(target->rule->source);
        return append_mapping(listing->reply, target, mapping);
}

static int anon_list(Listing *listing, const Target *target)
{
        if (!target->anon.is_concerned || listing->file[0] != '\0')
                return 0;

        listing->n_listed++;
        listing->n_bytes +=
                ROW_BYTES + strlen(target->subject.cgroup) + strlen(target->rule->source);
        return append_anon(listing->reply, listing->placement, target);
}

/* The process at hand from where the last turn ended, or as much of it as there is time for. */
static int process_list(Listing *listing, uint64_t until)
{
        Target *target = targets_find(&listing->placement->targets, listing->pids[listing->at]);
        int r = 0;

        if (!target ||
            (listing->from == 0 && is_stale(listing, target) &&
             placement_look(listing->placement, target) == -ESRCH) ||
            !target->rule || !is_asked_for(target, &listing->filter)) {
                process_next(listing);
                return 0;
        }

        if (listing->from == 0)
                r = anon_list(listing, target);
        for (size_t i = 0; r >= 0 && i < target->n_mappings; i++) {
                const TargetMapping *mapping = &target->mappings[i];

                if (mapping->start < listing->from)
                        continue;
                r = mapping_list(listing, target, mapping);
                if (r >= 0 && i + 1 < target->n_mappings && placement_clock_ns() / 1000u >= until) {
                        listing->from = mapping->end;
                        return 0;
                }
        }

        if (r >= 0 && listing->n_rest > 0)
                r = append_mapping(listing->reply, target, &listing->rest);
        process_next(listing);
        return r;
}

/* Whether its page ends before the process at hand. */
static bool is_full(const Listing *listing)
{
        return listing->from == 0 &&
               (listing->n_listed >= LISTING_PAGE || listing->n_bytes >= LISTING_PAGE_BYTES);
}

static int listing_reply(Listing *listing)
{
        uint32_t next = listing->at < listing->n_pids && listing->at > 0
                                ? (uint32_t)listing->pids[listing->at - 1]
                                : 0;
        int r;

        r = sd_bus_message_close_container(listing->reply);
        if (r >= 0)
                r = sd_bus_message_append(listing->reply, "u", next);
        return r < 0 ? r : sd_bus_send(NULL, listing->reply, NULL);
}

static int on_turn(sd_event_source *source, void *userdata)
{
        Listing *listing = userdata;
        uint64_t until = placement_clock_ns() / 1000u + TURN_USEC;
        bool done;
        int r = 0;

        do {
                done = listing->at == listing->n_pids || is_full(listing);
                if (!done)
                        r = process_list(listing, until);
        } while (r >= 0 && !done && placement_clock_ns() / 1000u < until);
        if (r >= 0 && !done)
                return 0; /* the next turn goes on */

        if (r >= 0)
                r = listing_reply(listing);
        if (r < 0)
                sd_bus_reply_method_errno(listing->call, r, NULL);
        listing_end(listing);
        return 0;
}

static int listing_new(Placement *placement, sd_bus_message *call, const ListingFilter *filter,
                       Listing **ret_listing)
{
        _cleanup_(listing_freep) Listing *listing = calloc(1, sizeof(*listing));
        int r;

        if (!listing)
                return -ENOMEM;

        listing->placement = placement;
        listing->call = sd_bus_message_ref(call);
        listing->cgroup = strdup(filter->cgroup);
        listing->file = strdup(filter->file);
        if (!listing->cgroup || !listing->file)
                return -ENOMEM;
        listing->filter = *filter;
        listing->filter.cgroup = listing->cgroup;
        listing->filter.file = listing->file;

        /* Also processes that no event told of; a walk over all cgroups is not for everybody. */
        if (filter->all_users && filter->after == 0)
                placement_sweep(placement);
        r = pids_collect(listing);
        if (r >= 0)
                r = sd_bus_message_new_method_return(call, &listing->reply);
        if (r >= 0)
                r = sd_bus_message_open_container(listing->reply, 'a', "a{sv}");
        if (r >= 0)
                r = sd_event_add_defer(placement->event, &listing->source, on_turn, listing);
        if (r >= 0)
                r = sd_event_source_set_enabled(listing->source, SD_EVENT_ON);
        if (r >= 0)
                r = sd_event_source_set_description(listing->source, "listing");
        if (r < 0)
                return r;

        *ret_listing = TAKE_PTR(listing);
        return 0;
}

static size_t listings_of(const Placement *placement, uid_t uid)
{
        size_t n = 0;

        for (const Listing *listing = placement->listings; listing; listing = listing->next)
                n += listing->filter.uid == uid;
        return n;
}

int listing_start(Placement *placement, sd_bus_message *call, const ListingFilter *filter)
{
        Listing *listing;
        int r;

        if (placement->n_listings >= LISTINGS_MAX ||
            (!filter->all_users && listings_of(placement, filter->uid) >= LISTINGS_MAX_USER))
                return -EBUSY;
        if (strlen(filter->cgroup) > LISTING_TEXT_MAX || strlen(filter->file) > LISTING_TEXT_MAX)
                return -EINVAL;
        r = listing_new(placement, call, filter, &listing);
        if (r < 0)
                return r;

        listing->next = placement->listings;
        placement->listings = listing;
        placement->n_listings++;
        return 0;
}
