/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/number.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool number_parse(const char *text, uint64_t max, uint64_t *ret_number)
{
        bool hexadecimal = strncmp(text, "0x", 2) == 0;
        uint64_t number;
        char *end;

        if (!isxdigit((unsigned char)*text))
                return false;
        errno = 0;
        number = strtoull(text, &end, hexadecimal ? 16 : 10);
        if (errno != 0 || *end != '\0' || number > max)
                return false;

        *ret_number = number;
        return true;
}
