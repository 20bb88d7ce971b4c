/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

typedef struct DaemonFilter DaemonFilter;
typedef struct DaemonMapping DaemonMapping;

/* Which mappings to list. All that is set must fit. */
struct DaemonFilter {
        const char *cgroup; /* this one and all below it; "": any */
        uint32_t pid;       /* 0: any */
        const char *file;   /* a glob on the path; "": any */
};

/* A mapping under policy, or all anonymous memory of a process. Texts are valid until the callback
 * returns. Of numbers of bytes and addresses UINT64_MAX is: unknown, or it has none. */
struct DaemonMapping {
        uint32_t pid;
        int dax; /* -1: unknown */
        uint64_t start, end;
        uint64_t cow_bytes, cow_cheap_bytes, cow_fast_bytes;
        uint64_t moved_bytes, re_moved_bytes; /* of anonymous memory */
        const char *comm;
        const char *cgroup;
        const char *file; /* NULL: none */
        const char *policy_file;
        const char *tier;
        const char *state;
        const char *reason; /* "": none */
        const char *kind;   /* NULL: the daemon is older than that there are several */
        const char *engine; /* that moves anonymous memory; NULL, "": none */
};

/* The kind of all anonymous memory of a process. */
#define DAEMON_KIND_ANON "anon"

typedef int (*daemon_mapping_fn)(const DaemonMapping *mapping, void *userdata);

/* Asks the daemon, page after page, and hands each mapping to @fn, by pid; what @fn fails with ends
 * it. The daemon looks at the processes before it answers. -E2BIG: more than we are willing to
 * take; -EPROTO: no such answer was agreed on; and those of daemon_call(). */
int daemon_list(sd_bus *bus, const DaemonFilter *filter, daemon_mapping_fn fn, void *userdata);
