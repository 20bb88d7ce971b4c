/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "policy/configerror.h"

typedef struct IniKey IniKey;
typedef struct IniPlace IniPlace;
typedef struct IniSchema IniSchema;
typedef struct IniSection IniSection;

/* Where an assignment stands. */
struct IniPlace {
        const char *file;
        unsigned line;
};

/* Reads @value into @member. -EINVAL or -ERANGE: not what the key expects; -ENOMEM. An empty @value
 * only comes to keys whose default is empty, or that say .empty_is_unset. */
typedef int (*ini_value_fn)(const char *value, const IniPlace *place, void *member);

/* KEY=: how it is read and where it goes. */
struct IniKey {
        const char *name;
        const char *fallback; /* the default, as one would write it; an empty assignment means it */
        bool empty_is_unset;  /* … unless empty has a meaning of its own */
        ini_value_fn parse;
        size_t offset;        /* into the section's target */
        const char *expected; /* ends "…: expected " */
};

/* [NAME] or [NAME ARGUMENT] */
struct IniSection {
        const char *name;
        const char *argument; /* what is expected there; NULL: the section takes none */
        const IniKey *keys;
        size_t n_keys;

        /* What the section's keys fill: NULL, the object itself. -EINVAL: @argument is not one;
         * -E2BIG: one too many. */
        int (*enter)(void *object, const char *argument, void **ret_target);
};

/* All that a file may say. */
struct IniSchema {
        const IniSection *sections;
        size_t n_sections;
        bool lenient; /* pass over sections and keys that are not known (a newer writer's) */
};

/* Sets every key of @section to its default. @target holds nothing to free. */
void inifile_set_defaults(const IniSection *section, void *target);

/* Reads the @text of the file named @file into @object, assignment after assignment. Stops at the
 * first error: -EBADMSG, and @ret_error (may be NULL) says where and why. -ENOMEM. */
int inifile_parse(const char *file, const char *text, const IniSchema *schema, void *object,
                  ConfigError *ret_error);
