/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "policy/nodeset.h"
#include "policy/rule.h"

typedef struct Settings Settings;

/* What `daxtier run` tells the shim through the environment:
 *
 *      DAXTIER_NODES   "2", "2-3": where copies shall go; without it the shim does nothing
 *      DAXTIER_FILE    "dax" (also if unset), "any", "glob:PATTERN": which files' mappings
 *      DAXTIER_STRICT  "1": bind; "0" or unset: prefer
 */
struct Settings {
        NodeSet nodes;
        bool strict;
        FileFilter filter;
        char pattern[PATH_MAX]; /* a copy: programs overwrite their environment (setproctitle) */
};

/* The settings, read from the environment by the first caller. NULL: there are none, they make no
 * sense, or somebody else is reading them right now. Takes no lock and no memory, so that mmap() may
 * be called from a signal handler. */
const Settings *settings_get(void);
