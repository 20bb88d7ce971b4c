/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/daemonpolicy.h"

#include <errno.h>
#include <stddef.h>

#include "client/cli/daemonbus.h"
#include "daemon/bus.h"
#include "policy/macro.h"

/* More files than the daemon reads, and more cgroups than a host has. */
#define POLICIES_MAX 16384u
#define CGROUPS_MAX  262144u

#define SETTING_KEY(name, setting)                                                                 \
        {                                                                                          \
                name, 's', offsetof(DaemonPolicy, settings[setting])                               \
        }

static const DaemonKey keys[] = {
        { "file", 's', offsetof(DaemonPolicy, file) },
        SETTING_KEY("cgroup", SETTING_CGROUP),
        SETTING_KEY("exe", SETTING_EXE),
        SETTING_KEY("user", SETTING_USER),
        SETTING_KEY("cow.file", SETTING_COW_FILE),
        SETTING_KEY("cow.tier", SETTING_COW_TIER),
        SETTING_KEY("cow.strict", SETTING_COW_STRICT),
        SETTING_KEY("cow.existing", SETTING_COW_EXISTING),
        SETTING_KEY("anon.tier", SETTING_ANON_TIER),
        SETTING_KEY("anon.cold_after", SETTING_ANON_COLD_AFTER),
        SETTING_KEY("anon.cold_tier", SETTING_ANON_COLD_TIER),
        SETTING_KEY("anon.hot_tier", SETTING_ANON_HOT_TIER),
        SETTING_KEY("limits.cheap_max", SETTING_CHEAP_MAX),
        SETTING_KEY("limits.fast_max", SETTING_FAST_MAX),
        SETTING_KEY("limits.move_rate", SETTING_MOVE_RATE),
        SETTING_KEY("limits.pause_max", SETTING_PAUSE_MAX),
        { "n_cgroups", 'u', offsetof(DaemonPolicy, n_cgroups) },
        { "n_processes", 'u', offsetof(DaemonPolicy, n_processes) },
};

static int policies_read(sd_bus_message *reply, daemon_policy_fn fn, void *userdata)
{
        int r = sd_bus_message_enter_container(reply, 'a', "a{sv}");

        if (r < 0)
                return daemon_reply_error(r);

        for (size_t n = 0;; n++) {
                DaemonPolicy policy = {};

                r = daemon_dictionary_read(reply, keys, ARRAY_SIZE(keys), &policy);
                if (r <= 0)
                        break;
                if (!policy.file)
                        return -EPROTO;
                if (n >= POLICIES_MAX)
                        return -E2BIG;
                r = fn(&policy, userdata);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : daemon_reply_error(sd_bus_message_exit_container(reply));
}

static int cgroups_read(sd_bus_message *reply, daemon_cgroup_fn fn, void *userdata)
{
        DaemonCgroup cgroup;
        int r = sd_bus_message_enter_container(reply, 'a', "(ssu)");

        if (r < 0)
                return daemon_reply_error(r);

        for (size_t n = 0;; n++) {
                r = sd_bus_message_read(reply, "(ssu)", &cgroup.path, &cgroup.policy_file,
                                        &cgroup.n_processes);
                if (r <= 0)
                        break;
                if (n >= CGROUPS_MAX)
                        return -E2BIG;
                r = fn(&cgroup, userdata);
                if (r < 0)
                        return r;
        }
        return daemon_reply_error(r < 0 ? r : sd_bus_message_exit_container(reply));
}

int daemon_policies(sd_bus *bus, daemon_policy_fn policy, daemon_cgroup_fn cgroup, void *userdata)
{
        _cleanup_(daemon_messagep) sd_bus_message *reply = NULL;
        int r = daemon_call(bus, BUS_INTERFACE, "Policies", DAEMON_SCAN_USEC, NULL, &reply, "");

        if (r < 0)
                return r;
        r = policies_read(reply, policy, userdata);
        if (r < 0 || !cgroup)
                return r;
        return cgroups_read(reply, cgroup, userdata);
}
