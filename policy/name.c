/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/name.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define KNOWN_MAX 64u

static unsigned min(unsigned a, unsigned b)
{
        return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
        return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* One more letter of @name (its @i-th, from 1) against every prefix of @known. @row is to be filled,
 * @above is that of the letter before it, @two_above of the one before that. */
static void distance_row(const char *name, unsigned i, const char *known, size_t length,
                         unsigned *row, const unsigned *above, const unsigned *two_above)
{
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
                unsigned changed = above[j - 1] + !same_letter(name[i - 1], known[j - 1]);

                row[j] = min(changed, min(above[j], row[j - 1]) + 1);
                if (i > 1 && j > 1 && same_letter(name[i - 1], known[j - 2]) &&
                    same_letter(name[i - 2], known[j - 1]))
                        row[j] = min(row[j], two_above[j - 2] + 1);
        }
}

unsigned name_distance(const char *name, const char *known)
{
        unsigned rows[3][KNOWN_MAX];
        size_t length = strlen(known);
        unsigned i = 0;

        assert(length < KNOWN_MAX);
        for (size_t j = 0; j <= length; j++)
                rows[0][j] = (unsigned)j;

        while (name[i] != '\0') {
                i++;
                distance_row(name, i, known, length, rows[i % 3], rows[(i + 2) % 3],
                             rows[(i + 1) % 3]);
        }

        return rows[i % 3][length];
}
