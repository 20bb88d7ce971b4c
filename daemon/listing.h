/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The answer to "which mappings are under policy, and how are they": looks at each process that was
 * asked for once more, a few in a turn of the event loop, and only then replies. */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "daemon/placement.h"

typedef struct Listing Listing;

/* Mappings, or bytes about, after which a page ends; the process that is then at hand is still listed. */
#define LISTING_PAGE       2048u
#define LISTING_PAGE_BYTES (4u << 20)

/* What a page may be at the most, which is less than the system bus lets through: the mappings of one
 * process beyond it are added up in one entry. */
#define LISTING_BYTES_MAX (24u << 20)

/* How many are being made at once, of all and of one ordinary user; more are refused. */
#define LISTINGS_MAX      64u
#define LISTINGS_MAX_USER 4u

/* Of a text to choose by: no path is longer. */
#define LISTING_TEXT_MAX 4096u

/* Which processes and mappings. Texts: "" for all. */
typedef struct ListingFilter {
        const char *cgroup; /* this one and those below */
        const char *file;   /* an fnmatch() pattern */
        pid_t pid;          /* 0: all */
        pid_t after;        /* only pids beyond */
        bool all_users;
        uid_t uid; /* else only this user's */
} ListingFilter;

/* Replies to @call, (aa{sv}, u), from the event loop. -EBUSY: there are too many; -EINVAL: a text is
 * too long. */
int listing_start(Placement *placement, sd_bus_message *call, const ListingFilter *filter);

/* Ends all that are being made, with an error for who asked. */
void listings_free(Placement *placement);
