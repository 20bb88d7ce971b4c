/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/inifile.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <string.h>

#include "policy/macro.h"
#include "policy/name.h"
#include "policy/utf8.h"

/* inih splits "KEY = VALUE". It is fed line by line, by parser_next_line(), because on its own it
 * guesses where we must refuse: as distributions build it, it goes on after an error and tells
 * nobody which line a key stood on, cuts a line at 200 bytes and takes the rest for another one,
 * cuts a section's name at 49, is silent about a section without keys and about text behind the
 * "]", joins an indented line to the value above it, and takes "KEY: VALUE". It calls the handler
 * before it asks for the next line, so the reader's line number is the handler's. */

typedef struct Parser Parser;

struct Parser {
        const IniSchema *schema;
        void *object;

        const char *rest; /* of the text */
        IniPlace place;   /* the line read last */

        const IniSection *section; /* NULL: none yet, or (lenient) one to pass over */
        void *target;

        int result;
        ConfigError error;
};

#define parser_fail(parser, ...)                                                                   \
        ((parser)->result = config_error_set(&(parser)->error, (parser)->place.file,               \
                                             (parser)->place.line, __VA_ARGS__))

static const IniKey *section_find_key(const IniSection *section, const char *name)
{
        for (size_t i = 0; i < section->n_keys; i++)
                if (strcmp(section->keys[i].name, name) == 0)
                        return &section->keys[i];

        return NULL;
}

static const IniKey *section_nearest_key(const IniSection *section, const char *name)
{
        const IniKey *nearest = section->keys;

        for (size_t i = 1; i < section->n_keys; i++)
                if (name_distance(name, section->keys[i].name) < name_distance(name, nearest->name))
                        nearest = &section->keys[i];

        return nearest;
}

static const IniSection *schema_find_section(const IniSchema *schema, const char *name)
{
        for (size_t i = 0; i < schema->n_sections; i++)
                if (strcmp(schema->sections[i].name, name) == 0)
                        return &schema->sections[i];

        return NULL;
}

static const IniSection *schema_nearest_section(const IniSchema *schema, const char *name)
{
        const IniSection *nearest = schema->sections;

        for (size_t i = 1; i < schema->n_sections; i++)
                if (name_distance(name, schema->sections[i].name) <
                    name_distance(name, nearest->name))
                        nearest = &schema->sections[i];

        return nearest;
}

static const IniSection *schema_find_section_of_key(const IniSchema *schema, const char *key)
{
        for (size_t i = 0; i < schema->n_sections; i++)
                if (section_find_key(&schema->sections[i], key))
                        return &schema->sections[i];

        return NULL;
}

/* The next line of the text, without the newline; NULL at the end. */
static const char *parser_take_line(Parser *parser, size_t *ret_length)
{
        const char *line = parser->rest;
        size_t length;

        if (*line == '\0')
                return NULL;

        length = strcspn(line, "\n");
        parser->rest = line + length + (line[length] == '\n');
        parser->place.line++;

        *ret_length = length;
        return line;
}

static size_t trim(const char **line, size_t length)
{
        while (length > 0 && isspace((unsigned char)(*line)[length - 1]))
                length--;
        while (length > 0 && isspace((unsigned char)**line)) {
                (*line)++;
                length--;
        }

        return length;
}

/* Cuts a remark behind white space, as in "Zone=movable  # so that it can leave". */
static void cut_remark(char *line)
{
        for (size_t i = 1; line[i] != '\0'; i++)
                if ((line[i] == '#' || line[i] == ';') && isspace((unsigned char)line[i - 1])) {
                        line[i] = '\0';
                        break;
                }

        for (size_t i = strlen(line); i > 0 && isspace((unsigned char)line[i - 1]); i--)
                line[i - 1] = '\0';
}

static void parser_enter_section(Parser *parser, char *heading)
{
        size_t length = strlen(heading);
        char *name = heading + 1, *argument;
        const IniSection *section;
        void *target = parser->object;
        int r = 0;

        if (heading[length - 1] != ']') {
                parser_fail(parser, "%s: expected a ] at the end of the section's name", heading);
                return;
        }
        heading[length - 1] = '\0';
        argument = name + strcspn(name, " \t");
        if (*argument != '\0') {
                *argument++ = '\0';
                argument += strspn(argument, " \t");
        }

        section = parser->section = schema_find_section(parser->schema, name);
        if (!section) {
                if (!parser->schema->lenient)
                        parser_fail(parser, "unknown section [%s]; did you mean [%s]?", name,
                                    schema_nearest_section(parser->schema, name)->name);
                return;
        }

        if (!section->argument && *argument != '\0')
                r = -EINVAL;
        else if (section->enter)
                r = section->enter(parser->object, argument, &target);
        parser->target = target;

        if (r == -EINVAL && parser->schema->lenient)
                parser->section = NULL;
        else if (r == -EINVAL && !section->argument)
                parser_fail(parser, "[%s %s]: expected [%s] alone", name, argument, name);
        else if (r == -EINVAL)
                parser_fail(parser, "[%s%s%s]: expected %s", name, *argument ? " " : "", argument,
                            section->argument);
        else if (r == -E2BIG)
                parser_fail(parser, "[%s %s]: too many such sections", name, argument);
        else
                parser->result = r;
}

/* Whether inih will see in the line what a person sees: a key, "=" and a value. */
static bool is_assignment(const char *line)
{
        return isalpha((unsigned char)*line) && line[strcspn(line, "=:")] == '=';
}

/* What inih calls like fgets(3): the next assignment into @buffer, or NULL at the end or once
 * anything is wrong. */
static char *parser_next_line(char *buffer, int size, void *userdata)
{
        Parser *parser = userdata;
        const char *line;
        size_t length;

        while (parser->result == 0 && (line = parser_take_line(parser, &length))) {
                length = trim(&line, length);
                if (length == 0 || *line == '#' || *line == ';')
                        continue;

                /* A full buffer without a newline makes some builds of inih ask for more. */
                if (length + 2 > (size_t)size) {
                        parser_fail(parser,
                                    "the line has %zu bytes: expected at most %d; shorten a path "
                                    "with *",
                                    length, size - 2);
                        break;
                }
                if (!utf8_is_text(line, length)) {
                        parser_fail(parser, "expected UTF-8 text without control characters");
                        break;
                }

                memcpy(buffer, line, length);
                buffer[length] = '\0';
                cut_remark(buffer);

                if (*buffer == '[') {
                        parser_enter_section(parser, buffer);
                        continue;
                }
                if (is_assignment(buffer))
                        return buffer;

                parser_fail(parser, "%s: expected KEY=VALUE, a [Section] or a # remark", buffer);
        }

        return NULL;
}

static void parser_fail_key(Parser *parser, const char *key)
{
        const IniSection *home = schema_find_section_of_key(parser->schema, key);

        if (!parser->section && home)
                parser_fail(parser, "%s= stands before any section; it belongs in [%s]", key,
                            home->name);
        else if (!parser->section)
                parser_fail(parser, "%s= stands before any section; expected a [Section] first",
                            key);
        else if (home)
                parser_fail(parser, "%s= does not belong in [%s]; it belongs in [%s]", key,
                            parser->section->name, home->name);
        else
                parser_fail(parser, "unknown key %s= in [%s]; did you mean %s=?", key,
                            parser->section->name, section_nearest_key(parser->section, key)->name);
}

/* What inih calls for each assignment. Its own idea of the section is not used. */
static int parser_assign(void *userdata, const char *section, const char *name, const char *value)
{
        Parser *parser = userdata;
        const IniKey *key = parser->section ? section_find_key(parser->section, name) : NULL;
        const char *text = value;
        int r;

        if (!key) {
                if (!parser->schema->lenient)
                        parser_fail_key(parser, name);
                return parser->result == 0;
        }

        if (*value == '\0' && !key->empty_is_unset)
                text = key->fallback;

        r = key->parse(text, &parser->place, (char *)parser->target + key->offset);
        if (r == -EINVAL)
                parser_fail(parser, "%s=%s: expected %s", name, value, key->expected);
        else if (r == -ERANGE)
                parser_fail(parser, "%s=%s is too large: expected %s", name, value, key->expected);
        else
                parser->result = r;

        return parser->result == 0;
}

void inifile_set_defaults(const IniSection *section, void *target)
{
        static const IniPlace built_in = {};

        for (size_t i = 0; i < section->n_keys; i++) {
                const IniKey *key = &section->keys[i];
                int r = key->parse(key->fallback, &built_in, (char *)target + key->offset);

                /* Defaults are constants that a unit test sets, and hold no allocated text. */
                assert(r == 0);
                (void)r;
        }
}

int inifile_parse(const char *file, const char *text, const IniSchema *schema, void *object,
                  ConfigError *ret_error)
{
        static const char byte_order_mark[] = "\xef\xbb\xbf";
        Parser parser = {
                .schema = schema,
                .object = object,
                .rest = text,
                .place.file = file,
        };
        int r;

        if (strncmp(text, byte_order_mark, strlen(byte_order_mark)) == 0)
                parser.rest += strlen(byte_order_mark);

        r = ini_parse_stream(parser_next_line, &parser, parser_assign, &parser);
        if (r == -2)
                parser.result = -ENOMEM; /* its line buffer, where it is on the heap */
        assert(r <= 0 || parser.result < 0);

        if (parser.result < 0 && ret_error)
                *ret_error = parser.error;
        else
                config_error_deinit(&parser.error);
        return parser.result;
}
