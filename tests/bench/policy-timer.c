/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs that take the time of what is done to them, or of what others would do. */
#define _GNU_SOURCE
#include <dirent.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "program.h"

/* How often a mapping looks whether it has a policy by now, and for how long. */
#define LOOK_EVERY_NS UINT64_C(50000)
#define LOOK_UP_TO_NS UINT64_C(20000000000)

static bool has_policy(void *address)
{
        int mode = 0;

        expect(syscall(SYS_get_mempolicy, &mode, NULL, 0, address, MPOL_F_ADDR) == 0);
        return mode != MPOL_DEFAULT;
}

/* await FILE N REST_MS OUT: one mapping after the other of a DAX file, each kept until it has a policy,
 * with rests of up to REST_MS between. Writes to OUT how long each had to wait, and says how many got one. */
void run_await(char **arguments)
{
        size_t n = number(arguments[1]), n_placed = 0;
        unsigned rest_us = (unsigned)number(arguments[2]) * 1000 + 1;
        uint64_t *times = calloc(n, sizeof(*times));
        int fd = open(arguments[0], O_RDONLY | O_CLOEXEC);

        expect(fd >= 0 && times);
        say_ready();
        await_line();
        for (size_t i = 0; i < n; i++) {
                uint64_t began = now_ns(), waited = 0;
                void *address = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

                expect(address != MAP_FAILED);
                while (!has_policy(address) && waited < LOOK_UP_TO_NS) {
                        sleep_ns(LOOK_EVERY_NS);
                        waited = now_ns() - began;
                }
                if (waited < LOOK_UP_TO_NS)
                        times[n_placed++] = now_ns() - began;
                expect(munmap(address, PAGE) == 0);
                sleep_ns((uint64_t)random_below(rest_us) * 1000);
        }
        times_write(arguments[3], times, n_placed);
        say("awaited %zu", n_placed);
        await_line();
}

typedef struct Found {
        uint64_t start;
        uint64_t ns;
} Found;

/* Tells of each private mapping of @file in @pid that has not been told of. */
static void poll_process(const char *pid, const char *file, uint64_t *seen, size_t *n_seen,
                         size_t n, int out)
{
        char path[64], line[512];
        FILE *stream;

        snprintf(path, sizeof(path), "/proc/%.20s/maps", pid);
        stream = fopen(path, "re");
        while (stream && fgets(line, sizeof(line), stream)) {
                Found found = { .start = strtoull(line, NULL, 16), .ns = now_ns() };
                const char *mode = strchr(line, ' ');
                bool known = false;

                if (!mode || mode[4] != 'p' || !strstr(line, file))
                        continue;
                for (size_t i = 0; i < *n_seen && !known; i++)
                        known = seen[i] == found.start;
                if (known || *n_seen == n)
                        continue;
                seen[(*n_seen)++] = found.start;
                expect(write(out, &found, sizeof(found)) == (ssize_t)sizeof(found));
        }
        if (stream)
                fclose(stream);
}

/* What a daemon does that hears of nothing: reads the mappings of all processes every so often. */
static void poll_for_ever(const char *file, uint64_t period_ns, size_t n, int out)
{
        uint64_t *seen = calloc(n, sizeof(*seen)), next = now_ns();
        size_t n_seen = 0;

        expect(seen);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
                DIR *proc = opendir("/proc");
                const struct dirent *entry;

                expect(proc);
                while ((entry = readdir(proc)))
                        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
                                poll_process(entry->d_name, file, seen, &n_seen, n, out);
                closedir(proc);
                next += period_ns;
                sleep_until(next);
        }
}

/* poll FILE N PERIOD_S OUT: N mappings at random moments of two periods; OUT: how long until a poller has
 * seen each. What it would do about them comes on top. */
void run_poll(char **arguments)
{
        size_t n = number(arguments[1]);
        uint64_t period_ns = number(arguments[2]) * 1000000000, *times = calloc(n, sizeof(*times));
        Found *made = calloc(n, sizeof(*made)), found;
        int fd = open(arguments[0], O_RDONLY | O_CLOEXEC), up[2];
        uint64_t began = now_ns();
        pid_t pid;

        expect(fd >= 0 && times && made && pipe2(up, O_CLOEXEC) == 0);
        pid = fork();
        expect(pid >= 0);
        if (pid == 0)
                poll_for_ever(arguments[0], period_ns, n, up[1]);

        /* One in each N-th of the time, anywhere in it. */
        for (size_t i = 0; i < n; i++) {
                sleep_until(began + 2 * period_ns * i / n +
                            random_below(1000) * (2 * period_ns / n / 1000));
                made[i].ns = now_ns();
                made[i].start = (uint64_t)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd,
                                               (off_t)(2 * i * PAGE));
                expect((void *)made[i].start != MAP_FAILED);
        }
        for (size_t i = 0; i < n; i++) {
                expect(read(up[0], &found, sizeof(found)) == (ssize_t)sizeof(found));
                for (size_t j = 0; j < n; j++)
                        if (made[j].start == found.start)
                                times[j] = found.ns - made[j].ns;
        }
        expect(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
        times_write(arguments[3], times, n);
}

/* stop PID N STOPPED ASKED: seizes, interrupts and lets it go so many times, as any debugger would;
 * STOPPED: from the stop until it is let go, ASKED: from the interrupt until then. */
void run_stop(char **arguments)
{
        pid_t pid = (pid_t)number(arguments[0]);
        size_t n = number(arguments[1]);
        uint64_t *stopped = calloc(n, sizeof(*stopped)), *asked = calloc(n, sizeof(*asked));

        expect(stopped && asked);
        for (size_t i = 0; i < n; i++) {
                uint64_t began, at, gone;
                int status;

                expect(ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0);
                began = now_ns();
                expect(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0);
                expect(waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status));
                at = now_ns();
                expect(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0);
                gone = now_ns();
                stopped[i] = gone - at;
                asked[i] = gone - began;
                sleep_ns((uint64_t)random_below(10000) * 1000);
        }
        times_write(arguments[2], stopped, n);
        times_write(arguments[3], asked, n);
}

/* maps FILE N: maps and unmaps it N times; says what that took of its own processor, in ns. */
void run_maps(char **arguments)
{
        int fd = open(arguments[0], O_RDONLY | O_CLOEXEC);
        size_t n = number(arguments[1]);
        uint64_t began;

        expect(fd >= 0);
        say_ready();
        await_line();
        began = cpu_ns();
        for (size_t i = 0; i < n; i++) {
                void *address = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

                expect(address != MAP_FAILED && munmap(address, PAGE) == 0);
        }
        say("mapped %llu", (unsigned long long)((cpu_ns() - began) / n));
        await_line();
}
