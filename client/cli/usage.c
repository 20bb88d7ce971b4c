/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/daemonusage.h"
#include "client/cli/report.h"
#include "client/cli/table.h"
#include "policy/macro.h"

/* Narrower terminals have no room for all columns. */
#define WIDTH_ALL 120u

enum {
        COLUMN_CGROUP,
        COLUMN_POLICY,
        COLUMN_CHEAP,
        COLUMN_CHEAP_MAX,
        COLUMN_FAST,
        COLUMN_FAST_MAX,
        COLUMN_COLD_AFTER,
        COLUMN_ENGINE,
        COLUMN_DEMOTED,
        COLUMN_PROMOTED,
        COLUMN_RE_MOVED,
        COLUMN_REASON,
};

static const Column columns[] = {
        [COLUMN_CGROUP] = { "cgroup", "CGROUP", COLUMN_CGROUP_PATH, .share = 0.2 },
        [COLUMN_POLICY] = { "policy_file", NULL, COLUMN_TEXT },
        [COLUMN_CHEAP] = { "cheap_bytes", "CHEAP", COLUMN_BYTES },
        [COLUMN_CHEAP_MAX] = { "cheap_max", "MAX", COLUMN_BYTES },
        [COLUMN_FAST] = { "fast_bytes", "FAST", COLUMN_BYTES },
        [COLUMN_FAST_MAX] = { "fast_max", "MAX", COLUMN_BYTES },
        [COLUMN_COLD_AFTER] = { "cold_after_usec", "COLD AFTER", COLUMN_TIME },
        [COLUMN_ENGINE] = { "engine", "ENGINE", COLUMN_TEXT },
        [COLUMN_DEMOTED] = { "demoted_bytes", "DEMOTED", COLUMN_BYTES },
        [COLUMN_PROMOTED] = { "promoted_bytes", "PROMOTED", COLUMN_BYTES },
        [COLUMN_RE_MOVED] = { "re_moved_bytes", "RE-MOVED", COLUMN_BYTES },
        [COLUMN_REASON] = { "reason", "REASON", COLUMN_SENTENCE, "", .share = 0.2 },
};

/* As table_set_text(), but "" is as none. */
static void text_set(Table *table, size_t column, const char *text)
{
        table_set_text(table, column, text && *text ? text : NULL);
}

static int usage_take(const DaemonUsage *usage, void *userdata)
{
        Table *table = userdata;

        /* UINT64_MAX is below zero then, and unknown. */
        table_add_row(table);
        text_set(table, COLUMN_CGROUP, usage->cgroup);
        text_set(table, COLUMN_POLICY, usage->policy_file);
        table_set_number(table, COLUMN_CHEAP, (int64_t)usage->cheap_bytes);
        table_set_number(table, COLUMN_CHEAP_MAX, (int64_t)usage->cheap_max);
        table_set_number(table, COLUMN_FAST, (int64_t)usage->fast_bytes);
        table_set_number(table, COLUMN_FAST_MAX, (int64_t)usage->fast_max);
        table_set_number(table, COLUMN_COLD_AFTER, (int64_t)usage->cold_after_usec);
        text_set(table, COLUMN_ENGINE, usage->engine);
        table_set_number(table, COLUMN_DEMOTED, (int64_t)usage->demoted_bytes);
        table_set_number(table, COLUMN_PROMOTED, (int64_t)usage->promoted_bytes);
        table_set_number(table, COLUMN_RE_MOVED, (int64_t)usage->re_moved_bytes);
        text_set(table, COLUMN_REASON, usage->reason);
        return 0;
}

Table *report_usage_new(size_t width)
{
        Table *table = table_new(columns, ARRAY_SIZE(columns));

        if (table && width < WIDTH_ALL) {
                table_hide(table, COLUMN_COLD_AFTER);
                table_hide(table, COLUMN_PROMOTED);
                table_hide(table, COLUMN_RE_MOVED);
        }
        return table;
}

int report_usage_fill(sd_bus *bus, Table *table)
{
        return daemon_usage(bus, usage_take, table);
}
