/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>

#include "policy/macro.h"
#include "policy/name.h"
#include "policy/utf8.h"
#include "policy/value.h"

Test(value, reads_times_as_systemd_does)
{
        static const struct {
                const char *text;
                uint64_t usec;
        } times[] = {
                { "30", 30000000 },      { "30s", 30000000 },       { "1min 30s", 90000000 },
                { "1min30s", 90000000 }, { "500ms", 500000 },       { "2h", 7200000000 },
                { "1.5s", 1500000 },     { ".5s", 500000 },         { "0.25h", 900000000 },
                { " 2 h ", 7200000000 }, { "1ms", 1000 },           { "3us", 3 },
                { "3\xc2\xb5s", 3 },     { "1w 1d", 691200000000 }, { "0", 0 },
                { "1m", 60000000 },      { "1M", 2629800000000 },   { "1min 30", 90000000 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
                uint64_t usec = 77;

                cr_assert_eq(usec_parse(times[i].text, &usec), 0, "%s", times[i].text);
                cr_assert_eq(usec, times[i].usec, "%s: %ju", times[i].text, (uintmax_t)usec);
        }
}

Test(value, refuses_what_is_no_time_and_leaves_the_output)
{
        static const char *const bad[] = { "",     " ",      "s",    "-1s",    "1x",
                                           "1.s",  ".s",     "..5s", "1.5.5s", "1,5s",
                                           "30 S", "1s foo", "0x10", "1e3",    "1s,2s" };
        uint64_t usec = 77;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                cr_expect_eq(usec_parse(bad[i], &usec), -EINVAL, "%s", bad[i]);

        cr_expect_eq(usec_parse("18446744073709551616", &usec), -ERANGE);
        cr_expect_eq(usec_parse("600000y", &usec), -ERANGE);
        cr_expect_eq(usec_parse("500000y 500000y", &usec), -ERANGE);
        cr_expect_eq(usec_parse("18446744073709551615us", &usec), -ERANGE);
        cr_expect_eq(usec, 77);
}

Test(value, reads_sizes_in_powers_of_1024)
{
        static const struct {
                const char *text;
                uint64_t bytes;
        } sizes[] = {
                { "0", 0 },
                { "4096", 4096 },
                { "200M", UINT64_C(200) << 20 },
                { "1K", 1024 },
                { "3 G", UINT64_C(3) << 30 },
                { "1.5T", UINT64_C(3) << 39 },
                { "0.999999999999999999E", UINT64_C(1152921504606846974) },
                { "12B", 12 },
        };
        static const char *const bad[] = { "", "M", "-1", "1KB", "1k", "1M 1K", "1X", "10%" };
        uint64_t bytes;

        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                cr_assert_eq(bytes_parse(sizes[i].text, &bytes), 0, "%s", sizes[i].text);
                cr_assert_eq(bytes, sizes[i].bytes, "%s: %ju", sizes[i].text, (uintmax_t)bytes);
        }

        bytes = 77;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                cr_expect_eq(bytes_parse(bad[i], &bytes), -EINVAL, "%s", bad[i]);
        cr_expect_eq(bytes_parse("16E", &bytes), -ERANGE);
        cr_expect_eq(bytes, 77);
}

Test(value, reads_booleans_as_systemd_does)
{
        static const char *const yes[] = { "yes", "Y", "TRUE", "t", "on", "1" };
        static const char *const no[] = { "no", "n", "False", "f", "OFF", "0" };
        bool value;

        for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
                value = false;
                cr_expect_eq(boolean_parse(yes[i], &value), 0);
                cr_expect(value, "%s", yes[i]);
                cr_expect_eq(boolean_parse(no[i], &value), 0);
                cr_expect_not(value, "%s", no[i]);
        }

        cr_expect_eq(boolean_parse("", &value), -EINVAL);
        cr_expect_eq(boolean_parse("maybe", &value), -EINVAL);
        cr_expect_eq(boolean_parse("10", &value), -EINVAL);
}

Test(value, counts_the_letters_between_two_names)
{
        cr_expect_eq(name_distance("Zone", "Zone"), 0);
        cr_expect_eq(name_distance("zone", "Zone"), 0);
        cr_expect_eq(name_distance("Zoen", "Zone"), 1);
        cr_expect_eq(name_distance("Zne", "Zone"), 1);
        cr_expect_eq(name_distance("Zones", "Zone"), 1);
        cr_expect_eq(name_distance("Zope", "Zone"), 1);
        cr_expect_eq(name_distance("", "Zone"), 4);
        cr_expect_eq(name_distance("Zone", ""), 4);
        cr_expect_eq(name_distance("kitten", "sitting"), 3);
}

Test(value, knows_text_that_can_be_shown)
{
        static const char *const good[] = { "", "plain", "a\tb", "dé", "→", "\xf0\x9f\x90\xa7" };
        static const char *const bad[] = {
                "\x01",
                "\x7f",
                "a\rb",
                "\x1b[31m",
                "\xff",
                "\xc3",
                "\xc0\xaf",
                "\xe0\x80\x80",
                "\xed\xa0\x80",
                "\xf4\x90\x80\x80",
                "\xf8\x88\x80\x80\x80",
                "\xc2\x9b",
                "caf\xe9",
        };

        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                cr_expect(utf8_is_text(good[i], strlen(good[i])), "good %zu", i);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                cr_expect_not(utf8_is_text(bad[i], strlen(bad[i])), "bad %zu", i);
        cr_expect_not(utf8_is_text("a\0b", 3));
}
