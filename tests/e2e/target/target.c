/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "target.h"

#define WORD_WRITTEN   100
#define MPOL_PREFERRED 1

Mapping mapping;
const char *file_path;
volatile sig_atomic_t signals;

void say(const char *format, ...)
{
        char line[512];
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vsnprintf(line, sizeof(line) - 1, format, arguments);
        va_end(arguments);
        if (n < 0)
                _exit(TARGET_HARMED);
        if ((size_t)n > sizeof(line) - 2)
                n = sizeof(line) - 2;
        line[n++] = '\n';
        if (write(STDOUT_FILENO, line, (size_t)n) != n)
                _exit(TARGET_HARMED);
}

/* A byte at a time, since a child shares the input. */
const char *read_line(void)
{
        static _Thread_local char line[256];
        size_t n = 0;

        for (;;) {
                ssize_t r = read(STDIN_FILENO, line + n, 1);

                if (r == 0)
                        _exit(0);
                expect(r == 1 && n < sizeof(line) - 1);
                if (line[n] == '\n') {
                        line[n] = 0;
                        return line;
                }
                n++;
        }
}

uint64_t now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t file_word(size_t page, size_t word)
{
        return strcmp(file_path, "-") == 0 ? 0 : UINT64_C(0xda) << 56 | page << 16 | word;
}

void write_page(uint64_t *words, size_t page)
{
        ((volatile uint64_t *)words)[WORD_WRITTEN] = ~file_word(page, WORD_WRITTEN);
}

bool page_is_right(const uint64_t *words, size_t page, bool written)
{
        for (size_t i = 0; i < WORDS; i++) {
                uint64_t wanted = file_word(page, i);

                if (words[i] != (written && i == WORD_WRITTEN ? ~wanted : wanted))
                        return false;
        }
        return true;
}

/* For reading only: that is enough for a private mapping. */
int file_open(void)
{
        int fd = open(file_path, O_RDONLY | O_CLOEXEC);

        expect(fd >= 0);
        return fd;
}

static void map_pages(int protection, size_t n_pages)
{
        void *start;

        if (strcmp(file_path, "-") == 0) {
                start = mmap(NULL, n_pages * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        } else {
                int fd = file_open();
                struct stat status;

                expect(fstat(fd, &status) == 0);
                if (n_pages == 0)
                        n_pages = (size_t)status.st_size / PAGE;
                start = mmap(NULL, n_pages * PAGE, protection, MAP_PRIVATE, fd, 0);
                close(fd);
        }
        expect(start != MAP_FAILED);
        mapping.words = start;
        mapping.n_pages = n_pages;
        mapping.written = calloc(n_pages, sizeof(bool));
        expect(mapping.written);
        /* As numa_maps has it. */
        say("mapped %08lx", (unsigned long)start);
}

static void command_map(const char *argument)
{
        map_pages(PROT_READ | PROT_WRITE, strtoul(argument, NULL, 10));
}

static void command_mapro(const char *argument)
{
        map_pages(PROT_READ, strtoul(argument, NULL, 10));
}

static void command_protect(const char *argument)
{
        (void)argument;
        expect(mprotect(mapping.words, mapping.n_pages * PAGE, PROT_READ | PROT_WRITE) == 0);
        say("protected");
}

static void command_unmap(const char *argument)
{
        (void)argument;
        expect(munmap(mapping.words, mapping.n_pages * PAGE) == 0);
        mapping = (Mapping){};
        say("unmapped");
}

/* "write" or "write FIRST N" pages. */
static void command_write(const char *argument)
{
        size_t first = 0, n = mapping.n_pages;

        if (*argument)
                expect(sscanf(argument, "%zu %zu", &first, &n) == 2);
        for (size_t i = first; i < first + n && i < mapping.n_pages; i++) {
                write_page(mapping.words + i * WORDS, i);
                mapping.written[i] = true;
        }
        say("written");
}

static void command_check(const char *argument)
{
        (void)argument;
        for (size_t i = 0; i < mapping.n_pages; i++)
                if (!page_is_right(mapping.words + i * WORDS, i, mapping.written[i])) {
                        say("wrong page %zu", i);
                        return;
                }
        say("ok");
}

static void command_unlink(const char *argument)
{
        (void)argument;
        expect(unlink(file_path) == 0);
        say("unlinked");
}

/* A policy of its own: prefer that node. */
static void command_own(const char *argument)
{
        unsigned long mask = 1ul << strtoul(argument, NULL, 10);

        expect(syscall(SYS_mbind, mapping.words, mapping.n_pages * PAGE, MPOL_PREFERRED, &mask,
                       sizeof(mask) * 8, 0) == 0);
        say("owned");
}

/* Our pid as who mounted /proc counts, which is whom the test asks about us. */
static long outer_pid(void)
{
        char text[32] = "";

        expect(readlink("/proc/self", text, sizeof(text) - 1) > 0);
        return strtol(text, NULL, 10);
}

void hand_to_child(const char *what)
{
        pid_t pid = fork();
        int status;

        expect(pid >= 0);
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                say("%s %ld", what, outer_pid());
                return;
        }
        expect(waitpid(pid, &status, 0) == pid);
        say("child %d", status);
}

static void command_fork(const char *argument)
{
        (void)argument;
        hand_to_child("forked");
}

/* Everything that a container has but its own root directory. */
static void command_unshare(const char *argument)
{
        (void)argument;
        expect(unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWCGROUP) == 0);
        hand_to_child("unshared");
}

/* "exec": begin anew. "exec N": map, write, check and execute N times. */
static void command_exec(const char *argument)
{
        execl("/proc/self/exe", "target", file_path, *argument ? argument : NULL, (char *)NULL);
        expect(false);
}

/* From now on mbind() and set_mempolicy() are deadly. */
static void command_seccomp(const char *argument)
{
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mbind, 1, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_set_mempolicy, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { .len = ARRAY_SIZE(filter), .filter = filter };

        (void)argument;
        expect(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        expect(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
        say("filtered");
}

static void command_exit(const char *argument)
{
        _exit((int)strtol(argument, NULL, 10));
}

static const Command commands[] = {
        { "map", command_map },         { "mapro", command_mapro }, { "protect", command_protect },
        { "unmap", command_unmap },     { "write", command_write }, { "check", command_check },
        { "unlink", command_unlink },   { "own", command_own },     { "fork", command_fork },
        { "unshare", command_unshare }, { "exec", command_exec },   { "seccomp", command_seccomp },
        { "open", command_open },       { "wait", command_wait },   { "threads", command_threads },
        { "join", command_join },       { "many", command_many },   { "churn", command_churn },
        { "tree", command_tree },       { "exit", command_exit },   { "grow", command_grow },
        { "right", command_right },     { "fresh", command_fresh }, { "workers", command_workers },
        { "each", command_each },       { "rest", command_rest },   { "family", command_family },
        { "prefer", command_prefer },   { "spin", command_spin },
};

static void obey(const char *line)
{
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
                size_t n = strlen(commands[i].name);

                if (strncmp(line, commands[i].name, n) == 0 && (!line[n] || line[n] == ' ')) {
                        commands[i].run(line[n] ? line + n + 1 : "");
                        return;
                }
        }
        say("no such command: %s", line);
}

static void execute_again(const char *left)
{
        char next[24];
        unsigned long n = strtoul(left, NULL, 10);

        snprintf(next, sizeof(next), "%lu", n - 1);
        command_map("");
        command_write("");
        command_check("");
        if (n > 0)
                command_exec(next);
        say("executed");
}

static void on_signal(int signal)
{
        (void)signal;
        signals++;
}

int main(int argc, char **argv)
{
        struct sigaction action = { .sa_handler = on_signal };
        int r;

        if (argc < 2)
                return 2;
        r = other_main(argc, argv);
        if (r != 2)
                return r;

        file_path = argv[1];
        expect(sigaction(SIGUSR1, &action, NULL) == 0);
        if (argc > 2)
                execute_again(argv[2]);
        else
                say("ready %ld", outer_pid());
        for (;;)
                obey(read_line());
}
