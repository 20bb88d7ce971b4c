/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/settings.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "policy/macro.h"
#include "policy/rule.h"
#include "policy/value.h"

typedef enum SettingType {
        SETTING_TEXT,
        SETTING_SWITCH,
        SETTING_BYTES,
        SETTING_TIME,
} SettingType;

/* A key of a policy file: where it is there, and where in our JSON. */
typedef struct Setting {
        const char *section;
        const char *name;
        const char *part; /* of the policy's object */
        const char *key;  /* in it */
        SettingType type;
} Setting;

static const Setting settings[SETTING_N] = {
        [SETTING_CGROUP] = { "Match", "Cgroup", "match", "cgroup", SETTING_TEXT },
        [SETTING_EXE] = { "Match", "Exe", "match", "exe", SETTING_TEXT },
        [SETTING_USER] = { "Match", "User", "match", "user", SETTING_TEXT },
        [SETTING_COW_FILE] = { "Cow", "File", "cow", "file", SETTING_TEXT },
        [SETTING_COW_TIER] = { "Cow", "Tier", "cow", "tier", SETTING_TEXT },
        [SETTING_COW_STRICT] = { "Cow", "Strict", "cow", "strict", SETTING_SWITCH },
        [SETTING_COW_EXISTING] = { "Cow", "Existing", "cow", "existing", SETTING_TEXT },
        [SETTING_ANON_TIER] = { "Anon", "Tier", "anon", "tier", SETTING_TEXT },
        [SETTING_ANON_COLD_AFTER] = { "Anon", "ColdAfter", "anon", "cold_after_usec",
                                      SETTING_TIME },
        [SETTING_ANON_COLD_TIER] = { "Anon", "ColdTier", "anon", "cold_tier", SETTING_TEXT },
        [SETTING_ANON_HOT_TIER] = { "Anon", "HotTier", "anon", "hot_tier", SETTING_TEXT },
        [SETTING_CHEAP_MAX] = { "Limits", "CheapMax", "limits", "cheap_max", SETTING_BYTES },
        [SETTING_FAST_MAX] = { "Limits", "FastMax", "limits", "fast_max", SETTING_BYTES },
        [SETTING_MOVE_RATE] = { "Limits", "MoveRate", "limits", "move_rate", SETTING_BYTES },
        [SETTING_PAUSE_MAX] = { "Limits", "PauseMax", "limits", "pause_max_usec", SETTING_TIME },
};

static const char *setting_default(const Setting *setting)
{
        for (size_t i = 0; i < rule_schema.n_sections; i++) {
                const IniSection *section = &rule_schema.sections[i];

                for (size_t k = 0; k < section->n_keys; k++)
                        if (strcmp(section->name, setting->section) == 0 &&
                            strcmp(section->keys[k].name, setting->name) == 0)
                                return section->keys[k].fallback;
        }
        return "";
}

/* Sizes and times as numbers. False: @text is none. */
static bool setting_number(const Setting *setting, const char *text, uint64_t *ret_number)
{
        if (setting->type == SETTING_BYTES)
                return bytes_parse(text, ret_number) >= 0;
        return setting->type == SETTING_TIME && usec_parse(text, ret_number) >= 0;
}

static bool setting_is_default(const Setting *setting, const char *text)
{
        const char *fallback = setting_default(setting);
        uint64_t number, usual;

        return strcmp(text, fallback) == 0 ||
               (setting_number(setting, text, &number) &&
                setting_number(setting, fallback, &usual) && number == usual);
}

int settings_format(const DaemonPolicy *policy, char **ret_text)
{
        _cleanup_(freep) char *text = NULL;
        const char *section = "";
        size_t size;
        FILE *stream = open_memstream(&text, &size);

        if (!stream)
                return -ENOMEM;

        for (size_t i = SETTING_CGROUP + 1; i < ARRAY_SIZE(settings); i++) {
                const char *value = policy->settings[i];

                if (!value || setting_is_default(&settings[i], value))
                        continue;
                if (strcmp(section, settings[i].section) != 0)
                        fprintf(stream, "%s[%s]", *section ? " " : "", settings[i].section);
                section = settings[i].section;
                /* An empty size would mean the default, which it is not. */
                if (settings[i].type == SETTING_BYTES && !*value)
                        value = "infinity";
                fprintf(stream, " %s=%s", settings[i].name, value);
        }
        if (fclose(stream) != 0)
                return -ENOMEM;

        *ret_text = TAKE_PTR(text);
        return 0;
}

/* NULL: unset. False: out of memory. */
static bool setting_json(const Setting *setting, const char *text, struct json_object **ret_value)
{
        uint64_t number;
        bool is_on;

        *ret_value = NULL;
        if (!text || !*text)
                return true;

        if (setting->type == SETTING_TEXT)
                *ret_value = json_text(text);
        else if (setting->type == SETTING_SWITCH && boolean_parse(text, &is_on) >= 0)
                *ret_value = json_object_new_boolean(is_on);
        else if (setting_number(setting, text, &number) && number <= INT64_MAX)
                *ret_value = json_object_new_int64((int64_t)number);
        else
                return true;
        return *ret_value;
}

int settings_json(const DaemonPolicy *policy, struct json_object *object)
{
        struct json_object *part = NULL, *value;
        const char *name = "";
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
                if (strcmp(name, settings[i].part) != 0) {
                        name = settings[i].part;
                        part = json_object_new_object();
                        if (!part)
                                return -ENOMEM;
                        r = json_add(object, name, part);
                        if (r < 0)
                                return r;
                }
                if (!setting_json(&settings[i], policy->settings[i], &value))
                        return -ENOMEM;
                r = json_add(part, settings[i].key, value);
                if (r < 0)
                        return r;
        }
        return 0;
}
