/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <systemd/sd-bus.h>

typedef struct DaemonUsage DaemonUsage;

/* What a cgroup with a limit or a ColdAfter= uses of the tiers, of copies and anonymous memory
 * together. Bytes since the daemon found it, or now. UINT64_MAX: unset, or unknown. Texts are valid
 * until the callback returns. */
struct DaemonUsage {
        const char *cgroup;
        const char *policy_file;
        uint64_t cheap_bytes, cheap_max;
        uint64_t fast_bytes, fast_max;
        uint64_t cold_after_usec;
        const char *engine; /* that serves these; NULL, "": none does */
        uint64_t demoted_bytes, promoted_bytes, re_moved_bytes;
        const char *reason; /* why they cannot be served now; NULL, "": they can */
};

typedef int (*daemon_usage_fn)(const DaemonUsage *usage, void *userdata);

/* Hands each to @fn; what that fails with ends it. -EBADR: the daemon is older than that; -E2BIG,
 * -EPROTO: an answer that no daemon gives; and those of daemon_call(). */
int daemon_usage(sd_bus *bus, daemon_usage_fn fn, void *userdata);
