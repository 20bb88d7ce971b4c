/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "daemon/kernel/process.h"
#include "daemon/kernel/referenced.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

#define PAGE  ((size_t)4096)
#define PAGES ((size_t)4096)

/* It has 16 MiB, and reads the first half whenever it is told to. */
typedef struct Child {
        pid_t pid;
        int in, out;
        int process_fd, pidfd;
} Child;

_Noreturn static void child_main(int in, int out)
{
        volatile char *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        char byte = 0;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        madvise((void *)map, PAGES * PAGE, MADV_NOHUGEPAGE);
        for (size_t i = 0; i < PAGES; i++)
                map[i * PAGE] = 1;
        do {
                for (size_t i = 0; i < PAGES / 2; i++)
                        byte = (char)(byte + map[i * PAGE]);
        } while (write(out, &byte, 1) == 1 && read(in, &byte, 1) == 1);
        _exit(0);
}

static void child_await(const Child *child)
{
        char byte;

        cr_assert_eq(read(child->out, &byte, 1), 1);
}

static Child child_new(void)
{
        int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), in[2], out[2];
        Child child;

        cr_assert_eq(pipe(in), 0);
        cr_assert_eq(pipe(out), 0);
        child = (Child){ .pid = fork(), .in = in[1], .out = out[0] };
        if (child.pid == 0)
                child_main(in[0], out[1]);
        child_await(&child);
        child.pidfd = pidfd_open(child.pid, 0);
        cr_assert_eq(process_open(proc_fd, child.pid, &child.process_fd), 0);
        close(proc_fd);
        return child;
}

static void child_end(const Child *child)
{
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
}

Test(referenced, tells_the_half_that_is_not_read, .timeout = 60)
{
        Child child = child_new();
        uint64_t bytes, idle, before;

        cr_assert_eq(referenced_read(child.process_fd, &bytes, &before), 0);
        cr_assert_geq(bytes, PAGES * PAGE);
        cr_assert_lt(before, PAGES / 2 * PAGE, "it has just written to all of it");

        cr_assert_eq(referenced_mark(child.process_fd, child.pidfd), 0);
        cr_assert_eq(write(child.in, "", 1), 1);
        child_await(&child);
        cr_assert_eq(referenced_read(child.process_fd, &bytes, &idle), 0);
        cr_expect_geq(idle, PAGES / 2 * PAGE, "%zu KiB", (size_t)idle / 1024);
        cr_expect_leq(idle, bytes - PAGES / 2 * PAGE, "%zu of %zu KiB", (size_t)idle / 1024,
                      (size_t)bytes / 1024);
        child_end(&child);
}

Test(referenced, of_a_process_that_is_gone_says_so)
{
        Child child = child_new();
        uint64_t bytes = 1, idle = 2;

        child_end(&child);
        cr_assert_eq(referenced_mark(child.process_fd, child.pidfd), -ESRCH);
        cr_assert_eq(referenced_read(child.process_fd, &bytes, &idle), -ESRCH);
        cr_assert_eq(bytes, 1);
        cr_assert_eq(idle, 2);
}

#define ENTRY(head, rss, pss, referenced)                                                          \
        head "\n"                                                                                  \
             "Size:               1024 kB\n"                                                       \
             "Rss:                " rss " kB\n"                                                    \
             "Pss:                " pss " kB\n"                                                    \
             "Pss_Dirty:          " pss " kB\n"                                                    \
             "Referenced:         " referenced " kB\n"                                             \
             "Anonymous:          " rss " kB\n"                                                    \
             "VmFlags: rd wr mr mw me ac sd\n"

Test(referenced, counts_anonymous_memory_alone_and_its_own_part_of_what_is_shared)
{
        static const char smaps[] = ENTRY("00400000-00500000 rw-p 00000000 fe:01 42 /usr/bin/cat",
                                          "512", "512", "0")
                ENTRY("01000000-01100000 rw-p 00000000 00:00 0 [heap]", "400", "400", "100") ENTRY(
                        "7f0000000000-7f0000100000 rw-p 00000000 00:00 0 ", "800", "200", "400")
                        ENTRY("7f0000200000-7f0000300000 rw-p 00000000 00:00 0 [anon:x]", "8", "8",
                              "12") ENTRY("7ffe00000000-7ffe00100000 rw-p 00000000 00:00 0 [stack]",
                                          "64", "64", "0");
        _cleanup_(scratch_freep) Scratch tree = scratch_new();
        uint64_t bytes, idle;

        scratch_write(&tree, "smaps", smaps, strlen(smaps));
        cr_assert_eq(referenced_read(tree.fd, &bytes, &idle), 0);
        cr_expect_eq(bytes, (400 + 200 + 8) * 1024);
        cr_expect_eq(idle, (300 + 100) * 1024);
}
