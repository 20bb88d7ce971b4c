/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>

#include "client/cli/command.h"
#include "client/cli/daemonbus.h"
#include "client/cli/report.h"
#include "daemon/bus.h"
#include "policy/macro.h"

ExitCode metrics_show(sd_bus *bus)
{
        _cleanup_(daemon_messagep) sd_bus_message *reply = NULL;
        const char *text;
        int r = daemon_call(bus, BUS_INTERFACE, "Metrics", DAEMON_ANSWER_USEC, NULL, &reply, "");

        if (r < 0)
                return daemon_error_report(r, "metrics", NULL);
        r = sd_bus_message_read_basic(reply, 's', &text);
        if (r <= 0)
                return error_report(r < 0 ? daemon_reply_error(r) : -EPROTO, "metrics");

        fputs(text, stdout); /* main() finds out if that fails */
        return EXITCODE_DONE;
}

static int run(const Arguments *arguments)
{
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        int r = daemon_connect(BUS_SOCKET_PATH, &bus);

        return r < 0 ? daemon_error_report(r, "metrics", NULL) : metrics_show(bus);
}

const Command metrics_command = {
        .name = "metrics",
        .synopsis = "",
        .summary = "what daxtierd counted, as OpenMetrics text",
        .about =
                "Counters since it was started, what is under policy now, and how long placing took\n"
                "and stopped a process. For a collector that reads files, or one that asks.\n"
                "\n"
                "Examples:\n"
                "  daxtier metrics | grep ^daxtier_mappings\n"
                "  daxtier metrics | sponge /var/lib/prometheus/node-exporter/daxtier.prom\n",
        .run = run,
};
