/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/rule.h"
#include "policy/tier.h"

typedef struct Config Config;
typedef struct ConfigError ConfigError;
typedef struct DeviceConfig DeviceConfig;
typedef struct TierConfig TierConfig;

/* Zone= */
typedef enum Zone {
        ZONE_MOVABLE,
        ZONE_NORMAL,
} Zone;

/* [Device NAME] */
struct DeviceConfig {
        char *name; /* "dax1.0", "uuid:…" or "path:…", as written */
        bool online;
        Zone zone;
        bool offline_on_stop;
};

/* [Tier NAME]; automatic: .nodes is not used. */
struct TierConfig {
        bool automatic;
        NodeSet nodes;
};

/* daxtierd.conf and its drop-ins, merged. */
struct Config {
        uint64_t reconcile_usec;
        DeviceConfig *devices; /* in the order they were first named */
        size_t n_devices;
        TierConfig cheap;
        TierConfig fast;
};

/* Where a file is wrong, and what was expected there. */
struct ConfigError {
        char *file;
        unsigned line; /* 1-based; 0: the file as a whole */
        char *message; /* a sentence; names the nearest known key for an unknown one */
};

/* Built-in defaults, to which config_merge() adds file after file. */
void config_init(Config *config);
void config_deinit(Config *config);

/* Adds the INI @text of the file named @file: later files win key by key, sections of the same
 * device merge. On -EBADMSG @ret_error says why and @config must be dropped; -ENOMEM otherwise. */
int config_merge(Config *config, const char *file, const char *text, ConfigError *ret_error);

/* Parses one policy file's @text. Same errors. Missing [Match] Cgroup= is an error. */
int rule_parse(const char *file, const char *text, Rule *ret_rule, ConfigError *ret_error);
void rule_deinit(Rule *rule);

void config_error_deinit(ConfigError *error);
