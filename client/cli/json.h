/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>

/* What json-c leaves to its users. */

/* A JSON string. Names of files are any bytes and JSON is UTF-8: what is not becomes U+FFFD.
 * NULL: out of memory. */
struct json_object *json_text(const char *text);

/* Adds @value, which @object owns from now on, also when this fails. NULL is null. -ENOMEM. */
int json_add(struct json_object *object, const char *key, struct json_object *value);

/* Prints a document on standard output. -ENOMEM, or the errno of the write. */
int json_print(struct json_object *document);

static inline void json_putp(struct json_object **object)
{
        json_object_put(*object);
}
