/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* The length of the sequence that @lead begins and the bits it carries; 0: none. */
static size_t sequence_length(unsigned char lead, uint32_t *ret_bits)
{
        if (lead >= 0xc2 && lead < 0xe0) {
                *ret_bits = lead & 0x1fu;
                return 2;
        }
        if (lead >= 0xe0 && lead < 0xf0) {
                *ret_bits = lead & 0x0fu;
                return 3;
        }
        if (lead >= 0xf0 && lead < 0xf5) {
                *ret_bits = lead & 0x07u;
                return 4;
        }

        return 0;
}

/* The bytes of the well-formed character at @text, 0 if there is none. */
static size_t character_length(const unsigned char *text, size_t length)
{
        static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        uint32_t character;
        size_t n;

        if (text[0] < 0x80)
                return 1;

        n = sequence_length(text[0], &character);
        if (n == 0 || n > length)
                return 0;

        for (size_t i = 1; i < n; i++) {
                if ((text[i] & 0xc0u) != 0x80)
                        return 0;
                character = (character << 6) | (text[i] & 0x3fu);
        }

        if (character < smallest[n] || character > 0x10ffff ||
            (character >= 0xd800 && character < 0xe000))
                return 0;

        return n;
}

/* C0 and C1, which some terminals obey; not the tab. */
static bool is_control(const unsigned char *character)
{
        if (character[0] < 0x80)
                return character[0] != '\t' && (character[0] < 0x20 || character[0] == 0x7f);

        return character[0] == 0xc2 && character[1] < 0xa0;
}

bool utf8_is_text(const char *text, size_t length)
{
        const unsigned char *bytes = (const unsigned char *)text;

        while (length > 0) {
                size_t n = character_length(bytes, length);

                if (n == 0 || is_control(bytes))
                        return false;
                bytes += n;
                length -= n;
        }

        return true;
}

char *utf8_clean(const char *text)
{
        size_t left = strlen(text), written = 0;
        char *clean;

        clean = malloc(left * strlen(REPLACEMENT) + 1);
        if (!clean)
                return NULL;

        while (left > 0) {
                size_t n = character_length((const unsigned char *)text, left);
                size_t taken = n > 0 ? n : 1, given = n > 0 ? n : strlen(REPLACEMENT);

                memcpy(clean + written, n > 0 ? text : REPLACEMENT, given);
                written += given;
                text += taken;
                left -= taken;
        }
        clean[written] = '\0';

        return clean;
}
