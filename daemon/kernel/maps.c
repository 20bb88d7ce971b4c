/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/maps.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/kernel/lines.h"
#include "daemon/kernel/mapped.h"
#include "daemon/kernel/process.h"
#include "policy/macro.h"

#define DELETED " (deleted)"

/* Takes a number and the one character behind it off the front of *@text. */
static int take_number(const char **text, int base, char delimiter, uint64_t *ret_value)
{
        unsigned long long value;
        char *end;

        if (!isxdigit((unsigned char)**text))
                return -EBADMSG;

        errno = 0;
        value = strtoull(*text, &end, base);
        if (errno != 0 || *end != delimiter)
                return -EBADMSG;

        *text = end + (delimiter != '\0');
        *ret_value = value;
        return 0;
}

/* "rw-p " */
static int take_permissions(const char **text, Mapping *mapping)
{
        static const char on[] = "rwxs", off[] = "---p";
        bool bits[4];

        for (size_t i = 0; i < ARRAY_SIZE(bits); i++, (*text)++) {
                bits[i] = **text == on[i];
                if (!bits[i] && **text != off[i])
                        return -EBADMSG;
        }
        if (*(*text)++ != ' ')
                return -EBADMSG;

        mapping->readable = bits[0];
        mapping->writable = bits[1];
        mapping->executable = bits[2];
        mapping->shared = bits[3];
        return 0;
}

/* The kernel writes a newline in a name as \012 and leaves everything else as it is. */
static char *unescape(const char *escaped)
{
        char *name, *to;

        name = to = malloc(strlen(escaped) + 1);
        if (!name)
                return NULL;

        while (*escaped)
                if (strncmp(escaped, "\\012", 4) == 0) {
                        *to++ = '\n';
                        escaped += 4;
                } else
                        *to++ = *escaped++;
        *to = '\0';

        return name;
}

static int take_name(const char *text, Mapping *mapping)
{
        size_t length;

        text += strspn(text, " ");
        if (*text == '\0')
                return 0;

        mapping->file = unescape(text);
        if (!mapping->file)
                return -ENOMEM;

        length = strlen(mapping->file);
        if (mapping->inode != 0 && length > strlen(DELETED) &&
            strcmp(mapping->file + length - strlen(DELETED), DELETED) == 0) {
                mapping->file[length - strlen(DELETED)] = '\0';
                mapping->deleted = true;
        }

        return 0;
}

int maps_parse_line(const char *line, Mapping *ret_mapping)
{
        Mapping mapping = {};
        uint64_t major = 0, minor = 0;
        const char *end;
        int r;

        r = take_number(&line, 16, '-', &mapping.start);
        if (r >= 0)
                r = take_number(&line, 16, ' ', &mapping.end);
        if (r >= 0)
                r = take_permissions(&line, &mapping);
        if (r >= 0)
                r = take_number(&line, 16, ' ', &mapping.offset);
        if (r >= 0)
                r = take_number(&line, 16, ':', &major);
        if (r >= 0)
                r = take_number(&line, 16, ' ', &minor);
        if (r >= 0) {
                /* A VMA without a name ends with its inode and, on most kernels, a blank. */
                end = line + strspn(line, "0123456789");
                r = take_number(&line, 10, *end == ' ' ? ' ' : '\0', &mapping.inode);
        }
        if (r < 0)
                return r;
        if (mapping.start >= mapping.end || major > UINT32_MAX || minor > UINT32_MAX)
                return -EBADMSG;

        mapping.dev_major = (uint32_t)major;
        mapping.dev_minor = (uint32_t)minor;
        mapping.kind = mapping.inode != 0 ? MAPPING_FILE_UNKNOWN : MAPPING_ANON;

        r = take_name(line, &mapping);
        if (r < 0)
                return r;

        *ret_mapping = mapping;
        return 0;
}

void mappings_free(Mapping *mappings, size_t n_mappings)
{
        for (size_t i = 0; i < n_mappings; i++)
                mapping_deinit(&mappings[i]);
        free(mappings);
}

typedef struct MappingArray {
        Mapping *items;
        size_t n;
        size_t allocated;
} MappingArray;

static void mapping_array_deinit(MappingArray *array)
{
        mappings_free(array->items, array->n);
}

/* Takes what @mapping holds, on failure too. */
static int mapping_array_append(MappingArray *array, Mapping *mapping)
{
        if (array->n == array->allocated) {
                size_t larger = array->allocated > 0 ? array->allocated * 2 : 64;
                Mapping *items = reallocarray(array->items, larger, sizeof(*items));

                if (!items) {
                        mapping_deinit(mapping);
                        return -ENOMEM;
                }
                array->items = items;
                array->allocated = larger;
        }

        array->items[array->n++] = *mapping;
        return 0;
}

/* The next VMA; false at the end. */
static int next_mapping(int process_fd, Lines *lines, bool *ret_found, Mapping *ret_mapping)
{
        char *line = NULL;
        int r;

        r = lines_next(lines, &line);
        if (r < 0)
                return process_result(process_fd, r);

        *ret_found = line != NULL;
        return line ? maps_parse_line(line, ret_mapping) : 0;
}

/* Opens maps. A process without memory has none to open, or an empty one, as its kernel likes. */
static int open_maps(int process_fd, Lines *ret_lines)
{
        int r;

        r = lines_open(process_fd, "maps", MAPS_BYTES_MAX, ret_lines);
        return r < 0 ? process_result(process_fd, r) : 0;
}

int maps_read(int process_fd, Mapping **ret_mappings, size_t *ret_n_mappings)
{
        _cleanup_(mapping_array_deinit) MappingArray array = {};
        _cleanup_(lines_close) Lines lines = LINES_NONE;
        bool found = false;
        int r;

        r = open_maps(process_fd, &lines);
        if (r < 0 && r != -ESRCH)
                return r;

        while (r >= 0) {
                Mapping mapping;

                r = next_mapping(process_fd, &lines, &found, &mapping);
                if (r < 0 || !found)
                        break;
                r = mapping_array_append(&array, &mapping);
        }
        if (r < 0 && r != -ESRCH)
                return r;

        if (r < 0 || array.n == 0) {
                r = process_without_memory(process_fd);
                if (r < 0)
                        return r;
        }

        for (size_t i = 0; i < array.n; i++)
                mapped_settle_name(process_fd, &array.items[i]);

        *ret_mappings = TAKE_PTR(array.items);
        *ret_n_mappings = array.n;
        array.n = 0;
        return 0;
}

int mapping_find(int process_fd, uint64_t address, Mapping *ret_mapping)
{
        _cleanup_(lines_close) Lines lines = LINES_NONE;
        bool found, any = false;
        int r;

        r = open_maps(process_fd, &lines);
        while (r >= 0) {
                _cleanup_(mapping_deinit) Mapping mapping = {};

                r = next_mapping(process_fd, &lines, &found, &mapping);
                if (r < 0)
                        break;
                any = any || found;
                if (!found || mapping.start > address)
                        break;
                if (mapping.end <= address)
                        continue;

                mapped_settle_name(process_fd, &mapping);
                r = mapping_inspect(process_fd, &mapping);
                if (r < 0)
                        return r;

                *ret_mapping = mapping;
                mapping = (Mapping){};
                return 0;
        }

        if (r == -ESRCH || (r >= 0 && !any))
                r = process_without_memory(process_fd);
        return r < 0 ? r : -EFAULT;
}
