/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "client/cli/command.h"
#include "client/cli/host.h"
#include "client/cli/report.h"
#include "client/cli/table.h"
#include "policy/macro.h"

enum {
        COLUMN_DEVICE,
        COLUMN_SIZE,
        COLUMN_NODE,
        COLUMN_ALIGN,
        COLUMN_MODE,
        COLUMN_ONLINE,
        COLUMN_TOTAL,
        COLUMN_MOVABLE,
        COLUMN_UUID,
        COLUMN_PATH,
        COLUMN_STATE,
        COLUMN_REASON,
};

/* The keys up to "movable" are daxctl's. */
static const Column columns[] = {
        [COLUMN_DEVICE] = { "chardev", "DEVICE", COLUMN_TEXT },
        [COLUMN_SIZE] = { "size", "SIZE", COLUMN_BYTES },
        [COLUMN_NODE] = { "target_node", "NODE", COLUMN_NUMBER },
        [COLUMN_ALIGN] = { "align", "ALIGN", COLUMN_BYTES },
        [COLUMN_MODE] = { "mode", "MODE", COLUMN_TEXT },
        [COLUMN_ONLINE] = { "online_memblocks", "ONLINE", COLUMN_NUMBER },
        [COLUMN_TOTAL] = { "total_memblocks", "BLOCKS", COLUMN_NUMBER },
        [COLUMN_MOVABLE] = { "movable", "MOVABLE", COLUMN_BOOLEAN },
        [COLUMN_UUID] = { "uuid", NULL, COLUMN_TEXT },
        [COLUMN_PATH] = { "path", NULL, COLUMN_TEXT },
        [COLUMN_STATE] = { "state", "STATE", COLUMN_TEXT },
        [COLUMN_REASON] = { "reason", "REASON", COLUMN_SENTENCE, "" },
};

static void row_fill(Table *table, const Device *device, const Host *host)
{
        const DaemonDevice *known;

        table_add_row(table);
        table_set_text(table, COLUMN_DEVICE, device->chardev);
        table_set_number(table, COLUMN_SIZE, (int64_t)device->size);
        table_set_number(table, COLUMN_NODE, device->target_node);
        if (device->align > 0)
                table_set_number(table, COLUMN_ALIGN, (int64_t)device->align);
        table_set_text(table, COLUMN_MODE, device_mode_name(device->mode));
        if (device->mode == DEVICE_MODE_SYSTEM_RAM) {
                table_set_number(table, COLUMN_ONLINE, device->online_memblocks);
                table_set_number(table, COLUMN_TOTAL, device->total_memblocks);
                if (device->online_memblocks > 0)
                        table_set_boolean(table, COLUMN_MOVABLE,
                                          device->movable_memblocks == device->online_memblocks);
        }
        if (*device->uuid)
                table_set_text(table, COLUMN_UUID, device->uuid);
        table_set_text(table, COLUMN_PATH, device->path);

        if (host->daemon_error < 0)
                return;
        known = daemon_device_find(&host->daemon, device->chardev);
        table_set_text(table, COLUMN_STATE, known ? known->state : "not named");
        if (known && known->reason && *known->reason)
                table_set_text(table, COLUMN_REASON, known->reason);
}

/* Devices that the configuration names and the machine lacks: only the daemon speaks of them. */
static void absent_fill(Table *table, const DaemonDevice *absent)
{
        table_add_row(table);
        table_set_text(table, COLUMN_DEVICE, absent->name);
        table_set_text(table, COLUMN_STATE, absent->state);
        if (absent->reason && *absent->reason)
                table_set_text(table, COLUMN_REASON, absent->reason);
}

Table *report_devices(const Host *host)
{
        Table *table = table_new(columns, ARRAY_SIZE(columns));

        if (!table)
                return NULL;

        for (size_t i = 0; i < host->n_devices; i++)
                row_fill(table, &host->devices[i], host);
        for (size_t i = 0; i < host->daemon.n_devices; i++)
                if (!host->daemon.devices[i].chardev || !*host->daemon.devices[i].chardev)
                        absent_fill(table, &host->daemon.devices[i]);
        return table;
}

static int run(const Arguments *arguments)
{
        _cleanup_(host_deinit) Host host = {};
        _cleanup_(table_freep) Table *table = NULL;
        int r = host_read(&host);

        if (r < 0)
                return error_report(r, "cannot read the dax devices");

        table = report_devices(&host);
        r = table ? table_show(table, "devices", arguments->json, arguments->bytes) : -ENOMEM;
        if (r < 0)
                return error_report(r, "devices");

        if (!arguments->json && host.n_devices == 0)
                fputs("This machine has no dax device; `daxtier doctor` says more.\n", stderr);
        return EXITCODE_DONE;
}

const Command devices_command = {
        .name = "devices",
        .synopsis = "",
        .summary = "dax devices: mode, memory blocks, and what daxtierd makes of them",
        .about =
                "STATE and REASON are daxtierd's; \"-\" while it is not running, \"not named\" for a\n"
                "device that its configuration does not name, and which it leaves alone.\n"
                "\n"
                "Examples:\n"
                "  daxtier devices\n"
                "  daxtier devices --json | jq -r '.devices[] | select(.mode==\"devdax\").chardev'\n",
        .options = COMMAND_JSON | COMMAND_BYTES,
        .run = run,
};
