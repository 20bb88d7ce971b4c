/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "daemon/kernel/node.h"
#include "daemon/sampler.h"
#include "policy/macro.h"
#include "tests/unit/child.h"

#define PAGE    ((size_t)4096)
#define N_PAGES ((size_t)2048)

typedef struct Bench {
        sd_event *event;
        int proc_fd;
        Tiers tiers;
        Sampler *sampler;
} Bench;

static Bench *bench_new(void)
{
        static Bench bench;

        bench.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(sd_event_new(&bench.event), 0);
        cr_assert_eq(sampler_new(bench.event, bench.proc_fd, &bench.tiers, &bench.sampler), 0);
        return &bench;
}

static void bench_freep(Bench **bench)
{
        sampler_free((*bench)->sampler);
        sd_event_unref((*bench)->event);
        close((*bench)->proc_fd);
}

static bool has_timer(const Bench *bench)
{
        int r = sd_event_prepare(bench->event);

        cr_assert_geq(r, 0);
        if (r == 0)
                r = sd_event_wait(bench->event, 0);
        return r > 0;
}

static uint64_t start_of(const Child *child)
{
        uint64_t start_time;

        cr_assert_eq(process_start_time(child->process_fd, &start_time), 0);
        return start_time;
}

/* One turn of the loop; waits for a look. */
static void turn(const Bench *bench)
{
        cr_assert_gt(sd_event_run(bench->event, 10 * 1000000), 0);
}

static void touch(void *data)
{
        memset(data, 'x', N_PAGES * PAGE);
}

static char *memory_new(void)
{
        char *memory = mmap(NULL, N_PAGES * PAGE, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        cr_assert_neq(memory, MAP_FAILED);
        (void)madvise(memory, N_PAGES * PAGE, MADV_NOHUGEPAGE);
        return memory;
}

Test(sampler, without_a_process_there_is_nothing_to_wait_for)
{
        _cleanup_(bench_freep) Bench *bench = bench_new();
        _cleanup_(child_freep) Child child = child_new(NULL, NULL);

        cr_assert_not(has_timer(bench));
        cr_assert_eq(sampler_want(bench->sampler, child.pid, start_of(&child), 0), 0);
        cr_assert(has_timer(bench));
        cr_assert_geq(sd_event_dispatch(bench->event), 0);
        sampler_leave(bench->sampler, child.pid);
        sampler_leave(bench->sampler, child.pid);
        cr_assert_eq(sd_event_run(bench->event, 0), 0);
}

Test(sampler, one_that_has_ended_is_not_waited_for)
{
        _cleanup_(bench_freep) Bench *bench = bench_new();
        Child child = child_new(NULL, NULL);

        cr_assert_eq(sampler_want(bench->sampler, child.pid, start_of(&child), 0), 0);
        child_end(&child);
        child_reap(&child);
        turn(bench);
        cr_assert_eq(sd_event_run(bench->event, 0), 0);
        cr_assert_eq(sampler_count(bench->sampler, child.pid).moved_bytes, 0);
        close(child.process_fd);
}

/* To @node with all of it. */
static void move_to(const Child *child, char *memory, int node)
{
        static void *addresses[N_PAGES];
        static int nodes[N_PAGES], status[N_PAGES];

        for (size_t i = 0; i < N_PAGES; i++) {
                addresses[i] = memory + i * PAGE;
                nodes[i] = node;
        }
        cr_assert_geq(syscall(SYS_move_pages, child->pid, N_PAGES, addresses, nodes, status, 2), 0,
                      "%m");
}

/* The first two nodes with memory. */
static bool find_nodes(int node[static 2])
{
        _cleanup_(closep) int sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(freep) Node *nodes = NULL;
        size_t n_nodes, n = 0;

        if (nodes_read(sys_fd, &nodes, &n_nodes) < 0)
                return false;
        for (size_t i = 0; i < n_nodes && n < 2; i++)
                if (nodes[i].has_memory)
                        node[n++] = (int)nodes[i].id;
        return n == 2;
}

static bool is_about(uint64_t bytes, uint64_t wanted)
{
        return bytes > wanted - wanted / 4 && bytes < wanted + wanted / 4;
}

Test(sampler, sees_what_goes_to_and_fro)
{
        _cleanup_(bench_freep) Bench *bench = bench_new();
        _cleanup_(child_freep) Child child = { .process_fd = -1 };
        char *memory = memory_new();
        SampleCount count;
        int node[2];

        if (!find_nodes(node))
                cr_skip_test("memory cannot move on a machine of one node");
        nodeset_add(&bench->tiers.fast, (unsigned)node[0]);
        nodeset_add(&bench->tiers.cheap, (unsigned)node[1]);
        child = child_new(touch, memory);
        move_to(&child, memory, node[0]);

        cr_assert_eq(sampler_want(bench->sampler, child.pid, start_of(&child), 0), 0);
        turn(bench);
        move_to(&child, memory, node[1]);
        /* A window of an hour: what follows is within it, and looks are far apart. Asking for
         * another window brings the next look forward. */
        cr_assert_eq(
                sampler_want(bench->sampler, child.pid, start_of(&child), UINT64_C(3600000000)), 0);
        turn(bench);
        count = sampler_count(bench->sampler, child.pid);
        cr_assert(is_about(count.moved_bytes, N_PAGES * PAGE), "%zu", (size_t)count.moved_bytes);
        cr_assert_eq(count.to_cheap_bytes, count.moved_bytes);
        cr_assert_eq(count.re_moved_bytes, 0);

        move_to(&child, memory, node[0]);
        cr_assert_eq(
                sampler_want(bench->sampler, child.pid, start_of(&child), UINT64_C(3600000001)), 0);
        turn(bench);
        count = sampler_total(bench->sampler);
        cr_assert(is_about(count.re_moved_bytes, N_PAGES * PAGE), "%zu",
                  (size_t)count.re_moved_bytes);
        cr_assert_eq(count.to_fast_bytes, count.to_cheap_bytes);

        sampler_leave(bench->sampler, child.pid);
        cr_assert_eq(sampler_count(bench->sampler, child.pid).moved_bytes, 0);
        cr_assert_eq(sampler_total(bench->sampler).moved_bytes, count.moved_bytes);
}
