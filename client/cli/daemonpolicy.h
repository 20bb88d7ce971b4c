/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <systemd/sd-bus.h>

typedef struct DaemonCgroup DaemonCgroup;
typedef struct DaemonPolicy DaemonPolicy;

/* The keys of a policy file, in the order of its sections. */
typedef enum PolicySetting {
        SETTING_CGROUP,
        SETTING_EXE,
        SETTING_USER,
        SETTING_COW_FILE,
        SETTING_COW_TIER,
        SETTING_COW_STRICT,
        SETTING_COW_EXISTING,
        SETTING_ANON_TIER,
        SETTING_ANON_COLD_AFTER,
        SETTING_ANON_COLD_TIER,
        SETTING_ANON_HOT_TIER,
        SETTING_CHEAP_MAX,
        SETTING_FAST_MAX,
        SETTING_MOVE_RATE,
        SETTING_PAUSE_MAX,
        SETTING_N,
} PolicySetting;

/* A policy in force. Texts are valid until the callback returns. */
struct DaemonPolicy {
        const char *file;
        const char *settings[SETTING_N]; /* as in the file, defaults included; NULL, "": unset */
        uint32_t n_cgroups;
        uint32_t n_processes;
};

/* A cgroup with processes under a policy. */
struct DaemonCgroup {
        const char *path;
        const char *policy_file;
        uint32_t n_processes;
};

typedef int (*daemon_policy_fn)(const DaemonPolicy *policy, void *userdata);
typedef int (*daemon_cgroup_fn)(const DaemonCgroup *cgroup, void *userdata);

/* Hands each policy to @policy, in the order in which the daemon tries them, then each cgroup with
 * processes under one to @cgroup (NULL: not wanted). What these fail with ends it. -E2BIG, -EPROTO:
 * an answer that no daemon gives; and those of daemon_call(). */
int daemon_policies(sd_bus *bus, daemon_policy_fn policy, daemon_cgroup_fn cgroup, void *userdata);
