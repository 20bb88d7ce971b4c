/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/match.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <string.h>

/* The next level of a path, which @path is moved behind. An empty one: there is none left. */
static const char *take_level(const char **path, size_t *ret_length)
{
        const char *level;

        *path += strspn(*path, "/");
        level = *path;
        *ret_length = strcspn(level, "/");
        *path += *ret_length;
        return level;
}

static bool level_match(const char *pattern, size_t pattern_length, const char *level,
                        size_t length)
{
        char pattern_text[NAME_MAX + 1], text[NAME_MAX + 1];

        if (pattern_length > NAME_MAX || length > NAME_MAX)
                return false;

        memcpy(pattern_text, pattern, pattern_length);
        pattern_text[pattern_length] = '\0';
        memcpy(text, level, length);
        text[length] = '\0';
        return fnmatch(pattern_text, text, FNM_NOESCAPE) == 0;
}

typedef enum Fit {
        FIT_NO,
        FIT_BELOW, /* not @cgroup itself, but maybe one below it */
        FIT_YES,
} Fit;

static Fit cgroup_fit(const char *pattern, const char *cgroup)
{
        for (;;) {
                size_t pattern_length, length;
                const char *wanted = take_level(&pattern, &pattern_length);
                const char *level = take_level(&cgroup, &length);

                if (pattern_length == 2 && strncmp(wanted, "**", 2) == 0)
                        return FIT_YES;
                if (length == 0)
                        return pattern_length == 0 ? FIT_YES : FIT_BELOW;
                if (pattern_length == 0 || !level_match(wanted, pattern_length, level, length))
                        return FIT_NO;
        }
}

bool cgroup_match(const char *pattern, const char *cgroup)
{
        return cgroup_fit(pattern, cgroup) == FIT_YES;
}

bool cgroup_may_match_below(const char *pattern, const char *cgroup)
{
        return cgroup_fit(pattern, cgroup) != FIT_NO;
}

int cgroup_prefix(const char *pattern, char **ret_prefix)
{
        const char *at = pattern, *end = pattern;
        char *prefix;

        for (;;) {
                size_t length;
                const char *level = take_level(&at, &length);

                if (length == 0 || strcspn(level, "*?[") < length)
                        break;
                end = at;
        }

        prefix = end == pattern ? strdup("/") : strndup(pattern, (size_t)(end - pattern));
        if (!prefix)
                return -ENOMEM;

        *ret_prefix = prefix;
        return 0;
}

static bool rule_match(const Rule *rule, const Subject *subject)
{
        if (!cgroup_match(rule->cgroup, subject->cgroup))
                return false;
        if (rule->exe && (!subject->exe || fnmatch(rule->exe, subject->exe, 0) != 0))
                return false;

        return !rule->user || (rule->has_uid && rule->uid == subject->uid);
}

const Rule *policy_match(const Rule *rules, size_t n_rules, const Subject *subject)
{
        for (size_t i = 0; i < n_rules; i++)
                if (rule_match(&rules[i], subject))
                        return &rules[i];

        return NULL;
}

bool cow_may_match(const CowRule *cow, const Mapping *mapping)
{
        if (mapping->shared || mapping->inode == 0 || !mapping->file)
                return false;
        if (mapping->executable && !mapping->writable)
                return false;

        return cow->filter != FILE_FILTER_GLOB || fnmatch(cow->file, mapping->file, 0) == 0;
}

bool cow_match(const CowRule *cow, const Mapping *mapping)
{
        if (!cow_may_match(cow, mapping))
                return false;
        if (cow->filter == FILE_FILTER_DAX)
                return mapping->kind == MAPPING_DAX;

        return mapping->kind == MAPPING_DAX || mapping->kind == MAPPING_PAGE_CACHE;
}

bool stack_match(const Mapping *mapping)
{
        return mapping->inode == 0 && mapping->file && strcmp(mapping->file, "[stack]") == 0;
}

bool anon_match(const Mapping *mapping)
{
        if (mapping->shared || mapping->inode != 0)
                return false;

        return !mapping->file || strcmp(mapping->file, "[heap]") == 0 ||
               strncmp(mapping->file, "[anon:", strlen("[anon:")) == 0;
}
