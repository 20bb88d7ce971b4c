/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/preload/settings.h"

#include <stdatomic.h>

#include "policy/macro.h"

#define GLOB_PREFIX "glob:"

typedef enum SettingsState {
        SETTINGS_UNREAD,
        SETTINGS_READING,
        SETTINGS_READY,
        SETTINGS_NONE,
} SettingsState;

static Settings settings;
static _Atomic SettingsState settings_state;

static bool filter_parse(const char *text, Settings *ret_settings)
{
        const char *pattern;

        if (!text || strcmp(text, "dax") == 0) {
                ret_settings->filter = FILE_FILTER_DAX;
                return true;
        }
        if (strcmp(text, "any") == 0) {
                ret_settings->filter = FILE_FILTER_ANY;
                return true;
        }
        if (strncmp(text, GLOB_PREFIX, strlen(GLOB_PREFIX)) != 0)
                return false;

        pattern = text + strlen(GLOB_PREFIX);
        if (strlen(pattern) >= sizeof(ret_settings->pattern))
                return false;

        memcpy(ret_settings->pattern, pattern, strlen(pattern) + 1);
        ret_settings->filter = FILE_FILTER_GLOB;
        return true;
}

static bool settings_read(Settings *ret_settings)
{
        const char *nodes = getenv("DAXTIER_NODES"), *strict = getenv("DAXTIER_STRICT");

        if (!nodes || nodeset_parse(nodes, &ret_settings->nodes) < 0 ||
            nodeset_is_empty(&ret_settings->nodes))
                return false;

        ret_settings->strict = strict && strcmp(strict, "1") == 0;
        return filter_parse(getenv("DAXTIER_FILE"), ret_settings);
}

const Settings *settings_get(void)
{
        SettingsState state = SETTINGS_UNREAD;

        /* Before libc has set itself up there is no environment to read: ask again later. */
        if (!environ)
                return NULL;

        if (atomic_compare_exchange_strong(&settings_state, &state, SETTINGS_READING)) {
                state = settings_read(&settings) ? SETTINGS_READY : SETTINGS_NONE;
                atomic_store(&settings_state, state);
        }

        return state == SETTINGS_READY ? &settings : NULL;
}
