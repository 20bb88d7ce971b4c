/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "client/cli/command.h"
#include "client/cli/json.h"
#include "client/cli/number.h"
#include "client/cli/table.h"
#include "client/daxtier.h"
#include "daemon/kernel/maps.h"
#include "daemon/kernel/process.h"
#include "policy/macro.h"

enum {
        COLUMN_START,
        COLUMN_END,
        COLUMN_KIND,
        COLUMN_SHARED,
        COLUMN_SYNC,
        COLUMN_PAGE_CACHE,
        COLUMN_BACKING,
        COLUMN_POLICY,
        COLUMN_COW,
        COLUMN_COW_CHEAP,
        COLUMN_COW_FAST,
        COLUMN_READ_LATENCY,
        COLUMN_WRITE_LATENCY,
        COLUMN_READ_BANDWIDTH,
        COLUMN_WRITE_BANDWIDTH,
        COLUMN_SOURCE,
        COLUMN_FILE,
};

/* As the lines of one mapping. The table of many is for a terminal's width: see many_headings. */
static const Column columns[] = {
        [COLUMN_START] = { "start", "start", COLUMN_ADDRESS },
        [COLUMN_END] = { "end", "end", COLUMN_ADDRESS },
        [COLUMN_KIND] = { "kind", "kind", COLUMN_TEXT },
        [COLUMN_SHARED] = { "shared", "shared", COLUMN_BOOLEAN },
        [COLUMN_SYNC] = { "sync", "synchronous", COLUMN_BOOLEAN },
        [COLUMN_PAGE_CACHE] = { "page_cache_bytes", "in the page cache", COLUMN_BYTES },
        [COLUMN_BACKING] = { "backing_node", "node of the file", COLUMN_NUMBER },
        [COLUMN_POLICY] = { "policy_node", "nodes of its policy", COLUMN_NODES },
        [COLUMN_COW] = { "cow_bytes", "copied by writes", COLUMN_BYTES },
        [COLUMN_COW_CHEAP] = { "cow_cheap_bytes", "copies on cheap", COLUMN_BYTES },
        [COLUMN_COW_FAST] = { "cow_fast_bytes", "copies on fast", COLUMN_BYTES },
        [COLUMN_READ_LATENCY] = { "read_latency_ns", "read latency, ns", COLUMN_NUMBER },
        [COLUMN_WRITE_LATENCY] = { "write_latency_ns", "write latency, ns", COLUMN_NUMBER },
        [COLUMN_READ_BANDWIDTH] = { "read_bandwidth_mib", "read MiB/s", COLUMN_NUMBER },
        [COLUMN_WRITE_BANDWIDTH] = { "write_bandwidth_mib", "write MiB/s", COLUMN_NUMBER },
        [COLUMN_SOURCE] = { "perf_source", "source", COLUMN_TEXT, "unknown" },
        [COLUMN_FILE] = { "file", "file", COLUMN_TEXT },
};

/* Columns without a heading are only in JSON. */
static const char *const many_headings[ARRAY_SIZE(columns)] = {
        [COLUMN_START] = "START",   [COLUMN_END] = "END",    [COLUMN_KIND] = "KIND",
        [COLUMN_SHARED] = "SHARED", [COLUMN_SYNC] = "SYNC",  [COLUMN_PAGE_CACHE] = "CACHED",
        [COLUMN_POLICY] = "POLICY", [COLUMN_COW] = "COPIED", [COLUMN_COW_CHEAP] = "CHEAP",
        [COLUMN_COW_FAST] = "FAST", [COLUMN_FILE] = "FILE",
};

static void row_fill(Table *table, const struct daxtier_info *info)
{
        static const char *const kinds[] = {
                [DAXTIER_KIND_ANON] = "anon",
                [DAXTIER_KIND_PAGE_CACHE] = "page-cache",
                [DAXTIER_KIND_DAX] = "dax",
                [DAXTIER_KIND_DEVICE_DAX] = "device-dax",
        };

        table_add_row(table);
        table_set_number(table, COLUMN_START, (int64_t)info->start);
        table_set_number(table, COLUMN_END, (int64_t)info->end);
        if (info->kind >= 0 && (size_t)info->kind < ARRAY_SIZE(kinds))
                table_set_text(table, COLUMN_KIND, kinds[info->kind]);
        table_set_boolean(table, COLUMN_SHARED, info->shared);
        table_set_boolean(table, COLUMN_SYNC, info->sync);
        table_set_number(table, COLUMN_PAGE_CACHE, info->page_cache_bytes);
        table_set_number(table, COLUMN_BACKING, info->backing_node);
        table_set_text(table, COLUMN_POLICY, info->policy_nodes);
        table_set_number(table, COLUMN_COW, info->cow_bytes);
        table_set_number(table, COLUMN_COW_CHEAP, info->cow_cheap_bytes);
        table_set_number(table, COLUMN_COW_FAST, info->cow_fast_bytes);
        table_set_number(table, COLUMN_READ_LATENCY, info->read_latency_ns);
        table_set_number(table, COLUMN_WRITE_LATENCY, info->write_latency_ns);
        table_set_number(table, COLUMN_READ_BANDWIDTH, info->read_bandwidth_mib);
        table_set_number(table, COLUMN_WRITE_BANDWIDTH, info->write_bandwidth_mib);
        if (info->perf_source == DAXTIER_PERF_HMAT)
                table_set_text(table, COLUMN_SOURCE, "hmat");
        table_set_text(table, COLUMN_FILE, info->file);
}

static inline void daxtier_closep(daxtier **handle)
{
        daxtier_close(*handle);
}

static inline void daxtier_freep(struct daxtier_info **info)
{
        daxtier_free(*info);
}

static int query_add(daxtier *handle, pid_t pid, uint64_t address, Table *table)
{
        _cleanup_(daxtier_freep) struct daxtier_info *info = NULL;
        int r = daxtier_query(handle, pid, (const void *)(uintptr_t)address, &info);

        if (r < 0)
                return r;
        row_fill(table, info);
        return 0;
}

/* Mappings whose place somebody may care about: not the text of programs, nor plain heap. */
static bool is_worth_telling(const Mapping *mapping)
{
        if (mapping->kind == MAPPING_DAX || mapping->kind == MAPPING_DEVICE_DAX)
                return true;
        if (mapping->kind == MAPPING_PAGE_CACHE && !mapping->shared && mapping->writable)
                return true;
        return mapping->policy != VMA_POLICY_DEFAULT;
}

static int query_all(daxtier *handle, pid_t pid, bool all, Table *table)
{
        _cleanup_(closep) int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closep) int process_fd = -1;
        Mapping *mappings;
        size_t n_mappings;
        int r;

        if (proc_fd < 0)
                return -errno;
        r = process_open(proc_fd, pid, &process_fd);
        if (r < 0)
                return r;
        r = maps_read(process_fd, &mappings, &n_mappings);
        if (r < 0)
                return r;

        if (!all)
                r = mappings_inspect(process_fd, mappings, n_mappings);
        for (size_t i = 0; r >= 0 && i < n_mappings; i++) {
                if (!all && !is_worth_telling(&mappings[i]))
                        continue;
                r = query_add(handle, pid, mappings[i].start, table);
                if (r == -EFAULT)
                        r = 0; /* unmapped meanwhile */
        }
        mappings_free(mappings, n_mappings);
        return r;
}

static int document_print(const Table *table)
{
        _cleanup_(json_putp) struct json_object *rows = NULL;
        int r = table_json(table, &rows);

        return r < 0 ? r : json_print(json_object_array_get_idx(rows, 0));
}

static int run(const Arguments *arguments)
{
        const char *address_text = arguments->n_operands > 1 ? arguments->operands[1] : NULL;
        _cleanup_(daxtier_closep) daxtier *handle = NULL;
        _cleanup_(table_freep) Table *table = NULL;
        Column shown[ARRAY_SIZE(columns)];
        uint64_t pid, address = 0;
        int r;

        if (!number_parse(arguments->operands[0], INT_MAX, &pid) || pid == 0)
                return input_refuse("%s: not a process id", arguments->operands[0]);
        if (address_text && !number_parse(address_text, UINTPTR_MAX, &address))
                return input_refuse("%s: not an address; write 0x7f… or a decimal number",
                                    address_text);

        r = daxtier_open(&handle);
        if (r < 0)
                return error_report(r, "cannot read the NUMA nodes");
        for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
                shown[i] = columns[i];
                if (!address_text)
                        shown[i].heading = many_headings[i];
        }
        table = table_new(shown, ARRAY_SIZE(shown));
        if (!table)
                return error_report(-ENOMEM, "query");

        if (address_text)
                r = query_add(handle, (pid_t)pid, address, table);
        else
                r = query_all(handle, (pid_t)pid, arguments->all, table);
        if (r < 0)
                return error_report(r, address_text && r == -EFAULT ? address_text
                                                                    : arguments->operands[0]);

        if (!address_text)
                r = table_show(table, "mappings", arguments->json, arguments->bytes);
        else if (arguments->json)
                r = document_print(table);
        else
                r = table_print_vertical(table, arguments->bytes);
        return r < 0 ? (int)error_report(r, "query") : EXITCODE_DONE;
}

const Command query_command = {
        .name = "query",
        .synopsis = "PID [ADDR]",
        .summary = "mappings: DAX? page cache? copies, and on which tier? how fast?",
        .about =
                "With ADDR, everything about the mapping that holds it. Without, every mapping whose\n"
                "place may matter: of DAX files and dax devices, writable private ones of other files,\n"
                "and those with a memory policy. For anonymous memory \"copied\" is all of its pages.\n"
                "\n"
                "Examples:\n"
                "  daxtier query $(pidof qemu-system-x86_64)\n"
                "  daxtier query 1234 0x7f2a1c000000 --json | jq .cow_cheap_bytes\n",
        .options = COMMAND_JSON | COMMAND_BYTES | COMMAND_ALL,
        .min_operands = 1,
        .max_operands = 2,
        .run = run,
};
