/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "policy/macro.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static bool is_continuation(unsigned char byte)
{
        return (byte & 0xc0) == 0x80;
}

/* Bytes of the well-formed UTF-8 character that @text begins with, 0 if it begins with none. The
 * limits on the second byte refuse overlong forms, surrogates and what is beyond U+10FFFF. */
static size_t utf8_length(const unsigned char *text)
{
        if (text[0] < 0x80)
                return 1;
        if (text[0] >= 0xc2 && text[0] <= 0xdf)
                return is_continuation(text[1]) ? 2 : 0;
        if ((text[0] & 0xf0) == 0xe0) {
                if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f))
                        return 0;
                return is_continuation(text[1]) && is_continuation(text[2]) ? 3 : 0;
        }
        if (text[0] >= 0xf0 && text[0] <= 0xf4) {
                if ((text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
                        return 0;
                return is_continuation(text[1]) && is_continuation(text[2]) &&
                                       is_continuation(text[3])
                               ? 4
                               : 0;
        }
        return 0;
}

struct json_object *json_text(const char *text)
{
        _cleanup_(freep) char *clean = NULL;
        size_t written = 0;

        clean = malloc(strlen(text) * strlen(REPLACEMENT) + 1);
        if (!clean)
                return NULL;

        while (*text) {
                size_t length = utf8_length((const unsigned char *)text);

                if (length > 0) {
                        memcpy(clean + written, text, length);
                        written += length;
                        text += length;
                } else {
                        memcpy(clean + written, REPLACEMENT, strlen(REPLACEMENT));
                        written += strlen(REPLACEMENT);
                        text++;
                }
        }
        clean[written] = '\0';

        return json_object_new_string(clean);
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
