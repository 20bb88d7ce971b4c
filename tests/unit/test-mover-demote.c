/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/kernel/attr.h"
#include "daemon/mover.h"
#include "tests/unit/damon-tree.h"

/* What is demoted of a cgroup, on a tree of files; a process plays the kernel that does it. */

#define MIB UINT64_C(1048576)

#define FAST  0u
#define CHEAP 5u

#define DEMOTION   "kernel/mm/numa/demotion_enabled"
#define SWAPS_HEAD "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
#define SWAPS_LINE "/dev/vda2                               partition\t1048572\t\t0\t\t-2\n"

static Scratch sys, run, proc, groups;
static MoverRoots roots;
static RelocateRequest request;
static Mover mover;
static pid_t kernel;

static void put_room(unsigned mib)
{
        char text[128];

        snprintf(text, sizeof(text), "Node 5 MemTotal: 4194304 kB\nNode 5 MemFree: %u kB\n",
                 mib * 1024);
        put(&sys, "devices/system/node/node5/meminfo", text);
}

static void put_bytes(uint64_t fast, uint64_t cheap)
{
        char text[128];

        snprintf(text, sizeof(text), "anon N0=%" PRIu64 " N5=%" PRIu64 "\n", fast, cheap);
        put(&groups, "a/memory.numa_stat", text);
}

static void setup(void)
{
        sys = kernel_with_damon();
        run = scratch_new();
        proc = scratch_new();
        groups = scratch_new();
        put(&sys, DEMOTION, "false\n");
        put(&sys, "devices/virtual/memory_tiering/memory_tier4/nodelist", "0\n");
        put(&sys, "devices/virtual/memory_tiering/memory_tier22/nodelist", "5\n");
        put_room(1024);
        put(&proc, "swaps", SWAPS_HEAD);
        put(&groups, "memory.stat", "");
        put(&groups, "a/memory.current", "1\n");
        put(&groups, "a/memory.reclaim", "");
        put(&groups, "a/memory.stat", "anon 1\npgscan 0\n");
        put_bytes(64 * MIB, 0);

        roots = (MoverRoots){
                .sys_fd = sys.fd, .proc_fd = proc.fd, .cgroup_fd = groups.fd, .run_fd = run.fd
        };
        request = (RelocateRequest){ .kind = RELOCATE_COLDEST,
                                     .cgroup = "/a",
                                     .keep_bytes = 32 * MIB,
                                     .rate = UINT64_MAX,
                                     .bytes_max = UINT64_MAX,
                                     .pause_max_ns = UINT64_MAX,
                                     .engines = 1u << RELOCATE_RECLAIM };
        nodeset_add(&request.from_nodes, FAST);
        nodeset_add(&request.nodes, CHEAP);
        mover_init(&request, &roots, -1, &mover);
}

static void teardown(void)
{
        mover_deinit(&mover);
        if (kernel > 0) {
                kill(kernel, SIGKILL);
                waitpid(kernel, NULL, 0);
        }
        scratch_freep(&sys);
        scratch_freep(&run);
        scratch_freep(&proc);
        scratch_freep(&groups);
}

/* So many bytes were asked for since the last time. */
static uint64_t kernel_asked(int fd)
{
        uint64_t bytes = 0;
        char text[4096];
        ssize_t n = read(fd, text, sizeof(text) - 1);

        if (n <= 0)
                return 0;
        text[n] = '\0';
        for (char *at = text; at; at = strstr(at, "max")) {
                at += bytes > 0 ? strlen("max") : 0;
                bytes += strtoull(at, &at, 10);
        }
        return bytes;
}

/* Two FIFOs: whoever reads how much there is where waits until all that was asked for before is done. */
_Noreturn static void kernel_main(uint64_t fast, uint64_t cheap)
{
        int asked_fd = openat(groups.fd, "a/memory.reclaim", O_RDWR | O_NONBLOCK | O_CLOEXEC);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        for (;;) {
                int fd = openat(groups.fd, "a/memory.numa_stat", O_WRONLY | O_CLOEXEC);
                uint64_t bytes = kernel_asked(asked_fd);
                char text[64];

                if (bytes > fast)
                        bytes = fast;
                fast -= bytes;
                cheap += bytes;
                snprintf(text, sizeof(text), "anon 1\npgscan %" PRIu64 "\n", cheap / 4096 * 16);
                put(&groups, "a/memory.stat.new", text);
                renameat(groups.fd, "a/memory.stat.new", groups.fd, "a/memory.stat");
                dprintf(fd, "anon N0=%" PRIu64 " N5=%" PRIu64 "\n", fast, cheap);
                close(fd);
        }
}

static void kernel_start(void)
{
        cr_assert_eq(unlinkat(groups.fd, "a/memory.reclaim", 0), 0);
        cr_assert_eq(unlinkat(groups.fd, "a/memory.numa_stat", 0), 0);
        cr_assert_eq(mkfifoat(groups.fd, "a/memory.reclaim", 0600), 0);
        cr_assert_eq(mkfifoat(groups.fd, "a/memory.numa_stat", 0600), 0);
        kernel = fork();
        if (kernel == 0)
                kernel_main(64 * MIB, 0);
}

static const RelocateResult *demote(void)
{
        int r = mover_open(&mover);

        if (r >= 0)
                r = mover_demote(&mover);
        mover_finish(&mover, r);
        return &mover.result;
}

static void expect_refusal(int error, const char *words)
{
        const RelocateResult *result = demote();

        cr_expect_eq(result->error, error, "%s", strerror(-result->error));
        cr_expect_not_null(strstr(result->reason, words), "%s", result->reason);
        cr_expect_eq(result->moved_bytes, 0);
        expect(&groups, "a/memory.reclaim", "");
        mover_deinit(&mover);
        expect(&sys, DEMOTION, "false");
        mover_init(&request, &roots, -1, &mover);
}

TestSuite(mover_demote, .init = setup, .fini = teardown, .timeout = 60);

Test(mover_demote, stops_at_what_may_stay)
{
        const RelocateResult *result;

        kernel_start();
        result = demote();
        cr_assert_eq(result->error, 0, "%s", result->reason);
        cr_expect_eq(result->left_bytes, 0);
        cr_expect_geq(result->moved_bytes, 32 * MIB);
        cr_expect_leq(result->moved_bytes, 36 * MIB, "it went on");
        cr_expect_eq(result->moved_by[RELOCATE_RECLAIM], result->moved_bytes);
        cr_expect_eq(result->engine, RELOCATE_RECLAIM);
}

Test(mover_demote, demotes_no_more_than_it_may)
{
        const RelocateResult *result;

        kernel_start();
        request.bytes_max = 8 * MIB;
        result = demote();
        cr_assert_eq(result->error, 0, "%s", result->reason);
        cr_expect_leq(result->moved_bytes, 12 * MIB);
        cr_expect_geq(result->left_bytes, 20 * MIB);
}

Test(mover_demote, keeps_its_rate)
{
        uint64_t began = mover_now();

        kernel_start();
        request.rate = 64 * MIB;
        demote();
        cr_expect_geq(mover_now() - began, NSEC_PER_SEC / 5, "what was not saved is waited for");
}

Test(mover_demote, has_nothing_to_do_below_what_may_stay)
{
        put_bytes(32 * MIB, 0);
        cr_assert_eq(demote()->error, 0);
        cr_assert_eq(mover.result.moved_bytes, 0);
        expect(&groups, "a/memory.reclaim", "");
}

/* A file: what is asked for is taken, and nothing is done. */
Test(mover_demote, gives_up_where_nothing_moves, .timeout = 30)
{
        char text[64];

        cr_assert_eq(demote()->error, -EAGAIN);
        cr_expect_not_null(strstr(mover.result.reason, "in use all the time"), "%s",
                           mover.result.reason);
        cr_expect_eq(mover.result.left_bytes, 32 * MIB);
        cr_assert_geq(attr_read(groups.fd, "a/memory.reclaim", text, sizeof(text)), 0);
        cr_expect_leq(strtoull(text, NULL, 10), 2 * MIB, "%s", text);
        expect(&sys, DEMOTION, "true");
        mover_deinit(&mover);
        expect(&sys, DEMOTION, "false");
        mover_init(&request, &roots, -1, &mover);
}

/* The kernel looks at sixteen pages for each that it takes. */
Test(mover_demote, with_care_looks_at_each_page_once)
{
        const RelocateResult *result;

        kernel_start();
        request.careful = true;
        request.keep_bytes = 0;
        result = demote();
        cr_assert_eq(result->error, -EAGAIN, "%s", result->reason);
        cr_expect_geq(result->moved_bytes, 3 * MIB);
        cr_expect_leq(result->moved_bytes, 8 * MIB);
}

Test(mover_demote, leaves_a_cgroup_alone_that_is_accounted_with_others)
{
        cr_assert_eq(unlinkat(groups.fd, "a/memory.current", 0), 0);
        expect_refusal(-EOPNOTSUPP, "MemoryAccounting=yes");
}

Test(mover_demote, does_not_swap)
{
        put(&proc, "swaps", SWAPS_HEAD SWAPS_LINE);
        expect_refusal(-EOPNOTSUPP, "MemorySwapMax=0");
}

Test(mover_demote, does_not_reclaim_for_nothing)
{
        put(&sys, "devices/virtual/memory_tiering/memory_tier4/nodelist", "0,5\n");
        put(&sys, "devices/virtual/memory_tiering/memory_tier22/nodelist", "\n");
        expect_refusal(-EOPNOTSUPP, "lower memory tiers");
}

Test(mover_demote, does_nothing_where_the_kernel_has_no_tiers)
{
        cr_assert_eq(renameat(sys.fd, "devices/virtual/memory_tiering", sys.fd, "gone"), 0);
        expect_refusal(-EOPNOTSUPP, "no memory tiers");
}

Test(mover_demote, does_not_fill_a_node_to_the_brim)
{
        put_room(16);
        cr_assert_eq(demote()->error, -ENOSPC);
        cr_assert_str_eq(mover.result.reason, "no room on node 5");
        expect(&groups, "a/memory.reclaim", "");
}

Test(mover_demote, that_is_told_to_stop_does)
{
        kernel_start();
        cr_assert_eq(mover_open(&mover), 0);
        cr_assert_eq(kill(getpid(), SIGTERM), 0);
        cr_assert_eq(mover_demote(&mover), -EINTR);
        mover_deinit(&mover);
        expect(&sys, DEMOTION, "false");
        mover_init(&request, &roots, -1, &mover);
}
