/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/referenced.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/kernel/lines.h"
#include "daemon/kernel/maps.h"
#include "daemon/kernel/process.h"
#include "daemon/kernel/reclaim.h"
#include "policy/macro.h"
#include "policy/match.h"

/* The kernel takes the lock of the address space anew for each piece. */
#define PIECE ((uint64_t)2 << 20)

/* Of one call: well below what the kernel takes at once, 2 GiB. */
#define PIECES_MAX ((size_t)256)

/* About 25 lines for each VMA, of which there are rarely more than 64 Ki. */
#define SMAPS_BYTES_MAX (UINT64_C(1) << 30)

/* What smaps says of one VMA. Bytes. */
typedef struct Counts {
        uint64_t present;
        uint64_t share; /* of this process */
        uint64_t referenced;
} Counts;

static int mapping_mark(int pidfd, const Mapping *mapping)
{
        PageRun pieces[PIECES_MAX];
        uint64_t at = mapping->start;

        while (at < mapping->end) {
                size_t n = 0;
                int r;

                for (; n < PIECES_MAX && at < mapping->end; n++) {
                        uint64_t left = mapping->end - at, length = left < PIECE ? left : PIECE;

                        /* Whole huge pages, where there may be some: a part would split them. */
                        if (left > PIECE && at % PIECE != 0)
                                length = PIECE - at % PIECE;
                        pieces[n] = (PageRun){ .start = at, .end = at + length };
                        at += length;
                }
                r = reclaim_mark_cold(pidfd, pieces, n);
                if (r < 0)
                        return r;
        }
        return 0;
}

int referenced_mark(int process_fd, int pidfd)
{
        Mapping *mappings = NULL;
        size_t n_mappings = 0;
        int r;

        r = maps_read(process_fd, &mappings, &n_mappings);
        if (r < 0)
                return r;

        for (size_t i = 0; r >= 0 && i < n_mappings; i++)
                if (anon_match(&mappings[i]))
                        r = mapping_mark(pidfd, &mappings[i]);
        mappings_free(mappings, n_mappings);
        return r < 0 ? process_result(process_fd, r) : 0;
}

/* "Rss:    123 kB" */
static void take_count(const char *line, const char *name, uint64_t *bytes)
{
        size_t length = strlen(name);
        unsigned long long kib;

        if (strncmp(line, name, length) == 0 && sscanf(line + length, " %llu kB", &kib) == 1)
                *bytes = (uint64_t)kib * 1024;
}

static void counts_add(const Counts *counts, uint64_t *bytes, uint64_t *idle)
{
        uint64_t unused =
                counts->present > counts->referenced ? counts->present - counts->referenced : 0;

        if (counts->present == 0)
                return;
        *bytes += counts->share;
        *idle += (uint64_t)((unsigned __int128)unused * counts->share / counts->present);
}

/* The head of a VMA is a line of maps; its counts begin with a capital letter. */
static int head_take(const char *line, bool *ret_is_anonymous)
{
        Mapping mapping = {};
        int r;

        r = maps_parse_line(line, &mapping);
        if (r < 0)
                return r;
        *ret_is_anonymous = anon_match(&mapping);
        mapping_deinit(&mapping);
        return 0;
}

int referenced_read(int process_fd, uint64_t *ret_bytes, uint64_t *ret_idle_bytes)
{
        _cleanup_(lines_close) Lines lines = LINES_NONE;
        uint64_t bytes = 0, idle = 0;
        bool is_anonymous = false;
        Counts counts = {};
        char *line;
        int r;

        r = lines_open(process_fd, "smaps", SMAPS_BYTES_MAX, &lines);
        if (r < 0)
                return process_result(process_fd, r);

        for (;;) {
                r = lines_next(&lines, &line);
                if (r < 0)
                        return process_result(process_fd, r);
                if (line && line[0] >= 'A' && line[0] <= 'Z') {
                        take_count(line, "Rss:", &counts.present);
                        take_count(line, "Pss:", &counts.share);
                        take_count(line, "Referenced:", &counts.referenced);
                        continue;
                }
                if (is_anonymous)
                        counts_add(&counts, &bytes, &idle);
                if (!line)
                        break;
                counts = (Counts){};
                r = head_take(line, &is_anonymous);
                if (r < 0)
                        return r;
        }

        *ret_bytes = bytes;
        *ret_idle_bytes = idle;
        return 0;
}
