/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/json.h"

#include <errno.h>
#include <stdio.h>

#include "policy/macro.h"
#include "policy/utf8.h"

struct json_object *json_text(const char *text)
{
        _cleanup_(freep) char *clean = utf8_clean(text);

        return clean ? json_object_new_string(clean) : NULL;
}

int json_add(struct json_object *object, const char *key, struct json_object *value)
{
        if (json_object_object_add(object, key, value) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

int json_print(struct json_object *document)
{
        const char *text = json_object_to_json_string_ext(
                document, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);

        if (!text)
                return -ENOMEM;
        if (fputs(text, stdout) == EOF || fputc('\n', stdout) == EOF)
                return -errno;
        return 0;
}
