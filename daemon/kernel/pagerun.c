/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/pagerun.h"

#include <stdlib.h>

size_t page_runs_virtual(const CopyPage *pages, size_t n, uint64_t page_size, uint64_t gap,
                         PageRun *runs, size_t max, size_t *ret_used)
{
        size_t n_runs = 0, used;

        for (used = 0; used < n; used++) {
                uint64_t at = pages[used].address;

                if (n_runs > 0 && at - runs[n_runs - 1].end <= gap * page_size &&
                    at - runs[n_runs - 1].start < PAGE_RUN_MAX * page_size)
                        runs[n_runs - 1].end = at + page_size;
                else if (n_runs < max)
                        runs[n_runs++] = (PageRun){ .start = at, .end = at + page_size };
                else
                        break;
        }

        *ret_used = used;
        return n_runs;
}

static int compare_frame(const void *a, const void *b)
{
        const CopyPage *left = a, *right = b;

        return (left->frame > right->frame) - (left->frame < right->frame);
}

size_t page_runs_physical(CopyPage *pages, size_t n, uint64_t page_size, PageRun *runs, size_t max,
                          size_t *ret_used)
{
        size_t n_runs = 0, used;

        if (n > 0)
                qsort(pages, n, sizeof(*pages), compare_frame);

        for (used = 0; used < n; used++) {
                uint64_t at = pages[used].frame * page_size;

                /* Two addresses may show one frame. */
                if (n_runs > 0 && at < runs[n_runs - 1].end)
                        continue;
                if (n_runs > 0 && at == runs[n_runs - 1].end &&
                    at - runs[n_runs - 1].start < PAGE_RUN_MAX * page_size)
                        runs[n_runs - 1].end += page_size;
                else if (n_runs < max)
                        runs[n_runs++] = (PageRun){ .start = at, .end = at + page_size };
                else
                        break;
        }

        *ret_used = used;
        return n_runs;
}

uint64_t page_runs_bytes(const PageRun *runs, size_t n)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < n; i++)
                bytes += runs[i].end - runs[i].start;
        return bytes;
}
