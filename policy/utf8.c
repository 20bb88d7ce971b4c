/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/utf8.h"

#include <stdint.h>

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
                return text[0] == '\t' || (text[0] >= 0x20 && text[0] != 0x7f);

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
        if (character < 0xa0)
                return 0; /* C1 controls, which some terminals obey */

        return n;
}

bool utf8_is_text(const char *text, size_t length)
{
        const unsigned char *bytes = (const unsigned char *)text;

        while (length > 0) {
                size_t n = character_length(bytes, length);

                if (n == 0)
                        return false;
                bytes += n;
                length -= n;
        }

        return true;
}
