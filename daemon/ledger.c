/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/process.h"
#include "daemon/kernel/replace.h"
#include "policy/macro.h"

#define LEDGER_FILE "given"

/* A machine has fewer processes than this has lines. */
#define FILE_BYTES_MAX ((size_t)64 * 1024 * 1024)

#define LINE_BYTES (NODESET_TEXT_MAX + 96u)

/* It is written anew when it has more lines than this, and twice as many as are needed. */
#define LINES_LEAST 1024u

struct Ledger {
        int run_fd;
        int proc_fd;
        int fd; /* to add to; -1: not yet, or it could not be opened */
        LedgerProcess *by_pid;
        size_t n_entries; /* of all processes */
        size_t n_lines;   /* in the file */
};

static const char *const kind_names[LEDGER_KINDS] = {
        [LEDGER_COPIES] = "copies",
        [LEDGER_ANON] = "anon",
};

static int line_format(const LedgerProcess *process, LedgerKind kind, const LedgerEntry *entry,
                       char line[static LINE_BYTES])
{
        char nodes[NODESET_TEXT_MAX];
        int r;

        r = nodeset_format(&entry->nodes, nodes, sizeof(nodes));
        if (r < 0)
                return r;
        return snprintf(line, LINE_BYTES, "%d %" PRIu64 " %s %s %" PRIu64 " %s\n", process->pid,
                        process->start_time, kind_names[kind], entry->strict ? "bind" : "prefer",
                        entry->pause_max_ns, nodes);
}

static bool entry_equal(const LedgerEntry *a, const LedgerEntry *b)
{
        return a->strict == b->strict && a->pause_max_ns == b->pause_max_ns &&
               nodeset_equal(&a->nodes, &b->nodes);
}

static LedgerProcess *process_find(const Ledger *ledger, pid_t pid)
{
        LedgerProcess *process;

        HASH_FIND_INT(ledger->by_pid, &pid, process);
        return process;
}

/* The one of this start time, empty if nothing was known of it; another one of that number has ended. */
static LedgerProcess *process_take(Ledger *ledger, pid_t pid, uint64_t start_time)
{
        LedgerProcess *process = process_find(ledger, pid);

        if (process && process->start_time == start_time)
                return process;
        ledger_forget(ledger, pid);

        process = calloc(1, sizeof(*process));
        if (!process)
                return NULL;
        process->pid = pid;
        process->start_time = start_time;
        HASH_ADD_INT(ledger->by_pid, pid, process);
        if (!process->hh.tbl) { /* uthash could not grow */
                free(process);
                return NULL;
        }
        return process;
}

/* Puts it first. False: it was that already. */
static bool process_add(Ledger *ledger, LedgerProcess *process, LedgerKind kind,
                        const LedgerEntry *entry)
{
        LedgerEntry *entries = process->entries[kind];
        size_t *n = &process->n_entries[kind], at = 0;

        if (*n > 0 && entry_equal(&entries[0], entry))
                return false;
        while (at < *n && !entry_equal(&entries[at], entry))
                at++;
        if (at == *n && *n < LEDGER_ENTRIES_MAX) {
                (*n)++;
                ledger->n_entries++;
        }
        if (at == LEDGER_ENTRIES_MAX)
                at--;
        memmove(&entries[1], &entries[0], at * sizeof(*entries));
        entries[0] = *entry;
        return true;
}

/* -EBADMSG: it is not one of ours, or not all of it. */
static int line_parse(const char *line, pid_t *ret_pid, uint64_t *ret_start_time,
                      LedgerKind *ret_kind, LedgerEntry *ret_entry)
{
        LedgerEntry entry = {};
        char kind[8], mode[8];
        uint64_t start_time;
        int pid, nodes = 0;

        if (sscanf(line, "%d %" SCNu64 " %7s %7s %" SCNu64 " %n", &pid, &start_time, kind, mode,
                   &entry.pause_max_ns, &nodes) != 5 ||
            pid <= 0 || nodes == 0 || nodeset_parse(line + nodes, &entry.nodes) < 0 ||
            nodeset_is_empty(&entry.nodes))
                return -EBADMSG;
        entry.strict = strcmp(mode, "bind") == 0;
        if (!entry.strict && strcmp(mode, "prefer") != 0)
                return -EBADMSG;
        for (LedgerKind i = 0; i < LEDGER_KINDS; i++)
                if (strcmp(kind, kind_names[i]) == 0) {
                        *ret_pid = pid;
                        *ret_start_time = start_time;
                        *ret_kind = i;
                        *ret_entry = entry;
                        return 0;
                }
        return -EBADMSG;
}

/* Of the process that it was about when the line was written. */
static bool is_alive(int proc_fd, pid_t pid, uint64_t start_time)
{
        _cleanup_(closep) int process_fd = -1;
        uint64_t now;

        return process_open(proc_fd, pid, &process_fd) >= 0 &&
               process_start_time(process_fd, &now) >= 0 && now == start_time;
}

static int lines_take(Ledger *ledger, char *text)
{
        char *rest = text, *line;

        while ((line = strsep(&rest, "\n")) && rest) { /* one without an end is not all there */
                LedgerProcess *process;
                LedgerEntry entry;
                uint64_t start_time;
                LedgerKind kind;
                pid_t pid;

                if (line_parse(line, &pid, &start_time, &kind, &entry) < 0)
                        continue;
                process = process_find(ledger, pid);
                if ((!process || process->start_time != start_time) &&
                    !is_alive(ledger->proc_fd, pid, start_time))
                        continue;
                process = process_take(ledger, pid, start_time);
                if (!process)
                        return -ENOMEM;
                process->is_before = true;
                process_add(ledger, process, kind, &entry);
        }
        return 0;
}

/* The oldest first, as they were added. */
static int lines_print(const Ledger *ledger, FILE *file)
{
        for (const LedgerProcess *process = ledger->by_pid; process; process = process->hh.next)
                for (LedgerKind kind = 0; kind < LEDGER_KINDS; kind++)
                        for (size_t i = process->n_entries[kind]; i-- > 0;) {
                                char line[LINE_BYTES];
                                int r = line_format(process, kind, &process->entries[kind][i],
                                                    line);

                                if (r < 0)
                                        return r;
                                fputs(line, file);
                        }
        return 0;
}

static int file_rewrite(Ledger *ledger)
{
        _cleanup_(freep) char *text = NULL;
        size_t size;
        FILE *file;
        int r;

        file = open_memstream(&text, &size);
        if (!file)
                return -errno;
        r = lines_print(ledger, file);
        if (fclose(file) != 0 && r >= 0)
                r = -ENOMEM;
        if (r >= 0)
                r = file_replace(ledger->run_fd, LEDGER_FILE, text, 0600);
        if (r < 0)
                return r;

        closep(&ledger->fd);
        ledger->fd =
                openat(ledger->run_fd, LEDGER_FILE, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
        ledger->n_lines = ledger->n_entries;
        return ledger->fd < 0 ? -errno : 0;
}

int ledger_open(int run_fd, int proc_fd, Ledger **ret_ledger)
{
        _cleanup_(freep) char *text = NULL;
        Ledger *ledger;
        size_t size;
        int r;

        r = attr_read_all(run_fd, LEDGER_FILE, FILE_BYTES_MAX, &text, &size);
        if (r == -ENOMEM)
                return r;

        ledger = calloc(1, sizeof(*ledger));
        if (!ledger)
                return -ENOMEM;
        ledger->run_fd = run_fd;
        ledger->proc_fd = proc_fd;
        ledger->fd = -1;
        r = r < 0 ? 0 : lines_take(ledger, text);
        if (r < 0) {
                ledger_free(ledger);
                return r;
        }

        *ret_ledger = ledger;
        return 0;
}

Ledger *ledger_free(Ledger *ledger)
{
        LedgerProcess *process, *next;

        if (!ledger)
                return NULL;

        HASH_ITER (hh, ledger->by_pid, process, next) {
                HASH_DEL(ledger->by_pid, process);
                free(process);
        }
        closep(&ledger->fd);
        free(ledger);
        return NULL;
}

int ledger_note(Ledger *ledger, pid_t pid, uint64_t start_time, LedgerKind kind,
                const LedgerEntry *entry)
{
        LedgerProcess *process = process_take(ledger, pid, start_time);
        char line[LINE_BYTES];
        int r;

        if (!process)
                return -ENOMEM;
        if (!process_add(ledger, process, kind, entry))
                return 0;
        if (ledger->fd < 0 ||
            (ledger->n_lines > LINES_LEAST && ledger->n_lines / 2 > ledger->n_entries))
                return file_rewrite(ledger);

        r = line_format(process, kind, entry, line);
        if (r < 0)
                return r;
        ledger->n_lines++;
        if (write(ledger->fd, line, (size_t)r) != r)
                return file_rewrite(ledger);
        return 0;
}

const LedgerProcess *ledger_find(const Ledger *ledger, pid_t pid, uint64_t start_time)
{
        const LedgerProcess *process = process_find(ledger, pid);

        return process && process->start_time == start_time ? process : NULL;
}

const LedgerProcess *ledger_before(const Ledger *ledger, pid_t pid)
{
        const LedgerProcess *process = process_find(ledger, pid);

        if (!process || !process->is_before || !is_alive(ledger->proc_fd, pid, process->start_time))
                return NULL;
        return process;
}

void ledger_recalled(Ledger *ledger, pid_t pid)
{
        LedgerProcess *process = process_find(ledger, pid);

        if (process)
                process->is_before = false;
}

void ledger_forget(Ledger *ledger, pid_t pid)
{
        LedgerProcess *process = process_find(ledger, pid);

        if (!process)
                return;
        for (LedgerKind kind = 0; kind < LEDGER_KINDS; kind++)
                ledger->n_entries -= process->n_entries[kind];
        HASH_DEL(ledger->by_pid, process);
        free(process);
}

const LedgerProcess *ledger_first(const Ledger *ledger)
{
        return ledger->by_pid;
}
