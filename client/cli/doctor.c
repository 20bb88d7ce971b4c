/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "client/cli/check.h"
#include "client/cli/command.h"
#include "client/cli/host.h"
#include "client/cli/table.h"
#include "daemon/injection.h"
#include "policy/macro.h"

enum {
        COLUMN_CHECK,
        COLUMN_VERDICT,
        COLUMN_REASON,
        COLUMN_MEND,
};

static const Column columns[] = {
        [COLUMN_CHECK] = { "check", "CHECK", COLUMN_TEXT },
        [COLUMN_VERDICT] = { "verdict", "VERDICT", COLUMN_TEXT },
        [COLUMN_REASON] = { "reason", "REASON", COLUMN_SENTENCE },
        [COLUMN_MEND] = { "mend", "MEND", COLUMN_SENTENCE, "" },
};

static int open_modules(void)
{
        struct utsname names;
        char path[sizeof("/lib/modules/") + sizeof(names.release)];

        if (uname(&names) < 0)
                return -1;
        snprintf(path, sizeof(path), "/lib/modules/%s", names.release);
        return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* A probe that fails says that, in its row: the others still run. */
static int check_run(const Check *check, const Patient *patient, Table *table, Verdict *worst)
{
        _cleanup_(findings_deinit) Findings findings = {};
        int r = check->probe(check, patient, &findings);

        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                r = findings_add(&findings, VERDICT_UNKNOWN, NULL, "cannot be told: %s",
                                 error_sentence(r));
                if (r < 0)
                        return r;
        }

        for (size_t i = 0; i < findings.n_items; i++) {
                const Finding *finding = &findings.items[i];

                table_add_row(table);
                table_set_text(table, COLUMN_CHECK, check->id);
                table_set_text(table, COLUMN_VERDICT, verdict_name(finding->verdict));
                table_set_text(table, COLUMN_REASON, finding->reason);
                table_set_text(table, COLUMN_MEND, finding->mend);
                if (finding->verdict > *worst)
                        *worst = finding->verdict;
        }
        return 0;
}

static int run(const Arguments *arguments)
{
        _cleanup_(closep) int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closep) int sys_fd = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closep) int modules_fd = open_modules();
        _cleanup_(table_freep) Table *table = table_new(columns, ARRAY_SIZE(columns));
        _cleanup_(host_deinit) Host host = {};
        Verdict worst = VERDICT_OK;
        int r = host_read(&host);

        if (r < 0)
                return error_report(r, "cannot read the state of this machine");
        if (proc_fd < 0 || sys_fd < 0)
                return error_report(-errno, "/proc and /sys must be mounted");
        if (!table)
                return error_report(-ENOMEM, "doctor");

        const Patient patient = {
                .proc_fd = proc_fd,
                .sys_fd = sys_fd,
                .modules_fd = modules_fd,
                .injector_path = INJECTION_SOCKET,
                .host = &host,
        };
        for (size_t i = 0; i < n_checks; i++) {
                r = check_run(&checks[i], &patient, table, &worst);
                if (r < 0)
                        return error_report(r, checks[i].id);
        }

        r = table_show(table, "checks", arguments->json, false);
        if (r < 0)
                return error_report(r, "doctor");
        return worst == VERDICT_FAIL ? EXITCODE_IMPOSSIBLE : EXITCODE_DONE;
}

const Command doctor_command = {
        .name = "doctor",
        .synopsis = "",
        .summary = "each thing that would stop us, and the command that mends it",
        .about =
                "Verdicts: ok; info, good to know; unknown, which root may be able to tell; warn, hinders\n"
                "some uses; fail, nothing can be placed. Exits with 2 if anything fails. Features are\n"
                "tried, not looked up by version; what is tried is undone at once.\n"
                "\n"
                "Examples:\n"
                "  sudo daxtier doctor\n"
                "  daxtier doctor --json | jq '.checks[] | select(.verdict==\"fail\" or .verdict==\"warn\")'\n",
        .options = COMMAND_JSON,
        .run = run,
};
