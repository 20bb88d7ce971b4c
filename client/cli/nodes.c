/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "client/cli/command.h"
#include "client/cli/host.h"
#include "client/cli/report.h"
#include "client/cli/table.h"
#include "policy/macro.h"

enum {
        COLUMN_NODE,
        COLUMN_TIER,
        COLUMN_CPU,
        COLUMN_DAX,
        COLUMN_TOTAL,
        COLUMN_FREE,
        COLUMN_READ_LATENCY,
        COLUMN_WRITE_LATENCY,
        COLUMN_READ_BANDWIDTH,
        COLUMN_WRITE_BANDWIDTH,
        COLUMN_SOURCE,
};

static const Column columns[] = {
        [COLUMN_NODE] = { "node", "NODE", COLUMN_NUMBER },
        [COLUMN_TIER] = { "tier", "TIER", COLUMN_TEXT },
        [COLUMN_CPU] = { "cpu", "CPU", COLUMN_BOOLEAN },
        [COLUMN_DAX] = { "dax", "DAX", COLUMN_BOOLEAN },
        [COLUMN_TOTAL] = { "total_bytes", "TOTAL", COLUMN_BYTES },
        [COLUMN_FREE] = { "free_bytes", "FREE", COLUMN_BYTES },
        [COLUMN_READ_LATENCY] = { "read_latency_ns", "READ-NS", COLUMN_NUMBER },
        [COLUMN_WRITE_LATENCY] = { "write_latency_ns", "WRITE-NS", COLUMN_NUMBER },
        [COLUMN_READ_BANDWIDTH] = { "read_bandwidth_mib", "READ-MIB/S", COLUMN_NUMBER },
        [COLUMN_WRITE_BANDWIDTH] = { "write_bandwidth_mib", "WRITE-MIB/S", COLUMN_NUMBER },
        [COLUMN_SOURCE] = { "perf_source", "SOURCE", COLUMN_TEXT, "unknown" },
};

Table *report_nodes(const Host *host)
{
        Table *table = table_new(columns, ARRAY_SIZE(columns));

        for (size_t i = 0; table && i < host->topology.n_nodes; i++) {
                const Node *node = &host->topology.nodes[i];

                table_add_row(table);
                table_set_number(table, COLUMN_NODE, node->id);
                table_set_text(table, COLUMN_TIER, tiers_name_of(&host->topology.tiers, node->id));
                table_set_boolean(table, COLUMN_CPU, node->has_cpu);
                table_set_boolean(table, COLUMN_DAX, node->is_dax);
                table_set_number(table, COLUMN_TOTAL, (int64_t)node->total_bytes);
                table_set_number(table, COLUMN_FREE, (int64_t)node->free_bytes);
                table_set_number(table, COLUMN_READ_LATENCY, node->perf.read_latency_ns);
                table_set_number(table, COLUMN_WRITE_LATENCY, node->perf.write_latency_ns);
                table_set_number(table, COLUMN_READ_BANDWIDTH, node->perf.read_bandwidth_mib);
                table_set_number(table, COLUMN_WRITE_BANDWIDTH, node->perf.write_bandwidth_mib);
                table_set_text(table, COLUMN_SOURCE, node->perf.from_hmat ? "hmat" : NULL);
        }
        return table;
}

static int run(const Arguments *arguments)
{
        _cleanup_(host_deinit) Host host = {};
        _cleanup_(table_freep) Table *table = NULL;
        int r = host_read(&host);

        if (r < 0)
                return error_report(r, "cannot read the NUMA nodes");

        table = report_nodes(&host);
        r = table ? table_show(table, "nodes", arguments->json, arguments->bytes) : -ENOMEM;
        return r < 0 ? (int)error_report(r, "nodes") : EXITCODE_DONE;
}

const Command nodes_command = {
        .name = "nodes",
        .synopsis = "",
        .summary = "NUMA nodes: tier, memory, latency and bandwidth",
        .about =
                "A node of dax-backed memory without CPUs is on the cheap tier, one with CPUs on the\n"
                "fast tier, unless [Tier] in the configuration says otherwise. Latency and bandwidth\n"
                "are the firmware's (HMAT), as the node's best initiator sees them; never a guess.\n"
                "\n"
                "Examples:\n"
                "  daxtier nodes\n"
                "  daxtier nodes --json | jq '[.nodes[] | select(.tier==\"cheap\").free_bytes] | add'\n",
        .options = COMMAND_JSON | COMMAND_BYTES,
        .run = run,
};
