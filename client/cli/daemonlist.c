/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/daemonlist.h"

#include <errno.h>

#include "client/cli/daemonbus.h"
#include "daemon/bus.h"
#include "policy/macro.h"

/* Mappings and pages, and bytes of their texts: more than a large host has, and what a table of
 * them takes still fits its memory. */
#define LIST_ITEMS_MAX (UINT64_C(1) << 20)
#define LIST_BYTES_MAX (UINT64_C(256) << 20)

static const DaemonKey keys[] = {
        { "pid", 'u', offsetof(DaemonMapping, pid) },
        { "comm", 's', offsetof(DaemonMapping, comm) },
        { "cgroup", 's', offsetof(DaemonMapping, cgroup) },
        { "start", 't', offsetof(DaemonMapping, start) },
        { "end", 't', offsetof(DaemonMapping, end) },
        { "file", 's', offsetof(DaemonMapping, file) },
        { "dax", 'b', offsetof(DaemonMapping, dax) },
        { "policy_file", 's', offsetof(DaemonMapping, policy_file) },
        { "tier", 's', offsetof(DaemonMapping, tier) },
        { "cow_bytes", 't', offsetof(DaemonMapping, cow_bytes) },
        { "cow_cheap_bytes", 't', offsetof(DaemonMapping, cow_cheap_bytes) },
        { "cow_fast_bytes", 't', offsetof(DaemonMapping, cow_fast_bytes) },
        { "state", 's', offsetof(DaemonMapping, state) },
        { "reason", 's', offsetof(DaemonMapping, reason) },
        { "kind", 's', offsetof(DaemonMapping, kind) },
        { "moved_bytes", 't', offsetof(DaemonMapping, moved_bytes) },
        { "re_moved_bytes", 't', offsetof(DaemonMapping, re_moved_bytes) },
        { "engine", 's', offsetof(DaemonMapping, engine) },
};

/* One answer to `daxtier list`, of many pages. */
typedef struct Listing {
        daemon_mapping_fn fn;
        void *userdata;
        uint64_t n_items;
        uint64_t n_bytes;
} Listing;

static uint64_t texts_size(const DaemonMapping *mapping)
{
        uint64_t size = 0;

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                const char *const *text = (const void *)((const char *)mapping + keys[i].offset);

                if (keys[i].type == 's' && *text)
                        size += strlen(*text);
        }
        return size;
}

static int listing_add(Listing *listing, const DaemonMapping *mapping)
{
        if (mapping->pid == 0 || !mapping->state)
                return -EPROTO;

        listing->n_bytes += texts_size(mapping);
        if (++listing->n_items > LIST_ITEMS_MAX || listing->n_bytes > LIST_BYTES_MAX)
                return -E2BIG;
        return listing->fn(mapping, listing->userdata);
}

static int mappings_read(sd_bus_message *reply, Listing *listing)
{
        int r = sd_bus_message_enter_container(reply, 'a', "a{sv}");

        if (r < 0)
                return daemon_reply_error(r);

        for (;;) {
                DaemonMapping mapping = {
                        .dax = -1,
                        .start = UINT64_MAX,
                        .end = UINT64_MAX,
                        .cow_bytes = UINT64_MAX,
                        .cow_cheap_bytes = UINT64_MAX,
                        .cow_fast_bytes = UINT64_MAX,
                        .moved_bytes = UINT64_MAX,
                        .re_moved_bytes = UINT64_MAX,
                };

                r = daemon_dictionary_read(reply, keys, ARRAY_SIZE(keys), &mapping);
                if (r <= 0)
                        break;
                r = listing_add(listing, &mapping);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : daemon_reply_error(sd_bus_message_exit_container(reply));
}

static int page_read(sd_bus *bus, const DaemonFilter *filter, uint32_t after, Listing *listing,
                     uint32_t *ret_next)
{
        _cleanup_(daemon_messagep) sd_bus_message *reply = NULL;
        int r;

        r = daemon_call(bus, BUS_INTERFACE, "List", DAEMON_SCAN_USEC, NULL, &reply, "susu",
                        filter->cgroup, filter->pid, filter->file, after);
        if (r < 0)
                return r;
        r = mappings_read(reply, listing);
        if (r < 0)
                return r;
        r = sd_bus_message_read_basic(reply, 'u', ret_next);
        if (r <= 0)
                return r < 0 ? daemon_reply_error(r) : -EPROTO;
        return 0;
}

int daemon_list(sd_bus *bus, const DaemonFilter *filter, daemon_mapping_fn fn, void *userdata)
{
        Listing listing = { .fn = fn, .userdata = userdata };
        uint32_t after = 0, next;

        for (;;) {
                int r = page_read(bus, filter, after, &listing, &next);

                if (r < 0)
                        return r;
                if (next == 0)
                        return 0;

                /* Pages go by pid, upwards: an answer that does not would have no end. */
                if (next <= after)
                        return -EPROTO;
                if (++listing.n_items > LIST_ITEMS_MAX)
                        return -E2BIG;
                after = next;
        }
}
