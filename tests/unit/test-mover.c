/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/kernel/node.h"
#include "daemon/kernel/process.h"
#include "daemon/mover.h"
#include "policy/macro.h"
#include "tests/unit/damon-tree.h"

/* A child with PAGES written pages, and a /sys on which only what a test puts there is to be had:
 * what is moved in earnest takes two nodes and a DAX filesystem. */

#define PAGE  ((size_t)4096)
#define PAGES ((size_t)256)

/* A node that this machine does not have, but the tree does. */
#define ELSEWHERE 5u

static Scratch sys, run;
static MoverRoots roots;
static pid_t child;
static RelocateRange range;
static RelocateRequest request;
static Mover mover;

static void put_node(unsigned node, const char *free_kib)
{
        char path[64], text[128];

        snprintf(path, sizeof(path), "devices/system/node/node%u/meminfo", node);
        snprintf(text, sizeof(text), "Node %u MemTotal: 4194304 kB\nNode %u MemFree: %s kB\n", node,
                 node, free_kib);
        put(&sys, path, text);
}

static void setup(void)
{
        char *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                         -1, 0);
        int process_fd;

        cr_assert_neq(map, MAP_FAILED);
        memset(map, 'w', PAGES * PAGE);
        child = fork();
        if (child == 0)
                for (;;)
                        pause();

        sys = kernel_with_damon();
        run = scratch_new();
        roots = (MoverRoots){ .sys_fd = sys.fd,
                              .proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                              .cgroup_fd = -1,
                              .run_fd = run.fd };
        put_node(ELSEWHERE, "1048576");

        range = (RelocateRange){ .start = (uintptr_t)map,
                                 .end = (uintptr_t)map + PAGES * PAGE,
                                 .dax = true };
        request = (RelocateRequest){ .pid = child,
                                     .cgroup = "/",
                                     .ranges = &range,
                                     .n_ranges = 1,
                                     .rate = UINT64_MAX,
                                     .bytes_max = UINT64_MAX,
                                     .engines = RELOCATE_ENGINES_ALL };
        nodeset_add(&request.nodes, ELSEWHERE);
        cr_assert_eq(process_open(roots.proc_fd, child, &process_fd), 0);
        cr_assert_eq(process_start_time(process_fd, &request.start_time), 0);
        close(process_fd);
        mover_init(&request, &roots, -1, &mover);
}

static void teardown(void)
{
        mover_deinit(&mover);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(roots.proc_fd);
        scratch_freep(&sys);
        scratch_freep(&run);
}

static const RelocateResult *move(void)
{
        int r = mover_open(&mover);

        if (r >= 0)
                r = mover_run(&mover);
        mover_finish(&mover, r);
        return &mover.result;
}

TestSuite(mover, .init = setup, .fini = teardown, .timeout = 60);

Test(mover, has_nothing_to_do_where_all_is_as_wanted)
{
        const RelocateResult *result;

        for (unsigned node = 0; node < 64; node++)
                nodeset_add(&request.nodes, node);
        result = move();
        cr_assert_eq(result->error, 0);
        cr_assert_eq(result->left_bytes, 0);
        cr_assert_eq(result->engine, RELOCATE_NONE);
        cr_assert_str_empty(result->reason);
}

Test(mover, knows_a_process_by_its_start)
{
        request.start_time++;
        cr_assert_eq(move()->error, -ESRCH);
        cr_assert_str_eq(mover.result.reason, "the process is gone");
}

Test(mover, says_who_has_damon)
{
        const RelocateResult *result;

        put(&sys, "module/damon_stat/parameters/enabled", "Y\n");
        result = move();
        cr_assert_eq(result->error, -EBUSY);
        cr_assert_eq(result->left_bytes, PAGES * PAGE);
        cr_assert_not_null(strstr(result->reason, "echo N >"), "%s", result->reason);
        expect(&sys, KDAMONDS "nr_kdamonds", "0");
}

Test(mover, leaves_a_foreign_kdamond_alone)
{
        put(&sys, KDAMONDS "nr_kdamonds", "1\n");
        put(&sys, KDAMONDS "0/state", "on\n");
        put(&sys, KDAMONDS "0/pid", "4711\n");
        cr_assert_eq(move()->error, -EBUSY);
        cr_assert_not_null(strstr(mover.result.reason, "4711"));
        mover_deinit(&mover);
        mover_init(&request, &roots, -1, &mover);
        cr_assert_eq(mover_recover(&roots), 0);
        expect(&sys, KDAMONDS "nr_kdamonds", "1");
        expect(&sys, KDAMONDS "0/state", "on");
}

Test(mover, does_not_reclaim_where_others_would_pay)
{
        request.engines = 1u << RELOCATE_RECLAIM;
        cr_assert_eq(move()->error, -EOPNOTSUPP);
        cr_assert_not_null(strstr(mover.result.reason, "MemoryAccounting=yes"));
}

Test(mover, does_not_fill_a_node_to_the_brim)
{
        put_node(ELSEWHERE, "16384");
        cr_assert_eq(move()->error, -ENOSPC);
        cr_assert_str_eq(mover.result.reason, "no room on node 5");
        expect(&sys, KDAMONDS "nr_kdamonds", "0");
}

Test(mover, that_is_told_to_stop_puts_everything_back)
{
        int r;

        /* This tree's DAMON takes everything and is never through. */
        request.engines = 1u << RELOCATE_DAMON_VADDR;
        cr_assert_eq(mover_open(&mover), 0);
        cr_assert_eq(kill(getpid(), SIGTERM), 0);
        r = mover_run(&mover);
        mover_finish(&mover, r);
        cr_assert_eq(mover.result.error, -EINTR);
        expect(&sys, KDAMONDS "1/state", "off");

        mover_deinit(&mover);
        expect(&sys, KDAMONDS "nr_kdamonds", "0");
        cr_assert_neq(faccessat(run.fd, DAMON_NOTE, F_OK, 0), 0);
        mover_init(&request, &roots, -1, &mover);
}

Test(mover, recovers_what_a_killed_one_left)
{
        pid_t killed = fork();

        if (killed == 0) {
                request.engines = 1u << RELOCATE_DAMON_VADDR;
                mover_open(&mover);
                mover_run(&mover);
                _exit(1);
        }
        for (;;) {
                char state[16];

                /* In a tree what it was told last stays there. */
                if (attr_read(sys.fd, KDAMONDS "1/state", state, sizeof(state)) > 0 &&
                    strcmp(state, "off") != 0)
                        break;
                usleep(1000);
        }
        cr_assert_eq(kill(killed, SIGKILL), 0);
        waitpid(killed, NULL, 0);
        expect(&sys, KDAMONDS "nr_kdamonds", "2");
        cr_assert_eq(faccessat(run.fd, DAMON_NOTE, F_OK, 0), 0);

        cr_assert_eq(mover_recover(&roots), 0);
        expect(&sys, KDAMONDS "1/state", "off");
        expect(&sys, KDAMONDS "nr_kdamonds", "0");
        cr_assert_neq(faccessat(run.fd, DAMON_NOTE, F_OK, 0), 0);
}

Test(mover, keeps_its_rate)
{
        uint64_t began = mover_now();

        /* What was tried counts, and this tree's DAMON says that it tried. */
        put(&sys, SCHEME "stats/sz_tried", "1048576\n");
        request.engines = 1u << RELOCATE_DAMON_VADDR;
        request.rate = 4 * PAGES * PAGE;
        move();
        cr_assert_geq(mover_now() - began, NSEC_PER_SEC / 4);
        cr_assert_eq(mover.result.left_bytes, PAGES * PAGE);
}

Test(mover, moves_no_more_than_it_may)
{
        request.bytes_max = 0;
        cr_assert_eq(move()->error, 0);
        cr_assert_eq(mover.result.moved_bytes, 0);
        cr_assert_eq(mover.result.left_bytes, PAGES * PAGE);
        cr_assert_str_eq(mover.result.reason, "the limit is reached");
        expect(&sys, KDAMONDS "nr_kdamonds", "0");
}

/* Both have room, and the kernel's distances are all the same; the memory of socket 0 is node 3. */
Test(mover, goes_to_the_node_that_is_nearest_to_where_the_page_is)
{
        _cleanup_(closep) int sys_fd = fixture_open("sys-sockets-hmat");
        _cleanup_(freep) Node *nodes = NULL;
        MoverRoots here = { .sys_fd = sys_fd };
        RelocateRequest asked = {};
        Mover moving = { .request = &asked, .roots = &here, .finder.page_size = 4096 };
        size_t n_nodes;

        nodeset_add(&asked.nodes, 2);
        nodeset_add(&asked.nodes, 3);
        cr_assert_eq(nodes_read(sys_fd, &nodes, &n_nodes), 0);
        proximity_build(nodes, n_nodes, &moving.proximity);
        for (unsigned from = 0; from < 2; from++) {
                uint64_t bytes = 1 << 20;

                cr_assert_eq(mover_choose_node(&moving, from, &bytes), 0);
                cr_assert_eq(bytes, 1 << 20);
                cr_assert_eq(moving.node, 3 - from);
        }
}
