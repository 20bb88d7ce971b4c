/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a mover from a shell, on the machine as it is: for tests and measurements on real nodes.
 *
 *      mover-drive move PID NODE RATE PAUSE_NS            all anonymous memory of a process
 *      mover-drive bounce PID NODE NODE RATE PAUSE_NS S   to and fro between two nodes, for so long
 *      mover-drive raw PID NODE                           the same in one move_pages(2) call
 *
 * "max": no limit. Prints one line of "name=value". */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "daemon/kernel/maps.h"
#include "daemon/kernel/process.h"
#include "daemon/mover.h"
#include "policy/macro.h"
#include "policy/match.h"

static MoverRoots roots;
static uint64_t pause_max_ns;
static uint64_t n_calls, n_long_calls, longest_ns;

_Noreturn static void die(const char *what, int error)
{
        fprintf(stderr, "mover-drive: %s: %s\n", what, strerror(-error));
        exit(1);
}

static uint64_t number(const char *text)
{
        char *end;
        uint64_t value;

        if (strcmp(text, "max") == 0)
                return UINT64_MAX;
        errno = 0;
        value = strtoull(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0')
                die(text, -EINVAL);
        return value;
}

static uint64_t cpu_ns(void)
{
        struct timespec used;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        return (uint64_t)used.tv_sec * NSEC_PER_SEC + (uint64_t)used.tv_nsec;
}

/* The real one, and how long it took. */
static long timed_move_pages(pid_t pid, size_t n, void **addresses, const int *nodes, int *status,
                             int flags)
{
        uint64_t began = mover_now(), took;
        long r = syscall(SYS_move_pages, pid, n, addresses, nodes, status, flags);
        int error = errno;

        took = mover_now() - began;
        if (nodes) {
                n_calls++;
                n_long_calls += took > pause_max_ns;
                longest_ns = took > longest_ns ? took : longest_ns;
        }
        errno = error;
        return r;
}

static uint64_t start_time(pid_t pid, int *ret_process_fd)
{
        uint64_t ticks;
        int r;

        r = process_open(roots.proc_fd, pid, ret_process_fd);
        if (r >= 0)
                r = process_start_time(*ret_process_fd, &ticks);
        if (r < 0)
                die("no such process", r);
        return ticks;
}

static RelocateResult move(pid_t pid, unsigned node, uint64_t rate, uint64_t *ret_cpu_ns)
{
        _cleanup_(closep) int process_fd = -1;
        RelocateRequest request = {
                .pid = pid,
                .start_time = start_time(pid, &process_fd),
                .cgroup = "/",
                .anonymous = true,
                .rate = rate,
                .bytes_max = UINT64_MAX,
                .pause_max_ns = pause_max_ns,
                .engines = RELOCATE_ENGINES_ALL,
        };
        uint64_t began = cpu_ns();
        Mover mover;
        int r;

        nodeset_add(&request.nodes, node);
        mover_init(&request, &roots, -1, &mover);
        r = mover_open(&mover);
        if (r >= 0) {
                mover.finder.move_pages = timed_move_pages;
                r = mover_run(&mover);
        }
        mover_finish(&mover, r);
        mover_deinit(&mover);
        *ret_cpu_ns = cpu_ns() - began;
        return mover.result;
}

static void print(const RelocateResult *result, uint64_t cpu)
{
        printf("error=%d moved=%" PRIu64 " left=%" PRIu64 " elapsed_ns=%" PRIu64 " cpu_ns=%" PRIu64
               " calls=%" PRIu64 " long_calls=%" PRIu64 " longest_ns=%" PRIu64 " reason=%s\n",
               result->error, result->moved_bytes, result->left_bytes, result->elapsed_ns, cpu,
               n_calls, n_long_calls, longest_ns, result->reason);
}

static void bounce(pid_t pid, const unsigned nodes[static 2], uint64_t rate, uint64_t seconds)
{
        struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGTERM };
        struct itimerspec when = { .it_value.tv_sec = (time_t)seconds };
        RelocateResult all = {};
        uint64_t began, cpu = 0;
        sigset_t set;
        timer_t timer;

        /* The mover's own way to be told to stop. */
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 ||
            timer_settime(timer, 0, &when, NULL) < 0)
                die("timer", -errno);

        began = mover_now();
        for (unsigned i = 0; all.error == 0; i++) {
                uint64_t used = 0;
                RelocateResult result = move(pid, nodes[i % 2], rate, &used);

                all.error = result.error;
                all.moved_bytes += result.moved_bytes;
                memcpy(all.reason, result.reason, sizeof(all.reason));
                cpu += used;
        }
        all.elapsed_ns = mover_now() - began;
        print(&all, cpu);
}

/* Every page of the mappings, as one who knows nothing of huge ones. */
static size_t addresses_list(int process_fd, void ***ret_addresses)
{
        const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
        Mapping *mappings = NULL;
        void **addresses = NULL;
        size_t n_mappings = 0, n = 0;
        int r;

        r = maps_read(process_fd, &mappings, &n_mappings);
        if (r < 0)
                die("maps", r);
        for (size_t i = 0; i < n_mappings; i++) {
                size_t n_pages = (size_t)((mappings[i].end - mappings[i].start) / page_size);

                if (!anon_match(&mappings[i]))
                        continue;
                addresses = reallocarray(addresses, n + n_pages, sizeof(*addresses));
                if (!addresses)
                        die("memory", -ENOMEM);
                for (size_t j = 0; j < n_pages; j++)
                        addresses[n++] = (void *)(uintptr_t)(mappings[i].start + j * page_size);
        }
        mappings_free(mappings, n_mappings);
        *ret_addresses = addresses;
        return n;
}

static void raw(pid_t pid, unsigned node)
{
        _cleanup_(closep) int process_fd = -1;
        _cleanup_(freep) void **addresses = NULL;
        _cleanup_(freep) int *nodes = NULL, *status = NULL;
        RelocateResult result = {};
        uint64_t began, cpu;
        size_t n;
        long r;

        (void)start_time(pid, &process_fd);
        n = addresses_list(process_fd, &addresses);
        nodes = calloc(n, sizeof(*nodes));
        status = calloc(n, sizeof(*status));
        if (!nodes || !status)
                die("memory", -ENOMEM);
        for (size_t i = 0; i < n; i++) {
                nodes[i] = (int)node;
                status[i] = -1;
        }

        cpu = cpu_ns();
        began = mover_now();
        r = timed_move_pages(pid, n, addresses, nodes, status, 4 /* MPOL_MF_MOVE_ALL */);
        result.error = r < 0 ? -errno : 0;
        result.elapsed_ns = mover_now() - began;
        cpu = cpu_ns() - cpu;
        for (size_t i = 0; i < n; i++)
                result.moved_bytes += status[i] == (int)node ? (uint64_t)sysconf(_SC_PAGESIZE) : 0;
        result.left_bytes = r > 0 ? (uint64_t)r * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
        print(&result, cpu);
}

int main(int argc, char *argv[])
{
        const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
        RelocateResult result;
        uint64_t cpu = 0;

        roots = (MoverRoots){ .sys_fd = open("/sys", flags),
                              .proc_fd = open("/proc", flags),
                              .cgroup_fd = -1,
                              .run_fd = open("/run", flags) };
        if (argc == 6 && strcmp(argv[1], "move") == 0) {
                pause_max_ns = number(argv[5]);
                result = move((pid_t)number(argv[2]), (unsigned)number(argv[3]), number(argv[4]),
                              &cpu);
                print(&result, cpu);
        } else if (argc == 8 && strcmp(argv[1], "bounce") == 0) {
                const unsigned nodes[] = { (unsigned)number(argv[3]), (unsigned)number(argv[4]) };

                pause_max_ns = number(argv[6]);
                bounce((pid_t)number(argv[2]), nodes, number(argv[5]), number(argv[7]));
        } else if (argc == 4 && strcmp(argv[1], "raw") == 0) {
                pause_max_ns = UINT64_MAX;
                raw((pid_t)number(argv[2]), (unsigned)number(argv[3]));
        } else
                die("usage: move PID NODE RATE PAUSE | bounce PID NODE NODE RATE PAUSE S | raw PID NODE",
                    -EINVAL);
        return 0;
}
