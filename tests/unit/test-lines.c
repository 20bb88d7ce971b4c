/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "daemon/kernel/lines.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

/* Reads to the end. Returns the number of lines, each of which must be @text @length times. */
static int count_lines(const Scratch *scratch, uint64_t max, size_t length)
{
        _cleanup_(lines_close) Lines lines = LINES_NONE;
        char *line;

        cr_assert_eq(lines_open(scratch->fd, "a", max, &lines), 0);
        for (int n = 0;; n++) {
                int r = lines_next(&lines, &line);

                if (r < 0)
                        return r;
                if (!line)
                        return n;
                cr_assert_eq(strlen(line), length, "line %d", n);
                cr_assert_eq(strspn(line, "x"), length, "line %d", n);
        }
}

Test(lines, are_whole_wherever_a_read_ends)
{
        static const size_t lengths[] = { 0, 1, 78, 4095, 9998, 9999, 10000, LINES_LINE_MAX };
        static char data[8 * (LINES_LINE_MAX + 1)];
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();

        for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
                size_t n = sizeof(data) / (lengths[i] + 1), size = n * (lengths[i] + 1);

                memset(data, 'x', sizeof(data));
                for (size_t j = 1; j <= n; j++)
                        data[j * (lengths[i] + 1) - 1] = '\n';

                scratch_write(&scratch, "a", data, size);
                cr_assert_eq(count_lines(&scratch, size, lengths[i]), (int)n);
                cr_assert_eq(count_lines(&scratch, size - 1, lengths[i]), -E2BIG);
                if (lengths[i] > 0) {
                        scratch_write(&scratch, "a", data, size - 1);
                        cr_assert_eq(count_lines(&scratch, size, lengths[i]), (int)n,
                                     "the last needs no newline");
                }
        }
}

Test(lines, end_where_there_is_nothing_and_refuse_the_endless)
{
        static char data[3 * LINES_LINE_MAX];
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        Lines lines;

        scratch_write(&scratch, "a", "", 0);
        cr_assert_eq(count_lines(&scratch, 100, 0), 0);

        memset(data, 'x', sizeof(data));
        scratch_write(&scratch, "a", data, sizeof(data));
        cr_assert_eq(count_lines(&scratch, sizeof(data), sizeof(data)), -E2BIG);

        cr_assert_eq(lines_open(scratch.fd, "none", 100, &lines), -ENOENT);
}
