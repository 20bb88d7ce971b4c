/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/host.h"
#include "client/cli/report.h"
#include "client/cli/table.h"
#include "policy/macro.h"

enum {
        TOTAL_PROCESSES,
        TOTAL_MAPPINGS,
        TOTAL_PLACED,
        TOTAL_PLACING,
        TOTAL_PARTIAL,
        TOTAL_SKIPPED,
        TOTAL_FAILED,
        TOTAL_COPIES,
        TOTAL_CHEAP,
        TOTAL_FAST,
        TOTAL_MOVED,
        TOTAL_ANON,
        TOTAL_ANON_CHEAP,
        TOTAL_ANON_FAST,
        TOTAL_RE_MOVED,
};

static const Column total_columns[] = {
        [TOTAL_PROCESSES] = { "processes", "PROCESSES", COLUMN_NUMBER },
        [TOTAL_MAPPINGS] = { "mappings", "MAPPINGS", COLUMN_NUMBER },
        [TOTAL_PLACED] = { "placed", "PLACED", COLUMN_NUMBER },
        [TOTAL_PLACING] = { "placing", "PLACING", COLUMN_NUMBER },
        [TOTAL_PARTIAL] = { "partial", "PARTIAL", COLUMN_NUMBER },
        [TOTAL_SKIPPED] = { "skipped", "SKIPPED", COLUMN_NUMBER },
        [TOTAL_FAILED] = { "failed", "FAILED", COLUMN_NUMBER },
        [TOTAL_COPIES] = { "cow_bytes", "COPIES", COLUMN_BYTES },
        [TOTAL_CHEAP] = { "cow_cheap_bytes", "CHEAP", COLUMN_BYTES },
        [TOTAL_FAST] = { "cow_fast_bytes", "FAST", COLUMN_BYTES },
        [TOTAL_MOVED] = { "moved_bytes", "MOVED", COLUMN_BYTES },
        [TOTAL_ANON] = { "anon_bytes", NULL, COLUMN_BYTES },
        [TOTAL_ANON_CHEAP] = { "anon_cheap_bytes", NULL, COLUMN_BYTES },
        [TOTAL_ANON_FAST] = { "anon_fast_bytes", NULL, COLUMN_BYTES },
        [TOTAL_RE_MOVED] = { "re_moved_bytes", NULL, COLUMN_BYTES },
};

enum {
        ANON_BYTES,
        ANON_CHEAP,
        ANON_FAST,
        ANON_RE_MOVED,
};

/* For people: one line with all totals would not fit a terminal. */
static const Column anon_columns[] = {
        [ANON_BYTES] = { NULL, "ANONYMOUS", COLUMN_BYTES },
        [ANON_CHEAP] = { NULL, "CHEAP", COLUMN_BYTES },
        [ANON_FAST] = { NULL, "FAST", COLUMN_BYTES },
        [ANON_RE_MOVED] = { NULL, "RE-MOVED", COLUMN_BYTES },
};

Table *report_totals(const Host *host)
{
        const DaemonTotals *totals = &host->daemon.totals;
        Table *table = table_new(total_columns, ARRAY_SIZE(total_columns));

        if (!table || !host->daemon.has_totals)
                return table;

        table_add_row(table);
        table_set_number(table, TOTAL_PROCESSES, (int64_t)totals->processes);
        table_set_number(table, TOTAL_MAPPINGS, (int64_t)totals->mappings);
        table_set_number(table, TOTAL_PLACED, (int64_t)totals->placed);
        table_set_number(table, TOTAL_PLACING, (int64_t)totals->placing);
        table_set_number(table, TOTAL_PARTIAL, (int64_t)totals->partial);
        table_set_number(table, TOTAL_SKIPPED, (int64_t)totals->skipped);
        table_set_number(table, TOTAL_FAILED, (int64_t)totals->failed);
        table_set_number(table, TOTAL_COPIES, (int64_t)totals->cow_bytes);
        table_set_number(table, TOTAL_CHEAP, (int64_t)totals->cow_cheap_bytes);
        table_set_number(table, TOTAL_FAST, (int64_t)totals->cow_fast_bytes);
        table_set_number(table, TOTAL_MOVED, (int64_t)totals->moved_bytes);
        table_set_number(table, TOTAL_ANON, (int64_t)totals->anon_bytes);
        table_set_number(table, TOTAL_ANON_CHEAP, (int64_t)totals->anon_cheap_bytes);
        table_set_number(table, TOTAL_ANON_FAST, (int64_t)totals->anon_fast_bytes);
        table_set_number(table, TOTAL_RE_MOVED, (int64_t)totals->re_moved_bytes);
        return table;
}

Table *report_anon(const Host *host)
{
        const DaemonTotals *totals = &host->daemon.totals;
        Table *table = table_new(anon_columns, ARRAY_SIZE(anon_columns));

        if (!table || !host->daemon.has_totals || totals->anon_bytes == UINT64_MAX ||
            totals->anon_bytes == 0)
                return table;

        table_add_row(table);
        table_set_number(table, ANON_BYTES, (int64_t)totals->anon_bytes);
        table_set_number(table, ANON_CHEAP, (int64_t)totals->anon_cheap_bytes);
        table_set_number(table, ANON_FAST, (int64_t)totals->anon_fast_bytes);
        table_set_number(table, ANON_RE_MOVED, (int64_t)totals->re_moved_bytes);
        return table;
}
