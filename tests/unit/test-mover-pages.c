/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <numaif.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "daemon/kernel/process.h"
#include "daemon/mover.h"
#include "policy/macro.h"
#include "tests/unit/damon-tree.h"

/* The pass over anonymous memory of a child, with a move_pages() of our own, which has two nodes: all
 * pages begin on node 0. */

#define PAGE  ((size_t)4096)
#define PAGES ((size_t)9000) /* several windows and calls */

#define ELSEWHERE 5u

/* For a page that never moves. */
#define PINNED UINT_MAX

static Scratch sys, run;
static MoverRoots roots;
static pid_t child;
static char *map;
static RelocateRange range;
static RelocateRequest request;
static Mover mover;

static bool is_moved[PAGES];
static unsigned n_looks[PAGES], n_moves[PAGES];
static unsigned busy_for[PAGES]; /* so many tries */
static size_t n_calls, longest_call;
static void *own;
static unsigned n_own_looks;
static bool is_full;

/* Other memory of the child is where it should be. */
static size_t index_of(void *address)
{
        size_t at = ((uintptr_t)address - (uintptr_t)map) / PAGE;

        return (char *)address >= map && at < PAGES ? at : SIZE_MAX;
}

static int fake_node(size_t at)
{
        return at == SIZE_MAX || is_moved[at] ? (int)ELSEWHERE : 0;
}

/* As the kernel: gives up at the first group with a page that stays, of which it was at all. */
static long fake_move_pages(pid_t pid, size_t n, void **addresses, const int *nodes, int *status,
                            int flags)
{
        size_t stayed = 0;

        if (nodes) {
                n_calls++;
                longest_call = n > longest_call ? n : longest_call;
                if (is_full) {
                        errno = ENOMEM;
                        return -1;
                }
        }
        for (size_t i = 0; i < n; i++) {
                size_t at = index_of(addresses[i]);

                if (nodes && at != SIZE_MAX) {
                        n_moves[at]++;
                        if (busy_for[at] == 0)
                                is_moved[at] = true;
                        else
                                stayed++;
                        busy_for[at] -= busy_for[at] > 0 && busy_for[at] != PINNED;
                } else if (at != SIZE_MAX)
                        n_looks[at]++;
                if (!nodes)
                        status[i] = fake_node(at);
                n_own_looks += !nodes && addresses[i] == own;
        }
        for (size_t i = 0; i < n && nodes && stayed == 0; i++)
                status[i] = fake_node(index_of(addresses[i]));
        return (long)stayed;
}

/* A page with a policy of its own. */
static void own_map(void)
{
        unsigned long node0 = 1;

        own = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(own, MAP_FAILED);
        cr_assert_eq(mbind(own, PAGE, MPOL_BIND, &node0, 64, 0), 0);
        *(char *)own = 'w';
}

static void setup(void)
{
        int process_fd;

        own_map();

        map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(map, MAP_FAILED);
        madvise(map, PAGES * PAGE, MADV_NOHUGEPAGE);
        memset(map, 'w', PAGES * PAGE);
        child = fork();
        if (child == 0)
                for (;;)
                        pause();

        sys = kernel_with_damon();
        run = scratch_new();
        put(&sys, "devices/system/node/node5/meminfo",
            "Node 5 MemTotal: 4194304 kB\nNode 5 MemFree: 1048576 kB\n");
        roots = (MoverRoots){ .sys_fd = sys.fd,
                              .proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                              .cgroup_fd = -1,
                              .run_fd = run.fd };
        range = (RelocateRange){ .start = (uintptr_t)map, .end = (uintptr_t)map + PAGES * PAGE };
        request = (RelocateRequest){ .pid = child,
                                     .cgroup = "/",
                                     .ranges = &range,
                                     .n_ranges = 1,
                                     .rate = UINT64_MAX,
                                     .bytes_max = UINT64_MAX,
                                     .pause_max_ns = UINT64_MAX,
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

        if (r >= 0) {
                mover.finder.move_pages = fake_move_pages;
                r = mover_run(&mover);
        }
        mover_finish(&mover, r);
        return &mover.result;
}

static size_t count_moved(void)
{
        size_t n = 0;

        for (size_t i = 0; i < PAGES; i++)
                n += is_moved[i];
        return n;
}

TestSuite(mover_pages, .init = setup, .fini = teardown, .timeout = 60);

Test(mover_pages, looks_at_each_page_once_and_moves_it_once)
{
        const RelocateResult *result = move();

        cr_assert_eq(result->error, 0, "%s", result->reason);
        cr_assert_eq(result->moved_bytes, PAGES * PAGE);
        cr_assert_eq(result->moved_by[RELOCATE_MOVE_PAGES], PAGES * PAGE);
        cr_assert_eq(result->engine, RELOCATE_MOVE_PAGES);
        cr_assert_eq(result->left_bytes, 0);
        cr_assert_eq(result->next, 0);
        for (size_t i = 0; i < PAGES; i++) {
                cr_assert_eq(n_looks[i], 1);
                cr_assert_eq(n_moves[i], 1);
        }
        cr_assert_leq(n_calls, PAGES / PACE_PAGES_MAX + 2);
}

Test(mover_pages, finds_anonymous_memory_by_itself)
{
        request.ranges = NULL;
        request.n_ranges = 0;
        request.anonymous = true;
        cr_assert_eq(move()->error, 0, "%s", mover.result.reason);
        cr_assert_eq(count_moved(), PAGES);
        cr_assert_eq(mover.result.moved_bytes, PAGES * PAGE);
        cr_assert_eq(n_own_looks, 0);
        for (size_t i = 0; i < PAGES; i++)
                cr_assert_eq(n_looks[i], 1);
}

Test(mover_pages, leaves_anonymous_memory_alone_unless_it_is_asked)
{
        range.end = range.start + PAGE;
        move();
        cr_assert_eq(count_moved(), 1);
}

Test(mover_pages, tries_busy_pages_again_and_no_others)
{
        busy_for[7] = 2;
        busy_for[PAGES - 1] = MOVER_TRIES - 1;
        cr_assert_eq(move()->error, 0, "%s", mover.result.reason);
        cr_assert_eq(mover.result.moved_bytes, PAGES * PAGE);
        cr_assert_eq(mover.result.left_bytes, 0);
        cr_assert_eq(n_moves[7], 3);
        cr_assert_eq(n_moves[8], 1);
        cr_assert_eq(n_moves[PAGES - 1], MOVER_TRIES);
}

Test(mover_pages, reports_what_would_not_move)
{
        uint64_t began = mover_now();

        busy_for[100] = busy_for[5000] = PINNED;
        cr_assert_eq(move()->error, -EAGAIN);
        cr_assert_eq(mover.result.moved_bytes, (PAGES - 2) * PAGE);
        cr_assert_eq(mover.result.left_bytes, 2 * PAGE);
        cr_assert_eq(mover.result.next, 0);
        cr_assert_eq(n_moves[100], MOVER_TRIES);
        cr_assert_eq(n_moves[101], 1);
        cr_assert_not_null(strstr(mover.result.reason, "8 KiB"), "%s", mover.result.reason);
        cr_assert_not_null(strstr(mover.result.reason, "pinned"), "%s", mover.result.reason);
        /* Not at once. */
        cr_assert_geq(mover_now() - began, (10 + 40 + 160 + 640) * NSEC_PER_MSEC);
}

Test(mover_pages, goes_on_where_it_ended)
{
        unsigned n_requests = 0;

        request.bytes_max = 1000 * PAGE;
        do {
                mover_deinit(&mover);
                mover_init(&request, &roots, -1, &mover);
                cr_assert_eq(move()->error, 0, "%s", mover.result.reason);
                cr_assert_leq(mover.result.moved_bytes, request.bytes_max);
                request.from = mover.result.next;
                n_requests++;
        } while (request.from != 0);

        cr_assert_eq(count_moved(), PAGES);
        cr_assert_leq(n_requests, PAGES / 1000 + 1);
        /* What was seen last and not moved is seen again, not all that was before. */
        for (size_t i = 0; i < PAGES; i++) {
                cr_assert_eq(n_moves[i], 1);
                cr_assert_leq(n_looks[i], 6);
        }
}

Test(mover_pages, ends_when_it_is_anothers_turn)
{
        request.bytes_turn = 100 * PAGE;
        cr_assert_eq(move()->error, 0, "%s", mover.result.reason);
        cr_assert_eq(count_moved(), 100);
        cr_assert_eq(mover.result.next, range.start + 100 * PAGE);
        cr_assert_str_eq(mover.result.reason, "the limit is reached");
}

Test(mover_pages, keeps_its_calls_short)
{
        request.pause_max_ns = 1; /* they never are */
        cr_assert_eq(move()->error, 0, "%s", mover.result.reason);
        cr_assert_eq(mover.result.moved_bytes, PAGES * PAGE);
        cr_assert_eq(longest_call, PACE_PAGES_MIN);
}

Test(mover_pages, keeps_its_rate)
{
        uint64_t began, elapsed;

        request.rate = PAGES * PAGE;
        began = mover_now();
        cr_assert_eq(move()->error, 0, "%s", mover.result.reason);
        elapsed = mover_now() - began;
        /* The last call is not waited for. */
        cr_assert_geq(elapsed, NSEC_PER_SEC * 95 / 100);
}

Test(mover_pages, does_not_count_what_did_not_move)
{
        for (size_t i = 0; i < PAGES - 1; i++)
                is_moved[i] = true;
        request.rate = PAGES * PAGE / 16;
        cr_assert_eq(move()->error, 0, "%s", mover.result.reason);
        cr_assert_eq(mover.result.moved_bytes, PAGE);
        cr_assert_lt(mover.result.elapsed_ns, 8 * NSEC_PER_SEC);
}

Test(mover_pages, of_a_full_node_says_so)
{
        is_full = true;
        cr_assert_eq(move()->error, -ENOSPC);
        cr_assert_eq(mover.result.moved_bytes, 0);
        cr_assert_str_eq(mover.result.reason, "no room on node 5");
        cr_assert_leq(n_calls, 1);
}

Test(mover_pages, can_be_told_to_stop)
{
        cr_assert_eq(kill(getpid(), SIGTERM), 0);
        cr_assert_eq(move()->error, -EINTR);
        cr_assert_eq(mover.result.moved_bytes, 0);
        cr_assert_eq(mover.result.next, range.start);
}
