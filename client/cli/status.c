/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>

#include "client/cli/command.h"
#include "client/cli/daemonbus.h"
#include "client/cli/host.h"
#include "client/cli/json.h"
#include "client/cli/report.h"
#include "client/cli/table.h"
#include "daemon/bus.h"
#include "policy/macro.h"

enum {
        TIER_NAME,
        TIER_NODE_LIST,
        TIER_TOTAL,
        TIER_FREE,
};

static const Column tier_columns[] = {
        [TIER_NAME] = { "name", "TIER", COLUMN_TEXT },
        [TIER_NODE_LIST] = { "nodes", "NODES", COLUMN_TEXT, "none" },
        [TIER_TOTAL] = { "total_bytes", "TOTAL", COLUMN_BYTES },
        [TIER_FREE] = { "free_bytes", "FREE", COLUMN_BYTES },
};

enum {
        PROBLEM_WHAT,
        PROBLEM_MEND,
};

static const Column problem_columns[] = {
        [PROBLEM_WHAT] = { "problem", "PROBLEM", COLUMN_SENTENCE },
        [PROBLEM_MEND] = { "mend", "MEND", COLUMN_SENTENCE },
};

static void tier_fill(Table *table, const char *name, const NodeSet *nodes, const Host *host)
{
        char text[NODESET_TEXT_MAX];
        uint64_t total, free_bytes;

        host_sum(host, nodes, &total, &free_bytes);
        table_add_row(table);
        table_set_text(table, TIER_NAME, name);
        if (!nodeset_is_empty(nodes) && nodeset_format(nodes, text, sizeof(text)) >= 0)
                table_set_text(table, TIER_NODE_LIST, text);
        table_set_number(table, TIER_TOTAL, (int64_t)total);
        table_set_number(table, TIER_FREE, (int64_t)free_bytes);
}

static Table *tiers_report(const Host *host)
{
        Table *table = table_new(tier_columns, ARRAY_SIZE(tier_columns));

        if (!table)
                return NULL;
        tier_fill(table, "cheap", &host->topology.tiers.cheap, host);
        tier_fill(table, "fast", &host->topology.tiers.fast, host);
        return table;
}

static Table *problems_report(const Host *host)
{
        Table *table = table_new(problem_columns, ARRAY_SIZE(problem_columns));

        for (size_t i = 0; table && i < host->daemon.n_problems; i++) {
                table_add_row(table);
                table_set_text(table, PROBLEM_WHAT, host->daemon.problems[i].what);
                table_set_text(table, PROBLEM_MEND, host->daemon.problems[i].mend);
        }
        return table;
}

static int daemon_json(const Host *host, struct json_object **ret_object)
{
        _cleanup_(json_putp) struct json_object *object = json_object_new_object();
        const DaemonState *daemon = &host->daemon;
        bool running = host->daemon_error >= 0;
        int r;

        if (!object)
                return -ENOMEM;

        r = json_add(object, "running", json_object_new_boolean(running));
        if (r >= 0)
                r = json_add(object, "version", running ? json_text(daemon->version) : NULL);
        if (r >= 0)
                r = json_add(object, "state", running ? json_text(daemon->state) : NULL);
        if (r >= 0)
                r = json_add(object, "status", running ? json_text(daemon->status) : NULL);
        if (r < 0)
                return r;

        *ret_object = TAKE_PTR(object);
        return 0;
}

typedef struct Part {
        const char *key; /* NULL: for people only */
        Table *table;
        bool is_single; /* an object or null, not an array */
} Part;

static int part_json(const Part *part, struct json_object *document)
{
        _cleanup_(json_putp) struct json_object *rows = NULL;
        int r = table_json(part->table, &rows);

        if (r < 0)
                return r;
        if (!part->is_single)
                return json_add(document, part->key, TAKE_PTR(rows));
        if (table_is_empty(part->table))
                return json_add(document, part->key, NULL);
        return json_add(document, part->key, json_object_get(json_object_array_get_idx(rows, 0)));
}

static int json_status(const Host *host, const Part *parts, size_t n_parts)
{
        _cleanup_(json_putp) struct json_object *document = json_object_new_object();
        struct json_object *value;
        int r;

        if (!document)
                return -ENOMEM;
        r = daemon_json(host, &value);
        if (r < 0)
                return r;
        r = json_add(document, "daemon", value);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n_parts; i++) {
                if (!parts[i].key)
                        continue;
                r = part_json(&parts[i], document);
                if (r < 0)
                        return r;
        }
        return json_print(document);
}

static int text_status(const Host *host, const Part *parts, size_t n_parts, bool bytes)
{
        if (host->daemon_error >= 0)
                printf("daxtierd %s is %s: %s\n", host->daemon.version, host->daemon.state,
                       host->daemon.status);

        for (size_t i = 0; i < n_parts; i++) {
                int r;

                if (table_is_empty(parts[i].table))
                        continue;
                fputc('\n', stdout);
                r = table_print(parts[i].table, bytes);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Empty without a daemon, and with one that is older than that. */
static int cgroups_report(const Host *host, Table **ret_table)
{
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        _cleanup_(table_freep) Table *table = report_usage_new(table_width());
        int r = 0;

        if (!table)
                return -ENOMEM;
        if (host->daemon_error >= 0)
                r = daemon_connect(BUS_SOCKET_PATH, &bus);
        if (r >= 0 && bus)
                r = report_usage_fill(bus, table);
        if (r < 0 && r != -EBADR)
                return r;

        *ret_table = TAKE_PTR(table);
        return 0;
}

static int run(const Arguments *arguments)
{
        _cleanup_(host_deinit) Host host = {};
        _cleanup_(table_freep) Table *tiers = NULL, *devices = NULL, *problems = NULL,
                                     *totals = NULL, *anon = NULL, *cgroups = NULL;
        int r = host_read(&host);

        if (r < 0)
                return error_report(r, "cannot read the state of this machine");

        tiers = tiers_report(&host);
        devices = report_devices(&host);
        problems = problems_report(&host);
        totals = report_totals(&host);
        anon = report_anon(&host);
        if (!tiers || !devices || !problems || !totals || !anon)
                return error_report(-ENOMEM, "status");
        r = cgroups_report(&host, &cgroups);
        if (r < 0)
                return daemon_error_report(r, "status", NULL);

        const Part parts[] = {
                { "tiers", tiers },     { "totals", totals, .is_single = true },
                { NULL, anon },         { "cgroups", cgroups },
                { "devices", devices }, { "problems", problems },
        };

        if (arguments->json)
                r = json_status(&host, parts, ARRAY_SIZE(parts));
        else
                r = text_status(&host, parts, ARRAY_SIZE(parts), arguments->bytes);
        if (r < 0)
                return error_report(r, "status");

        /* What the kernel shows is there either way; the exit code tells scripts of the daemon. */
        if (host.daemon_error < 0) {
                fflush(stdout);
                return error_report(host.daemon_error, "status");
        }
        return EXITCODE_DONE;
}

const Command status_command = {
        .name = "status",
        .synopsis = "",
        .summary = "the daemon, tiers, what is under policy, devices, and what is wrong",
        .about =
                "Below the tiers: the processes and mappings under policy, the mappings by state as in\n"
                "`daxtier list`, their copies and how many of those are on each tier, and what was moved\n"
                "since daxtierd was started; then the same of anonymous memory. Then the cgroups with a\n"
                "limit or a ColdAfter=: what they have on each tier and may have, what moves their pages\n"
                "down (demoted) and back (promoted), and if nothing can, why.\n"
                "\n"
                "Without daxtierd it shows the tiers and devices that the kernel has, and exits with 3.\n"
                "\n"
                "Examples:\n"
                "  daxtier status\n"
                "  daxtier status --json | jq -r '.problems[] | \"\\(.problem): \\(.mend)\"'\n",
        .options = COMMAND_JSON | COMMAND_BYTES,
        .run = run,
};
