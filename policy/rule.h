/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/configerror.h"
#include "policy/inifile.h"
#include "policy/tier.h"

typedef struct Rule Rule;
typedef struct CowRule CowRule;
typedef struct AnonRule AnonRule;
typedef struct Limits Limits;

/* A time or size that the file left empty. */
#define RULE_UNSET UINT64_MAX

/* [Cow] File= */
typedef enum FileFilter {
        FILE_FILTER_DAX,
        FILE_FILTER_ANY,
        FILE_FILTER_GLOB, /* .file is an fnmatch() pattern on the path */
} FileFilter;

/* [Cow]: the copies of private file mappings. */
struct CowRule {
        FileFilter filter;
        char *file;
        Tier tier;
        bool strict;        /* bind instead of prefer */
        bool move_existing; /* Existing=move */
};

/* [Anon] */
struct AnonRule {
        Tier tier;
        uint64_t cold_after_usec; /* RULE_UNSET: off */
        Tier cold_tier;
        bool has_hot_tier;
        Tier hot_tier;
};

/* [Limits]. Bytes and bytes per second; RULE_UNSET: no limit. */
struct Limits {
        uint64_t cheap_max;
        uint64_t fast_max;
        uint64_t move_rate;
        uint64_t pause_max_usec;
};

/* One policy file. */
struct Rule {
        char *source; /* the file's path */
        char *cgroup; /* never NULL in a rule that rule_parse() made */
        char *exe;    /* NULL: any */
        char *user;   /* NULL: any */
        bool has_uid; /* .uid is .user's; without it a rule with a user matches nobody */
        uint32_t uid;
        CowRule cow;
        AnonRule anon;
        Limits limits;
};

/* What a policy file may say; its man page is checked against this. */
extern const IniSchema rule_schema;

/* Parses one policy file's @text. -EBADMSG: @ret_error says where it is wrong and what was
 * expected; a missing [Match] Cgroup= is such an error. -ENOMEM. */
int rule_parse(const char *file, const char *text, Rule *ret_rule, ConfigError *ret_error);
void rule_deinit(Rule *rule);

/* PauseMax= in nanoseconds; UINT64_MAX: no limit. */
uint64_t limits_pause_max_ns(const Limits *limits);
