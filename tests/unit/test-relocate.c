/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/relocate.h"
#include "policy/macro.h"

static sd_event *event;
static Relocation *relocation;
static RelocateRange ranges[] = { { 0x1000, 0x9000, true }, { 0x10000, 0x11000, false } };
static RelocateRequest request = {
        .pid = 4711,
        .start_time = 12,
        .cgroup = "/a/b",
        .ranges = ranges,
        .n_ranges = 2,
        .rate = 1000,
        .bytes_max = UINT64_MAX,
        .engines = RELOCATE_ENGINES_ALL,
};

static void setup(void)
{
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        cr_assert_eq(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
        cr_assert_geq(sd_event_new(&event), 0);
        nodeset_add(&request.nodes, 2);
        cr_assert_eq(relocation_new(&request, &relocation), 0);
}

static void teardown(void)
{
        relocation_free(relocation);
        sd_event_unref(event);
}

static void on_done(Relocation *its, void *userdata)
{
        cr_assert_eq(sd_event_exit(event, 0), 0);
}

static void run_to_end(relocation_run_fn run)
{
        cr_assert_eq(relocation_start(relocation, event, run, on_done, NULL), 0);
        cr_assert(relocation_is_running(relocation));
        cr_assert_eq(relocation_start(relocation, event, run, on_done, NULL), -EBUSY);
        cr_assert_eq(sd_event_loop(event), 0);
        cr_assert_not(relocation_is_running(relocation));
}

TestSuite(relocate, .init = setup, .fini = teardown, .timeout = 60);

static void put(int fd, const RelocateResult *result)
{
        if (write(fd, result, sizeof(*result)) != sizeof(*result))
                _exit(EIO);
}

/* More results than a pipe holds, of which the last one counts. */
static void many_results(const RelocateRequest *its, int fd)
{
        if (its->pid != 4711 || strcmp(its->cgroup, "/a/b") != 0 || its->ranges[1].end != 0x11000)
                _exit(EINVAL);
        for (unsigned i = 0; i < 1000; i++)
                put(fd, &(RelocateResult){ .moved_bytes = i });
        put(fd, &(RelocateResult){ .moved_bytes = 4096,
                                   .engine = RELOCATE_DAMON_PADDR,
                                   .error = -EAGAIN,
                                   .reason = "not now" });
}

Test(relocate, brings_the_last_result)
{
        run_to_end(many_results);
        cr_assert_eq(relocation->result.moved_bytes, 4096);
        cr_assert_eq(relocation->result.engine, RELOCATE_DAMON_PADDR);
        cr_assert_eq(relocation->result.error, -EAGAIN);
        cr_assert_str_eq(relocation->result.reason, "not now");
}

Test(relocate, may_be_done_again)
{
        run_to_end(many_results);
        sd_event_unref(event);
        cr_assert_geq(sd_event_new(&event), 0);
        run_to_end(many_results);
        cr_assert_eq(relocation->result.moved_bytes, 4096);
}

static void die(const RelocateRequest *its, int fd)
{
        put(fd, &(RelocateResult){ .moved_bytes = 8192, .reason = "half-way" });
        raise(SIGKILL);
}

Test(relocate, that_is_killed_was_canceled_and_says_what_it_did)
{
        run_to_end(die);
        cr_assert_eq(relocation->result.error, -ECANCELED);
        cr_assert_eq(relocation->result.moved_bytes, 8192);
}

/* The parent's descriptors are not the child's. SIGTERM waits until it is asked for: even one that
 * comes at once must find everything put back. */
static void look_around(const RelocateRequest *its, int fd)
{
        sigset_t mask;

        if (fcntl(4, F_GETFD) >= 0 || errno != EBADF)
                _exit(EBADF);
        sigprocmask(SIG_BLOCK, NULL, &mask);
        if (!sigismember(&mask, SIGTERM))
                _exit(EINTR);
        put(fd, &(RelocateResult){ .moved_bytes = 1 });
}

Test(relocate, has_nothing_of_its_parent)
{
        cr_assert_geq(fcntl(STDERR_FILENO, F_DUPFD, 4), 4);
        run_to_end(look_around);
        cr_assert_eq(relocation->result.error, 0);
        cr_assert_eq(relocation->result.moved_bytes, 1);
}

static void wait_for_term(const RelocateRequest *its, int fd)
{
        sigset_t mask;
        int number;

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        if (sigwait(&mask, &number) != 0)
                _exit(EIO);
        put(fd, &(RelocateResult){ .error = -EINTR });
}

Test(relocate, that_is_canceled_ends_in_its_own_way)
{
        cr_assert_eq(relocation_start(relocation, event, wait_for_term, on_done, NULL), 0);
        relocation_cancel(relocation);
        cr_assert_eq(sd_event_loop(event), 0);
        cr_assert_eq(relocation->result.error, -EINTR);
}

static volatile int *put_back;

static void put_back_at_the_end(const RelocateRequest *its, int fd)
{
        sigset_t mask;
        int number;

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        if (sigwait(&mask, &number) == 0)
                *put_back = 1;
}

Test(relocate, that_is_freed_may_put_everything_back)
{
        put_back = mmap(NULL, sizeof(*put_back), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0);
        cr_assert_neq(put_back, MAP_FAILED);
        cr_assert_eq(relocation_start(relocation, event, put_back_at_the_end, on_done, NULL), 0);
        relocation_free(TAKE_PTR(relocation));
        cr_assert_eq(*put_back, 1);
}

static void hang(const RelocateRequest *its, int fd)
{
        for (;;)
                pause();
}

Test(relocate, that_hangs_holds_nobody_up)
{
        cr_assert_eq(relocation_start(relocation, event, hang, on_done, NULL), 0);
        relocation_free(TAKE_PTR(relocation));
}

Test(relocate, wants_a_node_a_range_and_a_rate)
{
        RelocateRequest wrong = request;
        Relocation *none = NULL;

        wrong.nodes = (NodeSet){};
        cr_assert_eq(relocation_new(&wrong, &none), -EINVAL);
        wrong = request;
        wrong.n_ranges = 0;
        cr_assert_eq(relocation_new(&wrong, &none), -EINVAL);
        wrong = request;
        wrong.rate = 0;
        cr_assert_eq(relocation_new(&wrong, &none), -EINVAL);
        cr_assert_null(none);
}

Test(relocate, of_a_process_that_is_gone_says_so)
{
        if (geteuid() != 0)
                cr_skip_test("only root has /run/daxtierd");
        relocation->request.pid = 4194305; /* above the kernel's limit */
        run_to_end(relocation_run);
        cr_assert_eq(relocation->result.error, -ESRCH);
        cr_assert_str_eq(relocation->result.reason, "the process is gone");
}
