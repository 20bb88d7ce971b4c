/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "daemon/kernel/attr.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

Test(attr, reads_a_line_without_its_newline)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        char text[8];

        scratch_write(&scratch, "a", "online\n", 7);
        cr_assert_eq(attr_read(scratch.fd, "a", text, sizeof(text)), 6);
        cr_assert_str_eq(text, "online");

        scratch_write(&scratch, "a", "two\n\n", 5);
        cr_assert_eq(attr_read(scratch.fd, "a", text, sizeof(text)), 4);
        cr_assert_str_eq(text, "two\n", "only one newline is the file's, the other is the value's");

        scratch_write(&scratch, "a", "", 0);
        cr_assert_eq(attr_read(scratch.fd, "a", text, sizeof(text)), 0);
        cr_assert_str_eq(text, "");

        cr_assert_eq(attr_read(scratch.fd, "none", text, sizeof(text)), -ENOENT);
}

Test(attr, refuses_what_does_not_fit)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        char text[8];

        scratch_write(&scratch, "a", "1234567", 7);
        cr_assert_eq(attr_read(scratch.fd, "a", text, sizeof(text)), 7);
        scratch_write(&scratch, "a", "12345678", 8);
        cr_assert_eq(attr_read(scratch.fd, "a", text, sizeof(text)), -E2BIG);
}

Test(attr, reads_numbers_and_nothing_else)
{
        static const struct {
                const char *text;
                int result;
                uint64_t value;
        } cases[] = {
                { "0\n", 0, 0 },
                { "18446744073709551615\n", 0, UINT64_MAX },
                { "0x140000000\n", 0, 0x140000000 },
                { "18446744073709551616\n", -EBADMSG, 0 },
                { "-1\n", -EBADMSG, 0 },
                { "+1\n", -EBADMSG, 0 },
                { " 1\n", -EBADMSG, 0 },
                { "12k\n", -EBADMSG, 0 },
                { "beef\n", -EBADMSG, 0 },
                { "0x\n", -EBADMSG, 0 },
                { "0x0x1\n", -EBADMSG, 0 },
                { "\n", -EBADMSG, 0 },
                { "0000000000000000000000000000000000000001\n", -EBADMSG, 0 },
        };
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                uint64_t value = 77;

                scratch_write(&scratch, "a", cases[i].text, strlen(cases[i].text));
                cr_assert_eq(attr_read_u64(scratch.fd, "a", &value), cases[i].result, "%s",
                             cases[i].text);
                cr_assert_eq(value, cases[i].result < 0 ? 77 : cases[i].value, "%s", cases[i].text);
        }
}

Test(attr, writes_exactly_the_text_and_never_creates)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        char text[32];

        scratch_write(&scratch, "a", "online_movable\n", 15);
        cr_assert_eq(attr_write(scratch.fd, "a", "offline"), 0);
        cr_assert_eq(attr_read(scratch.fd, "a", text, sizeof(text)), 7);
        cr_assert_str_eq(text, "offline");
        cr_assert_eq(attr_write(scratch.fd, "none", "offline"), -ENOENT);
        cr_assert_eq(attr_write(scratch.fd, ".", "offline"), -EISDIR);
}

Test(attr, reads_all_up_to_a_bound)
{
        static char data[100000];
        static const size_t sizes[] = { 0, 1, 8191, 8192, 8193, 16384, 100000 };
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();

        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (char)('a' + i % 26);

        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                _cleanup_(freep) char *text = NULL;
                size_t size = 77;

                scratch_write(&scratch, "a", data, sizes[i]);
                if (sizes[i] > 0) {
                        cr_assert_eq(attr_read_all(scratch.fd, "a", sizes[i] - 1, &text, &size),
                                     -E2BIG);
                        cr_assert_null(text);
                        cr_assert_eq(size, 77);
                }
                cr_assert_eq(attr_read_all(scratch.fd, "a", sizes[i], &text, &size), 0);
                cr_assert_eq(size, sizes[i]);
                cr_assert_eq(memcmp(text, data, size), 0);
                cr_assert_eq(text[size], '\0');
        }
}
