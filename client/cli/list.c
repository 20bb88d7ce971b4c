/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>

#include "client/cli/command.h"
#include "client/cli/daemonbus.h"
#include "client/cli/daemonlist.h"
#include "client/cli/daemonpolicy.h"
#include "client/cli/number.h"
#include "client/cli/report.h"
#include "client/cli/table.h"
#include "daemon/bus.h"
#include "policy/macro.h"

/* Narrower terminals have no room for all columns: paths would break into pieces of a few letters. */
#define WIDTH_CGROUP 160u
#define WIDTH_COMM   100u

enum {
        COLUMN_PID,
        COLUMN_COMM,
        COLUMN_CGROUP,
        COLUMN_START,
        COLUMN_END,
        COLUMN_FILE,
        COLUMN_WHAT,
        COLUMN_DAX,
        COLUMN_POLICY,
        COLUMN_TIER,
        COLUMN_COPIES,
        COLUMN_CHEAP,
        COLUMN_FAST,
        COLUMN_STATE,
        COLUMN_MOVED,
        COLUMN_RE_MOVED,
        COLUMN_ENGINE,
        COLUMN_REASON,
        COLUMN_KIND,
};

static const Column columns[] = {
        [COLUMN_PID] = { "pid", "PID", COLUMN_NUMBER },
        [COLUMN_COMM] = { "comm", "COMM", COLUMN_TEXT },
        [COLUMN_CGROUP] = { "cgroup", "CGROUP", COLUMN_CGROUP_PATH, .share = 0.2 },
        [COLUMN_START] = { "start", NULL, COLUMN_ADDRESS },
        [COLUMN_END] = { "end", NULL, COLUMN_ADDRESS },
        [COLUMN_FILE] = { "file", NULL, COLUMN_SENTENCE },
        [COLUMN_WHAT] = { NULL, "FILE", COLUMN_SENTENCE, .share = 0.25 },
        [COLUMN_DAX] = { "dax", NULL, COLUMN_BOOLEAN },
        [COLUMN_POLICY] = { "policy_file", NULL, COLUMN_TEXT },
        [COLUMN_TIER] = { "tier", "TIER", COLUMN_TEXT },
        [COLUMN_COPIES] = { "cow_bytes", "COPIES", COLUMN_BYTES },
        [COLUMN_CHEAP] = { "cow_cheap_bytes", "CHEAP", COLUMN_BYTES },
        [COLUMN_FAST] = { "cow_fast_bytes", "FAST", COLUMN_BYTES },
        [COLUMN_STATE] = { "state", "STATE", COLUMN_TEXT },
        [COLUMN_MOVED] = { "moved_bytes", "MOVED", COLUMN_BYTES },
        [COLUMN_RE_MOVED] = { "re_moved_bytes", "RE-MOVED", COLUMN_BYTES },
        [COLUMN_ENGINE] = { "engine", "ENGINE", COLUMN_TEXT },
        [COLUMN_REASON] = { "reason", "REASON", COLUMN_SENTENCE, "", .share = 0.2 },
        [COLUMN_KIND] = { "kind", NULL, COLUMN_TEXT },
};

/* What is being listed. */
typedef struct Answer {
        Table *table;
        bool has_anon;
} Answer;

static void answer_deinit(Answer *answer)
{
        table_free(answer->table);
}

static bool is_anon(const DaemonMapping *mapping)
{
        return mapping->kind && strcmp(mapping->kind, DAEMON_KIND_ANON) == 0;
}

static void text_set(Table *table, size_t column, const char *text)
{
        table_set_text(table, column, text && *text ? text : NULL);
}

/* What is beyond an int64_t is below zero then, and unknown: UINT64_MAX is. */
static void bytes_set(Table *table, size_t column, uint64_t bytes)
{
        table_set_number(table, column, (int64_t)bytes);
}

static int mapping_take(const DaemonMapping *mapping, void *userdata)
{
        Answer *answer = userdata;
        Table *table = answer->table;

        answer->has_anon = answer->has_anon || is_anon(mapping);
        table_add_row(table);
        table_set_number(table, COLUMN_PID, mapping->pid);
        text_set(table, COLUMN_COMM, mapping->comm);
        text_set(table, COLUMN_CGROUP, mapping->cgroup);
        bytes_set(table, COLUMN_START, mapping->start);
        bytes_set(table, COLUMN_END, mapping->end);
        text_set(table, COLUMN_FILE, mapping->file);
        text_set(table, COLUMN_WHAT, is_anon(mapping) ? "[anon]" : mapping->file);
        table_set_number(table, COLUMN_DAX, mapping->dax);
        text_set(table, COLUMN_POLICY, mapping->policy_file);
        text_set(table, COLUMN_TIER, mapping->tier);
        bytes_set(table, COLUMN_COPIES, mapping->cow_bytes);
        bytes_set(table, COLUMN_CHEAP, mapping->cow_cheap_bytes);
        bytes_set(table, COLUMN_FAST, mapping->cow_fast_bytes);
        text_set(table, COLUMN_STATE, mapping->state);
        bytes_set(table, COLUMN_MOVED, mapping->moved_bytes);
        bytes_set(table, COLUMN_RE_MOVED, mapping->re_moved_bytes);
        text_set(table, COLUMN_ENGINE, mapping->engine);
        text_set(table, COLUMN_REASON, mapping->reason);
        text_set(table, COLUMN_KIND, mapping->kind);
        return 0;
}

typedef struct InForce {
        size_t n_policies;
        uint64_t n_processes;
} InForce;

static int policy_count(const DaemonPolicy *policy, void *userdata)
{
        InForce *force = userdata;

        force->n_policies++;
        force->n_processes += policy->n_processes;
        return 0;
}

/* Why there is nothing to list. */
static void empty_explain(sd_bus *bus, const DaemonFilter *filter)
{
        InForce force = {};

        if (filter->pid != 0 && kill((pid_t)filter->pid, 0) < 0 && errno == ESRCH) {
                fprintf(stderr, "There is no process %u.\n", filter->pid);
                return;
        }

        if (daemon_policies(bus, policy_count, NULL, &force) < 0)
                fputs("No mapping is under policy.\n", stderr);
        else if (force.n_policies == 0)
                policy_none_explain();
        else if (filter->pid != 0 || *filter->cgroup || *filter->file)
                fputs("No mapping under policy fits; `daxtier list` alone shows all that are.\n",
                      stderr);
        else if (force.n_processes == 0)
                fputs("No process matches a policy; `daxtier policy show` has what they match.\n",
                      stderr);
        else
                fputs("Processes match a policy, but none has a private mapping that its File= is "
                      "for;\n`daxtier query PID` shows what a process maps.\n",
                      stderr);
        if (geteuid() != 0)
                fputs("Other users' processes are listed for root only: sudo daxtier list\n",
                      stderr);
}

/* Which columns the table has; those of moves only where something has them to show. */
static void columns_choose(const Answer *answer, size_t width)
{
        if (width < WIDTH_CGROUP)
                table_hide(answer->table, COLUMN_CGROUP);
        if (width < WIDTH_CGROUP || !answer->has_anon) {
                table_hide(answer->table, COLUMN_MOVED);
                table_hide(answer->table, COLUMN_RE_MOVED);
                table_hide(answer->table, COLUMN_ENGINE);
        }
        if (width < WIDTH_COMM) {
                table_hide(answer->table, COLUMN_COMM);
                table_hide(answer->table, COLUMN_TIER);
        }
}

ExitCode list_show(sd_bus *bus, const DaemonFilter *filter, bool json, bool bytes)
{
        _cleanup_(answer_deinit) Answer answer = {
                .table = table_new(columns, ARRAY_SIZE(columns)),
        };
        int r;

        if (!answer.table)
                return error_report(-ENOMEM, "list");

        r = daemon_list(bus, filter, mapping_take, &answer);
        if (r == -E2BIG) {
                fputs("daxtier: list: too many mappings for one answer; narrow it with --cgroup, "
                      "--pid or --file\n",
                      stderr);
                return EXITCODE_IMPOSSIBLE;
        }
        if (r < 0)
                return daemon_error_report(r, "list", NULL);

        if (json || !table_is_empty(answer.table)) {
                columns_choose(&answer, table_width());
                r = table_show(answer.table, "mappings", json, bytes);
                if (r < 0)
                        return error_report(r, "list");
        }
        fflush(stdout);
        if (table_is_empty(answer.table))
                empty_explain(bus, filter);
        return EXITCODE_DONE;
}

static int run(const Arguments *arguments)
{
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        _cleanup_(freep) char *cgroup = NULL;
        DaemonFilter filter = { .cgroup = "", .file = arguments->file ? arguments->file : "" };
        uint64_t pid = 0;
        int r;

        if (arguments->pid && (!number_parse(arguments->pid, INT_MAX, &pid) || pid == 0))
                return input_refuse("--pid=%s: not a process id", arguments->pid);
        if (arguments->file && *arguments->file != '/' && *arguments->file != '*')
                return input_refuse("--file=%s: expected a glob on the file's path, which begins "
                                    "with / or *",
                                    arguments->file);
        if (arguments->cgroup) {
                r = cgroup_argument_parse("--cgroup=", arguments->cgroup, &cgroup);
                if (r < 0)
                        return exitcode_of(r);
        }

        filter.pid = (uint32_t)pid;
        if (cgroup)
                filter.cgroup = cgroup;

        r = daemon_connect(BUS_SOCKET_PATH, &bus);
        if (r < 0)
                return daemon_error_report(r, "list", NULL);
        return list_show(bus, &filter, arguments->json, arguments->bytes);
}

const Command list_command = {
        .name = "list",
        .synopsis = "",
        .summary = "every mapping under policy: its copies, and why not where they should be",
        .about =
                "Options that choose add up: all must fit. daxtierd looks before it answers, so what\n"
                "is listed is so now. STATE is placed (as the policy wants it), placing (being moved),\n"
                "partial (in part), skipped (left alone) or failed; REASON says why. [anon] is all\n"
                "anonymous memory of a process: what of it was moved, what of that more than once, and\n"
                "by which engine. Root sees all processes, others their own. A narrow terminal shows\n"
                "fewer columns.\n"
                "\n"
                "Examples:\n"
                "  daxtier list --cgroup /machine.slice\n"
                "  daxtier list --file '/mnt/pmem/*.img' --bytes\n"
                "  daxtier list --json | jq '.mappings[] | select(.state != \"placed\")'\n",
        .options = COMMAND_CGROUP | COMMAND_PID | COMMAND_GLOB | COMMAND_JSON | COMMAND_BYTES,
        .run = run,
};
