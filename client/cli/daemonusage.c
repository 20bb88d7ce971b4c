/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/daemonusage.h"

#include <errno.h>

#include "client/cli/daemonbus.h"
#include "daemon/bus.h"
#include "policy/macro.h"

/* More cgroups than a machine has. */
#define USAGES_MAX (1u << 20)

static const DaemonKey keys[] = {
        { "cgroup", 's', offsetof(DaemonUsage, cgroup) },
        { "policy_file", 's', offsetof(DaemonUsage, policy_file) },
        { "cheap_bytes", 't', offsetof(DaemonUsage, cheap_bytes) },
        { "cheap_max", 't', offsetof(DaemonUsage, cheap_max) },
        { "fast_bytes", 't', offsetof(DaemonUsage, fast_bytes) },
        { "fast_max", 't', offsetof(DaemonUsage, fast_max) },
        { "cold_after_usec", 't', offsetof(DaemonUsage, cold_after_usec) },
        { "engine", 's', offsetof(DaemonUsage, engine) },
        { "demoted_bytes", 't', offsetof(DaemonUsage, demoted_bytes) },
        { "promoted_bytes", 't', offsetof(DaemonUsage, promoted_bytes) },
        { "re_moved_bytes", 't', offsetof(DaemonUsage, re_moved_bytes) },
        { "reason", 's', offsetof(DaemonUsage, reason) },
};

static int usage_read(sd_bus_message *reply, DaemonUsage *ret_usage)
{
        DaemonUsage usage = {
                .cheap_bytes = UINT64_MAX,
                .cheap_max = UINT64_MAX,
                .fast_bytes = UINT64_MAX,
                .fast_max = UINT64_MAX,
                .cold_after_usec = UINT64_MAX,
                .demoted_bytes = UINT64_MAX,
                .promoted_bytes = UINT64_MAX,
                .re_moved_bytes = UINT64_MAX,
        };
        int r = daemon_dictionary_read(reply, keys, ARRAY_SIZE(keys), &usage);

        if (r > 0 && !usage.cgroup)
                return -EPROTO;
        if (r > 0)
                *ret_usage = usage;
        return r;
}

int daemon_usage(sd_bus *bus, daemon_usage_fn fn, void *userdata)
{
        _cleanup_(daemon_messagep) sd_bus_message *reply = NULL;
        DaemonUsage usage;
        int r;

        r = daemon_call(bus, BUS_INTERFACE, "Cgroups", DAEMON_ANSWER_USEC, NULL, &reply, "");
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "a{sv}");
        if (r < 0)
                return daemon_reply_error(r);

        for (size_t n = 0; (r = usage_read(reply, &usage)) > 0; n++) {
                if (n == USAGES_MAX)
                        return -E2BIG;
                r = fn(&usage, userdata);
                if (r < 0)
                        return r;
        }
        if (r >= 0)
                r = daemon_reply_error(sd_bus_message_exit_container(reply));
        return r < 0 ? r : 0;
}
