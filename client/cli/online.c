/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/online.h"

#include <errno.h>
#include <stdio.h>

#include "client/cli/command.h"
#include "client/cli/daemonbus.h"
#include "client/cli/daemononline.h"
#include "client/cli/host.h"
#include "client/cli/json.h"
#include "client/cli/table.h"
#include "daemon/bus.h"
#include "policy/macro.h"

enum {
        COLUMN_OBJECT,
        COLUMN_ACTION,
        COLUMN_RESULT,
        COLUMN_ERROR,
        COLUMN_REASON,
};

static const Column columns[] = {
        [COLUMN_OBJECT] = { "object", "OBJECT", COLUMN_TEXT },
        [COLUMN_ACTION] = { "action", "ACTION", COLUMN_TEXT },
        [COLUMN_RESULT] = { "result", "RESULT", COLUMN_TEXT },
        [COLUMN_ERROR] = { "error", NULL, COLUMN_TEXT },
        [COLUMN_REASON] = { "reason", "REASON", COLUMN_SENTENCE, "" },
};

/* One run of `online` or `offline`. */
typedef struct Work {
        const Command *command;
        const Arguments *arguments;
        const char *device;
        Table *steps;
        char *message; /* the daemon's own words on why it failed */
} Work;

static void work_deinit(Work *work)
{
        table_free(work->steps);
        free(work->message);
}

/* What errors mean of a memory block or a dax device, where that is not what they mean elsewhere. */
static const char *device_sentence(int error, bool block)
{
        switch (-error) {
        case EBUSY:
                if (block)
                        return "in use: the kernel could not move its pages away; end what uses "
                               "them, or try again";
                break;
        case ENOMEM:
                return "no room elsewhere for its pages; free some memory first";
        case ENXIO:
                return "the firmware gives the device no NUMA node; only the BIOS can mend that";
        case EOPNOTSUPP:
                return "this kernel cannot use dax devices as memory (kmem); `daxtier doctor` says "
                       "more";
        default:
                break;
        }
        return error_sentence(error);
}

static int step_take(const OnlineStep *step, void *userdata)
{
        Work *work = userdata;

        table_add_row(work->steps);
        table_set_text(work->steps, COLUMN_OBJECT, step->object);
        table_set_text(work->steps, COLUMN_ACTION, step->action);
        table_set_text(work->steps, COLUMN_RESULT, online_result_text(step->result));
        if (step->result == ONLINE_FAILED) {
                table_set_text(work->steps, COLUMN_ERROR, strerrorname_np(-step->error));
                table_set_text(work->steps, COLUMN_REASON,
                               device_sentence(step->error, strncmp(step->object, "memory",
                                                                    strlen("memory")) == 0));
        }
        return 0;
}

/* Through the daemon where it runs, so that its view and its retries stay right; else by ourselves.
 * The daemon is asked, not tested for: it may just have ended. */
static int work_do(Work *work)
{
        bool online = work->command == &online_command, dry_run = work->arguments->dry_run;
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        Zone zone = ZONE_MOVABLE;
        int r;

        r = daemon_connect(BUS_SOCKET_PATH, &bus);
        if (r >= 0 && !work->arguments->zone)
                return daemon_online(bus, online ? "Online" : "Offline", work->device, dry_run,
                                     step_take, work, &work->message);
        if (r >= 0)
                return -EISCONN;
        if (r != -ECONNREFUSED)
                return r;

        if (work->arguments->zone && strcmp(work->arguments->zone, "normal") == 0)
                zone = ZONE_NORMAL;
        if (online)
                return device_online(work->device, zone, dry_run, step_take, work);
        return device_offline(work->device, dry_run, step_take, work);
}

static int work_show(const Work *work)
{
        _cleanup_(json_putp) struct json_object *document = NULL;
        struct json_object *steps;
        int r;

        if (!work->arguments->json)
                return table_is_empty(work->steps) ? 0 : table_print(work->steps, false);

        document = json_object_new_object();
        if (!document)
                return -ENOMEM;
        r = table_json(work->steps, &steps);
        if (r < 0)
                return r;
        r = json_add(document, "device", json_text(work->device));
        if (r < 0) {
                json_object_put(steps);
                return r;
        }
        r = json_add(document, "steps", steps);
        return r < 0 ? r : json_print(document);
}

/* Whoever names a device wrongly wants to know the right names. */
static void devices_list(void)
{
        Device *devices;
        size_t n_devices;

        if (devices_read(&devices, &n_devices) < 0)
                n_devices = 0;
        if (n_devices == 0) {
                fputs("This machine has no dax device; `daxtier doctor` says more.\n", stderr);
                return;
        }

        fputs("This machine has ", stderr);
        for (size_t i = 0; i < n_devices; i++)
                fprintf(stderr, "%s%s", i > 0 ? ", " : "", devices[i].chardev);
        fputs(".\n", stderr);
        devices_free(devices, n_devices);
}

static ExitCode work_explain(const Work *work, int error)
{
        if (error == 0)
                return EXITCODE_DONE;
        if (error == -EISCONN)
                return input_refuse("--zone: daxtierd is running and decides by the Zone= of the "
                                    "device's section in /etc/daxtierd/daxtierd.conf");

        fprintf(stderr, "daxtier: %s: %s\n", work->device,
                work->message ? work->message : device_sentence(error, false));
        if (error == -ENODEV)
                devices_list();
        return exitcode_of(error);
}

static int run(const Command *command, const Arguments *arguments)
{
        _cleanup_(work_deinit) Work work = {
                .command = command,
                .arguments = arguments,
                .device = arguments->operands[0],
                .steps = table_new(columns, ARRAY_SIZE(columns)),
        };
        int r, shown;

        if (!work.steps)
                return error_report(-ENOMEM, work.device);
        if (arguments->zone && strcmp(arguments->zone, "movable") != 0 &&
            strcmp(arguments->zone, "normal") != 0)
                return input_refuse("--zone=%s: expected movable or normal", arguments->zone);

        r = work_do(&work);

        /* What was done is shown also where the rest failed. */
        shown = work_show(&work);
        if (shown < 0)
                return error_report(shown, work.device);
        fflush(stdout);
        return work_explain(&work, r);
}

static int run_online(const Arguments *arguments)
{
        return run(&online_command, arguments);
}

static int run_offline(const Arguments *arguments)
{
        return run(&offline_command, arguments);
}

const Command online_command = {
        .name = "online",
        .synopsis = "DEV",
        .summary = "make a dax device a NUMA node (root)",
        .about =
                "DEV is dax1.0, uuid:… or path:…. daxtierd does it where it runs, else this command.\n"
                "What was online before is adopted; what cannot be is named, with the reason, and the\n"
                "exit code is 2: the same command tries that part again. A device that holds data of\n"
                "yours loses it: it becomes memory.\n"
                "\n"
                "Examples:\n"
                "  daxtier online dax1.0 --dry-run\n"
                "  sudo daxtier online dax1.0\n",
        .options = COMMAND_DRY_RUN | COMMAND_ZONE | COMMAND_JSON,
        .min_operands = 1,
        .max_operands = 1,
        .run = run_online,
};

const Command offline_command = {
        .name = "offline",
        .synopsis = "DEV",
        .summary = "take a dax device's memory offline and make it devdax again (root)",
        .about =
                "Pages in use move to other nodes first. Blocks that cannot be emptied are named, the\n"
                "others are offline, and the exit code is 2: the same command tries them again.\n"
                "\n"
                "Examples:\n"
                "  daxtier offline dax1.0 --dry-run\n"
                "  sudo daxtier offline dax1.0\n",
        .options = COMMAND_DRY_RUN | COMMAND_JSON,
        .min_operands = 1,
        .max_operands = 1,
        .run = run_offline,
};
