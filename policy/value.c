/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/value.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "policy/macro.h"

typedef struct Unit Unit;

struct Unit {
        const char *name;
        uint64_t size;
};

/* Microseconds. Case matters: "m" is a minute, "M" a month. */
static const Unit time_units[] = {
        { "seconds", 1000000 },
        { "second", 1000000 },
        { "sec", 1000000 },
        { "s", 1000000 },
        { "minutes", 60000000 },
        { "minute", 60000000 },
        { "min", 60000000 },
        { "m", 60000000 },
        { "months", 2629800000000 },
        { "month", 2629800000000 },
        { "M", 2629800000000 },
        { "msec", 1000 },
        { "ms", 1000 },
        { "usec", 1 },
        { "us", 1 },
        { "\xce\xbcs", 1 }, /* Greek mu */
        { "\xc2\xb5s", 1 }, /* the micro sign */
        { "hours", 3600000000 },
        { "hour", 3600000000 },
        { "hr", 3600000000 },
        { "h", 3600000000 },
        { "days", 86400000000 },
        { "day", 86400000000 },
        { "d", 86400000000 },
        { "weeks", 604800000000 },
        { "week", 604800000000 },
        { "w", 604800000000 },
        { "years", 31557600000000 },
        { "year", 31557600000000 },
        { "y", 31557600000000 },
        { "", 1000000 },
};

static const Unit size_units[] = {
        { "B", 1 },
        { "K", UINT64_C(1) << 10 },
        { "M", UINT64_C(1) << 20 },
        { "G", UINT64_C(1) << 30 },
        { "T", UINT64_C(1) << 40 },
        { "P", UINT64_C(1) << 50 },
        { "E", UINT64_C(1) << 60 },
        { "", 1 },
};

int boolean_parse(const char *text, bool *ret_value)
{
        static const char *const yes[] = { "yes", "y", "true", "t", "on", "1" };
        static const char *const no[] = { "no", "n", "false", "f", "off", "0" };

        for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
                if (strcasecmp(text, yes[i]) == 0) {
                        *ret_value = true;
                        return 0;
                }
                if (strcasecmp(text, no[i]) == 0) {
                        *ret_value = false;
                        return 0;
                }
        }

        return -EINVAL;
}

static const char *skip_space(const char *text)
{
        return text + strspn(text, " \t");
}

/* The unit whose name is all the letters at @text. Bytes past ASCII are the two mu's. */
static const Unit *unit_find(const Unit *units, size_t n_units, const char *text,
                             size_t *ret_length)
{
        size_t length = 0;

        while (isalpha((unsigned char)text[length]) || (unsigned char)text[length] >= 0x80)
                length++;

        for (size_t i = 0; i < n_units; i++)
                if (strlen(units[i].name) == length && strncmp(units[i].name, text, length) == 0) {
                        *ret_length = length;
                        return &units[i];
                }

        return NULL;
}

/* The digits behind a decimal point, as a part of @unit; what is below 1 is cut. */
static uint64_t fraction_scale(const char *digits, size_t n_digits, uint64_t unit)
{
        uint64_t sum = 0;

        /* Horner's rule from the last digit; 2^60, our largest unit, leaves room for the 9. */
        while (n_digits > 0) {
                uint64_t digit = (uint64_t)(digits[--n_digits] - '0');

                sum = (digit * unit + sum) / 10;
        }

        return sum;
}

/* One "12.5 min" at *@text, which moves behind it. */
static int term_parse(const char **text, const Unit *units, size_t n_units, uint64_t *ret_value)
{
        const char *p = *text, *fraction;
        uint64_t value = 0;
        size_t n_fraction = 0, length;
        const Unit *unit;

        /* ".5s" is half a second. */
        if (!isdigit((unsigned char)p[*p == '.']))
                return -EINVAL;

        for (; isdigit((unsigned char)*p); p++)
                if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
                    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
                        return -ERANGE;

        fraction = p + 1;
        if (*p == '.') {
                n_fraction = strspn(fraction, "0123456789");
                if (n_fraction == 0)
                        return -EINVAL;
                p = fraction + n_fraction;
        }

        if (*p == '.')
                return -EINVAL; /* "1.5.5s" is not 1.5 and .5s */
        p = skip_space(p);
        unit = unit_find(units, n_units, p, &length);
        if (!unit)
                return -EINVAL;

        if (__builtin_mul_overflow(value, unit->size, &value) ||
            __builtin_add_overflow(value, fraction_scale(fraction, n_fraction, unit->size), &value))
                return -ERANGE;

        *text = skip_space(p + length);
        *ret_value = value;
        return 0;
}

int usec_parse(const char *text, uint64_t *ret_usec)
{
        uint64_t usec = 0;

        text = skip_space(text);
        do {
                uint64_t term;
                int r = term_parse(&text, time_units, ARRAY_SIZE(time_units), &term);

                if (r < 0)
                        return r;
                if (__builtin_add_overflow(usec, term, &usec))
                        return -ERANGE;
        } while (*text != '\0');

        if (usec == UINT64_MAX)
                return -ERANGE; /* means "no limit" elsewhere */

        *ret_usec = usec;
        return 0;
}

int bytes_parse(const char *text, uint64_t *ret_bytes)
{
        uint64_t bytes;
        int r;

        text = skip_space(text);
        r = term_parse(&text, size_units, ARRAY_SIZE(size_units), &bytes);
        if (r < 0)
                return r;
        if (*text != '\0')
                return -EINVAL;
        if (bytes == UINT64_MAX)
                return -ERANGE; /* means "no limit" elsewhere */

        *ret_bytes = bytes;
        return 0;
}
