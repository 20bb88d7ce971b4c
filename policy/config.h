/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/configerror.h"
#include "policy/inifile.h"
#include "policy/rule.h"
#include "policy/tier.h"

typedef struct Config Config;
typedef struct DeviceConfig DeviceConfig;
typedef struct TierConfig TierConfig;

/* Zone= */
typedef enum Zone {
        ZONE_MOVABLE,
        ZONE_NORMAL,
} Zone;

/* [Device NAME] */
struct DeviceConfig {
        char *name; /* "dax1.0", "uuid:…" (in lower case) or "path:…" */
        bool online;
        Zone zone;
        bool offline_on_stop;
};

/* [Tier NAME]; automatic: .nodes is not used. */
struct TierConfig {
        bool automatic;
        NodeSet nodes;
        char *file; /* where Nodes= was set last, for config_check(); NULL: nowhere */
        unsigned line;
};

/* daxtierd.conf and its drop-ins, merged. */
struct Config {
        uint64_t reconcile_usec;
        bool damon_take;       /* Damon=take */
        DeviceConfig *devices; /* in the order they were first named */
        size_t n_devices;
        TierConfig cheap;
        TierConfig fast;
};

/* What daxtierd.conf may say; its man page is checked against this. */
extern const IniSchema config_schema;

/* Built-in defaults, to which config_merge() adds file after file. */
void config_init(Config *config);
void config_deinit(Config *config);

/* Adds the INI @text of the file named @file: later files win key by key, sections of the same
 * device merge. On -EBADMSG @ret_error says why and @config must be dropped; -ENOMEM otherwise. */
int config_merge(Config *config, const char *file, const char *text, ConfigError *ret_error);

/* What only the whole can tell, once all files are merged: no node may be listed for both tiers.
 * Same errors. */
int config_check(const Config *config, ConfigError *ret_error);

/* "dax1.0", "uuid:…" or "path:GLOB" into a fresh string (a uuid in lower case). -EINVAL: none of
 * these. */
int device_name_parse(const char *text, char **ret_name);
