/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/process.h"
#include "daemon/ledger.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

static int proc_fd;
static Scratch scratch;
static Ledger *ledger;

static void reopen(void)
{
        ledger_free(ledger);
        ledger = NULL;
        cr_assert_eq(ledger_open(scratch.fd, proc_fd, &ledger), 0);
}

static void setup(void)
{
        proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        scratch = scratch_new();
        reopen();
}

static void teardown(void)
{
        ledger_free(ledger);
        scratch_freep(&scratch);
        close(proc_fd);
}

static uint64_t start_time_of(pid_t pid)
{
        _cleanup_(closep) int fd = -1;
        uint64_t start_time;

        cr_assert_eq(process_open(proc_fd, pid, &fd), 0);
        cr_assert_eq(process_start_time(fd, &start_time), 0);
        return start_time;
}

static LedgerEntry entry_of(const char *nodes, bool strict)
{
        LedgerEntry entry = { .strict = strict, .pause_max_ns = 1000000 };

        cr_assert_eq(nodeset_parse(nodes, &entry.nodes), 0);
        return entry;
}

static void note(pid_t pid, LedgerKind kind, const char *nodes, bool strict)
{
        LedgerEntry entry = entry_of(nodes, strict);

        cr_assert_eq(ledger_note(ledger, pid, start_time_of(pid), kind, &entry), 0);
}

static void expect_entry(pid_t pid, LedgerKind kind, size_t at, const char *nodes, bool strict)
{
        const LedgerProcess *process = ledger_find(ledger, pid, start_time_of(pid));
        LedgerEntry entry = entry_of(nodes, strict);

        cr_assert_not_null(process);
        cr_assert_gt(process->n_entries[kind], at);
        cr_expect(nodeset_equal(&process->entries[kind][at].nodes, &entry.nodes));
        cr_expect_eq(process->entries[kind][at].strict, strict);
        cr_expect_eq(process->entries[kind][at].pause_max_ns, entry.pause_max_ns);
}

static size_t file_lines(void)
{
        _cleanup_(freep) char *text = NULL;
        size_t size, n = 0;

        cr_assert_eq(attr_read_all(scratch.fd, "given", 16 << 20, &text, &size), 0);
        for (size_t i = 0; i < size; i++)
                n += text[i] == '\n';
        return n;
}

static pid_t child_start(void)
{
        pid_t parent = getpid(), pid = fork();

        cr_assert_geq(pid, 0);
        if (pid == 0) {
                while (getppid() == parent)
                        pause();
                _exit(0);
        }
        return pid;
}

static void child_end(pid_t pid)
{
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

TestSuite(ledger, .init = setup, .fini = teardown);

Test(ledger, what_was_given_is_known_to_the_next_run)
{
        note(getpid(), LEDGER_COPIES, "1", false);
        note(getpid(), LEDGER_COPIES, "2-3", true);
        note(getpid(), LEDGER_ANON, "1,70", false);
        cr_expect_not(ledger_find(ledger, getpid(), start_time_of(getpid()))->is_before);

        reopen();
        expect_entry(getpid(), LEDGER_COPIES, 0, "2-3", true);
        expect_entry(getpid(), LEDGER_COPIES, 1, "1", false);
        expect_entry(getpid(), LEDGER_ANON, 0, "1,70", false);
        cr_expect_eq(ledger_first(ledger)->pid, getpid());
        cr_expect_null(ledger_first(ledger)->hh.next);

        cr_expect(ledger_first(ledger)->is_before);
        cr_expect_eq(ledger_before(ledger, getpid()), ledger_first(ledger));
        cr_expect_null(ledger_before(ledger, getppid()));
        ledger_recalled(ledger, getpid());
        cr_expect_not(ledger_first(ledger)->is_before);
        cr_expect_null(ledger_before(ledger, getpid()));
        cr_expect_eq(file_lines(), 3);
}

Test(ledger, the_same_again_costs_nothing)
{
        for (int i = 0; i < 100; i++)
                note(getpid(), LEDGER_ANON, "1", false);
        cr_expect_eq(file_lines(), 1);
}

Test(ledger, of_many_the_latest_are_kept)
{
        const char *const nodes[] = { "1", "2", "3", "4", "5", "3" };

        for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
                note(getpid(), LEDGER_COPIES, nodes[i], false);
        reopen();
        cr_expect_eq(ledger_first(ledger)->n_entries[LEDGER_COPIES], LEDGER_ENTRIES_MAX);
        expect_entry(getpid(), LEDGER_COPIES, 0, "3", false);
        expect_entry(getpid(), LEDGER_COPIES, 1, "5", false);
        expect_entry(getpid(), LEDGER_COPIES, 2, "4", false);
        expect_entry(getpid(), LEDGER_COPIES, 3, "2", false);
}

Test(ledger, one_that_has_ended_is_forgotten)
{
        pid_t pid = child_start(), other = child_start();
        uint64_t start_time = start_time_of(pid), of_other = start_time_of(other);
        LedgerEntry entry = entry_of("1", false);

        note(pid, LEDGER_ANON, "1", false);
        note(other, LEDGER_ANON, "1", false);
        ledger_forget(ledger, pid);
        cr_expect_null(ledger_find(ledger, pid, start_time));
        child_end(other);
        reopen();
        cr_expect_null(ledger_find(ledger, other, of_other), "it ended in between");

        /* Another one had its number before. */
        cr_assert_eq(ledger_note(ledger, pid, start_time - 1, LEDGER_ANON, &entry), 0);
        reopen();
        cr_expect_null(ledger_find(ledger, pid, start_time - 1));
        cr_assert_eq(ledger_note(ledger, pid, start_time - 1, LEDGER_ANON, &entry), 0);
        cr_expect_null(ledger_find(ledger, pid, start_time));
        note(pid, LEDGER_COPIES, "1", false);
        cr_expect_null(ledger_find(ledger, pid, start_time - 1));
        cr_expect_eq(ledger_find(ledger, pid, start_time)->n_entries[LEDGER_ANON], 0);
        reopen();
        cr_expect_not_null(ledger_before(ledger, pid));
        child_end(pid);
        cr_expect_null(ledger_before(ledger, pid), "it ended since");
}

Test(ledger, damaged_lines_are_left_out)
{
        char text[512];
        int length;

        note(getpid(), LEDGER_ANON, "1", false);
        length = snprintf(text, sizeof(text),
                          "nonsense\n\n%1$d %2$lu anon prefer 5 \n%1$d %2$lu anon prefer 5 1-\n"
                          "%1$d %2$lu else prefer 5 1\n%1$d %2$lu anon other 5 1\n"
                          "-1 %2$lu anon prefer 5 1\n%1$d %2$lu copies bind 1000000 4\n"
                          "%1$d %2$lu anon prefer 5 7",
                          getpid(), start_time_of(getpid()));
        scratch_write(&scratch, "given", text, (size_t)length);
        reopen();
        expect_entry(getpid(), LEDGER_COPIES, 0, "4", true);
        cr_expect_eq(ledger_first(ledger)->n_entries[LEDGER_ANON], 0);
        note(getpid(), LEDGER_ANON, "2", false);
        cr_expect_eq(file_lines(), 2);
}

/* A dry run beside the service. */
Test(ledger, who_only_reads_changes_nothing)
{
        Ledger *other;

        note(getpid(), LEDGER_COPIES, "1", false);
        cr_assert_eq(ledger_open(scratch.fd, proc_fd, &other), 0);
        cr_expect_not_null(ledger_first(other));
        note(getpid(), LEDGER_COPIES, "2", false);
        ledger_free(other);
        reopen();
        expect_entry(getpid(), LEDGER_COPIES, 0, "2", false);
}

Test(ledger, the_file_does_not_grow_without_end)
{
        for (int i = 0; i < 10000; i++)
                note(getpid(), LEDGER_ANON, i % 2 == 0 ? "1" : "2", false);
        cr_expect_lt(file_lines(), 2000);
        reopen();
        expect_entry(getpid(), LEDGER_ANON, 0, "2", false);
}

Test(ledger, a_file_that_is_lost_is_made_anew)
{
        struct stat st;

        note(getpid(), LEDGER_ANON, "1", false);
        cr_assert_eq(unlinkat(scratch.fd, "given", 0), 0);
        reopen();
        cr_expect_null(ledger_first(ledger));
        note(getpid(), LEDGER_ANON, "1", false);
        cr_expect_eq(file_lines(), 1);
        cr_assert_eq(fstatat(scratch.fd, "given", &st, 0), 0);
        cr_expect_eq(st.st_mode & 0777, 0600);
}
