/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/rule.h"

#include <errno.h>
#include <string.h>

#include "policy/macro.h"
#include "policy/value.h"

static int set_text(char **member, const char *value)
{
        char *text = NULL;

        if (*value != '\0') {
                text = strdup(value);
                if (!text)
                        return -ENOMEM;
        }

        free(*member);
        *member = text;
        return 0;
}

/* One level of a cgroup glob: anything but nothing, ".", ".." and "**". */
static bool is_cgroup_level(const char *level, size_t length)
{
        if (length == 0)
                return false;
        if (level[0] == '.' && (length == 1 || (length == 2 && level[1] == '.')))
                return false;

        return !memmem(level, length, "**", 2);
}

/* A "**" stands for the level above it and all below that, so nothing can follow it. The root
 * cgroup itself is a single slash. */
static bool is_cgroup_glob(const char *value)
{
        const char *level = value + 1;

        if (*value != '/')
                return false;
        if (*level == '\0')
                return true;

        for (;;) {
                size_t length = strcspn(level, "/");
                bool is_last = level[length] == '\0';

                if (is_last && strcmp(level, "**") == 0)
                        return true;
                if (!is_cgroup_level(level, length))
                        return false;
                if (is_last)
                        return true;

                level += length + 1;
        }
}

static int parse_cgroup(const char *value, const IniPlace *place, void *member)
{
        if (*value != '\0' && !is_cgroup_glob(value))
                return -EINVAL;

        return set_text(member, value);
}

/* Paths are absolute, so a glob that begins with anything else matches none. */
static bool is_path_glob(const char *value)
{
        return *value == '/' || *value == '*';
}

static int parse_path(const char *value, const IniPlace *place, void *member)
{
        if (*value != '\0' && !is_path_glob(value))
                return -EINVAL;

        return set_text(member, value);
}

static int parse_user(const char *value, const IniPlace *place, void *member)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789_.-";
        const char *end = value + strspn(value, allowed);

        if (*end == '$' && end > value)
                end++; /* Samba's machine accounts */
        if (*value == '-' || *end != '\0')
                return -EINVAL;

        return set_text(member, value);
}

static int parse_file(const char *value, const IniPlace *place, void *member)
{
        FileFilter filter;
        CowRule *cow = member;
        int r;

        if (strcmp(value, "dax") == 0)
                filter = FILE_FILTER_DAX;
        else if (strcmp(value, "any") == 0)
                filter = FILE_FILTER_ANY;
        else if (is_path_glob(value))
                filter = FILE_FILTER_GLOB;
        else
                return -EINVAL;

        r = set_text(&cow->file, filter == FILE_FILTER_GLOB ? value : "");
        if (r < 0)
                return r;

        cow->filter = filter;
        return 0;
}

static int parse_tier(const char *value, const IniPlace *place, void *member)
{
        return tier_parse(value, member);
}

/* A tier to move pages to: "default", hands off, is none. */
static int parse_target_tier(const char *value, const IniPlace *place, void *member)
{
        Tier tier;
        int r;

        r = tier_parse(value, &tier);
        if (r < 0)
                return r;
        if (tier.kind == TIER_DEFAULT)
                return -EINVAL;

        *(Tier *)member = tier;
        return 0;
}

static int parse_hot_tier(const char *value, const IniPlace *place, void *member)
{
        AnonRule *anon = member;
        Tier tier = {};
        int r;

        if (*value != '\0') {
                r = parse_target_tier(value, place, &tier);
                if (r < 0)
                        return r;
        }

        anon->has_hot_tier = *value != '\0';
        anon->hot_tier = tier;
        return 0;
}

static int parse_boolean(const char *value, const IniPlace *place, void *member)
{
        return boolean_parse(value, member);
}

static int parse_existing(const char *value, const IniPlace *place, void *member)
{
        if (strcmp(value, "move") != 0 && strcmp(value, "leave") != 0)
                return -EINVAL;

        *(bool *)member = strcmp(value, "move") == 0;
        return 0;
}

/* More than no time at all. */
static int parse_time(const char *value, const IniPlace *place, void *member)
{
        uint64_t usec;
        int r;

        r = usec_parse(value, &usec);
        if (r < 0)
                return r;
        if (usec == 0)
                return -EINVAL;

        *(uint64_t *)member = usec;
        return 0;
}

static int parse_optional_time(const char *value, const IniPlace *place, void *member)
{
        if (*value != '\0')
                return parse_time(value, place, member);

        *(uint64_t *)member = RULE_UNSET;
        return 0;
}

static int parse_optional_size(const char *value, const IniPlace *place, void *member)
{
        if (*value != '\0' && strcmp(value, "infinity") != 0)
                return bytes_parse(value, member);

        *(uint64_t *)member = RULE_UNSET;
        return 0;
}

static int parse_rate(const char *value, const IniPlace *place, void *member)
{
        uint64_t bytes;
        int r;

        r = parse_optional_size(value, place, &bytes);
        if (r < 0)
                return r;
        if (bytes == 0)
                return -EINVAL;

        *(uint64_t *)member = bytes;
        return 0;
}

static const IniKey match_keys[] = {
        { "Cgroup", "", false, parse_cgroup, offsetof(Rule, cgroup),
          "a path from the cgroup2 root that begins with /; * and ? within one level, ** only as "
          "the last part: /a/**" },
        { "Exe", "", false, parse_path, offsetof(Rule, exe),
          "a glob on the executable's path, which begins with / or *" },
        { "User", "", false, parse_user, offsetof(Rule, user), "a user's name or numeric id" },
};

static const IniKey cow_keys[] = {
        { "File", "dax", false, parse_file, offsetof(Rule, cow),
          "dax, any, or a glob on the file's path, which begins with / or *" },
        { "Tier", "cheap", false, parse_tier, offsetof(Rule, cow.tier),
          "cheap, fast, default or node:LIST, such as node:2-3" },
        { "Strict", "no", false, parse_boolean, offsetof(Rule, cow.strict), "yes or no" },
        { "Existing", "move", false, parse_existing, offsetof(Rule, cow.move_existing),
          "move or leave" },
};

static const IniKey anon_keys[] = {
        { "Tier", "default", false, parse_tier, offsetof(Rule, anon.tier),
          "cheap, fast, default or node:LIST, such as node:2-3" },
        { "ColdAfter", "", false, parse_optional_time, offsetof(Rule, anon.cold_after_usec),
          "a time longer than zero, such as 30s or 1min 30s, or nothing" },
        { "ColdTier", "cheap", false, parse_target_tier, offsetof(Rule, anon.cold_tier),
          "cheap, fast or node:LIST, such as node:2-3" },
        { "HotTier", "fast", true, parse_hot_tier, offsetof(Rule, anon),
          "cheap, fast, node:LIST, such as node:2-3, or nothing" },
};

static const IniKey limits_keys[] = {
        { "CheapMax", "", false, parse_optional_size, offsetof(Rule, limits.cheap_max),
          "bytes, with K, M, G or T such as 512M, infinity, or nothing" },
        { "FastMax", "", false, parse_optional_size, offsetof(Rule, limits.fast_max),
          "bytes, with K, M, G or T such as 512M, infinity, or nothing" },
        { "MoveRate", "200M", false, parse_rate, offsetof(Rule, limits.move_rate),
          "more than 0 bytes per second, with K, M, G or T such as 200M, or infinity" },
        { "PauseMax", "1ms", false, parse_time, offsetof(Rule, limits.pause_max_usec),
          "a time longer than zero, such as 1ms" },
};

static const IniSection sections[] = {
        { "Match", NULL, match_keys, ARRAY_SIZE(match_keys), NULL },
        { "Cow", NULL, cow_keys, ARRAY_SIZE(cow_keys), NULL },
        { "Anon", NULL, anon_keys, ARRAY_SIZE(anon_keys), NULL },
        { "Limits", NULL, limits_keys, ARRAY_SIZE(limits_keys), NULL },
};

const IniSchema rule_schema = { sections, ARRAY_SIZE(sections), false };

int rule_parse(const char *file, const char *text, Rule *ret_rule, ConfigError *ret_error)
{
        _cleanup_(rule_deinit) Rule rule = {};
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
                inifile_set_defaults(&sections[i], &rule);

        r = inifile_parse(file, text, &rule_schema, &rule, ret_error);
        if (r < 0)
                return r;

        if (!rule.cgroup)
                return config_error_set(ret_error, file, 0,
                                        "no Cgroup= in [Match]: expected the cgroup that this "
                                        "policy is for, such as Cgroup=/machine.slice/**");

        rule.source = strdup(file);
        if (!rule.source)
                return -ENOMEM;

        *ret_rule = rule;
        rule = (Rule){};
        return 0;
}

void rule_deinit(Rule *rule)
{
        free(rule->source);
        free(rule->cgroup);
        free(rule->exe);
        free(rule->user);
        free(rule->cow.file);
        *rule = (Rule){};
}

uint64_t limits_pause_max_ns(const Limits *limits)
{
        return limits->pause_max_usec < UINT64_MAX / 1000u ? limits->pause_max_usec * 1000u
                                                           : UINT64_MAX;
}
