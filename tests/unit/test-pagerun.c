/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include "daemon/kernel/pagerun.h"

#define PAGE ((size_t)4096)

Test(pagerun, of_addresses_takes_in_small_gaps)
{
        CopyPage pages[] = { { .address = 0x1000 },
                             { .address = 0x2000 },
                             { .address = 0x5000 },
                             { .address = 0x9000 } };
        PageRun runs[4];
        size_t used;

        cr_assert_eq(page_runs_virtual(pages, 4, PAGE, 0, runs, 4, &used), 3);
        cr_assert_eq(used, 4);
        cr_assert_eq(runs[0].start, 0x1000);
        cr_assert_eq(runs[0].end, 0x3000);
        cr_assert_eq(page_runs_bytes(runs, 3), 4 * PAGE);

        cr_assert_eq(page_runs_virtual(pages, 4, PAGE, 2, runs, 4, &used), 2);
        cr_assert_eq(runs[0].end, 0x6000);
        cr_assert_eq(runs[1].start, 0x9000);
}

Test(pagerun, of_frames_has_no_gaps)
{
        CopyPage pages[] = {
                { .frame = 9 }, { .frame = 4 }, { .frame = 5 }, { .frame = 7 }, { .frame = 5 }
        };
        PageRun runs[4];
        size_t used;

        cr_assert_eq(page_runs_physical(pages, 5, PAGE, runs, 4, &used), 3);
        cr_assert_eq(used, 5);
        cr_assert_eq(runs[0].start, 4 * PAGE);
        cr_assert_eq(runs[0].end, 6 * PAGE);
        cr_assert_eq(runs[1].start, 7 * PAGE);
        cr_assert_eq(runs[2].start, 9 * PAGE);
        cr_assert_eq(page_runs_bytes(runs, 3), 4 * PAGE);
}

Test(pagerun, ends_before_one_too_many)
{
        CopyPage pages[] = { { .address = 0x1000, .frame = 1 },
                             { .address = 0x3000, .frame = 3 },
                             { .address = 0x4000, .frame = 4 },
                             { .address = 0x6000, .frame = 6 } };
        PageRun runs[2];
        size_t used;

        cr_assert_eq(page_runs_virtual(pages, 4, PAGE, 0, runs, 2, &used), 2);
        cr_assert_eq(used, 3);
        cr_assert_eq(page_runs_physical(pages, 4, PAGE, runs, 2, &used), 2);
        cr_assert_eq(used, 3);
}

Test(pagerun, is_short_enough_to_wait_for)
{
        enum { N = 2 * PAGE_RUN_MAX + 1 };
        CopyPage pages[N];
        PageRun runs[4];
        size_t used;

        for (size_t i = 0; i < N; i++)
                pages[i] = (CopyPage){ .address = (i + 7) * PAGE, .frame = i + 7 };

        cr_assert_eq(page_runs_virtual(pages, N, PAGE, 16, runs, 4, &used), 3);
        cr_assert_eq(runs[0].end - runs[0].start, PAGE_RUN_MAX * PAGE);
        cr_assert_eq(runs[1].start, runs[0].end);
        cr_assert_eq(page_runs_physical(pages, N, PAGE, runs, 4, &used), 3);
        cr_assert_eq(runs[0].end - runs[0].start, PAGE_RUN_MAX * PAGE);
        cr_assert_eq(page_runs_bytes(runs, 3), N * PAGE);
}
