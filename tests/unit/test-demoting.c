/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include "tests/unit/road.h"

/* When what is to be done for a cgroup: its memory is that of the test's programs, and what is done is
 * only pretended. */

static CgroupAccount *account(void)
{
        return account_find(&road.placement->account, road.watched->group);
}

/* Node 0 is both tiers, so that there is something on either. */
static void begin(const char *rules)
{
        Tiers tiers = {};

        nodeset_add(&tiers.cheap, 0);
        nodeset_add(&tiers.fast, 0);
        placement_set_tiers(road.placement, &tiers);
        rules_set(rules);
}

static void await_kinds(unsigned n)
{
        const time_t end = time(NULL) + AWAIT_SEC;

        while (moves->n_kinds < n) {
                cr_assert_leq(time(NULL), end, "%u were begun: %s", moves->n_kinds,
                              account() ? account()->reason : "no account");
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
}

static void await_reason(const char *words)
{
        const time_t end = time(NULL) + AWAIT_SEC;

        while (!account() || !strstr(account()->reason, words)) {
                cr_assert_leq(time(NULL), end, "the reason is: %s",
                              account() ? account()->reason : "no account");
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
}

RoadTest(demoting, what_is_above_fast_max_is_demoted)
{
        Program program;

        begin("FastMax=64K\n[Cow]\nTier=default\n");
        program = program_start();
        tell(&program, 'm');
        await_kinds(1);
        cr_assert_eq(moves->kinds[0], RELOCATE_COLDEST);
        cr_assert_eq(moves->keep_bytes, cgroup_over_aim(account()));
        cr_assert_lt(moves->keep_bytes, 65536);
        program_end(&program);
}

RoadTest(demoting, without_fast_max_nothing_is)
{
        Program program;

        begin("CheapMax=1M\n[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        tell(&program, 'w');
        placement_reconcile(road.placement);
        await_state(&program, MAPPING_PARTIAL, "CheapMax=");
        cr_assert_eq(moves->n_kinds, 0);
        cr_assert_eq(account()->fast.poll_usec, UINT64_MAX);
        program_end(&program);
}

RoadTest(demoting, what_fails_is_not_begun_again_at_once)
{
        Program program;

        moves->results[RELOCATE_COLDEST] =
                (RelocateResult){ .error = -EAGAIN, .reason = "not today" };
        begin("FastMax=64K\n[Cow]\nTier=default\n");
        program = program_start();
        tell(&program, 'm');
        await_reason("not today");
        cr_assert_eq(account()->n_demote_failures, 1);
        cr_assert_gt(account()->demote_retry_usec, placement_now(road.placement));
        /* One that says that all is well, and has done nothing, is no better. */
        moves->results[RELOCATE_COLDEST] = (RelocateResult){};
        await_reason("nothing was demoted");
        cr_assert_eq(account()->n_demote_failures, 2);
        program_end(&program);
}

/* The policy is for one program alone, and another one is in its cgroup. */
RoadTest(demoting, a_cgroup_that_strangers_share_is_left_alone)
{
        char rules[PATH_MAX + 128], executable[PATH_MAX] = "";
        Program program, stranger;
        char command = 'e';

        cr_assert_gt(readlink("/proc/self/exe", executable, sizeof(executable) - 1), 0);
        snprintf(rules, sizeof(rules), "FastMax=64K\n[Match]\nExe=%s\n[Cow]\nTier=default\n",
                 executable);
        stranger = program_start();
        tell(&stranger, 'm');
        cr_assert_eq(write(stranger.in, &command, 1), 1);
        while (true) {
                char path[64], name[PATH_MAX] = "";

                snprintf(path, sizeof(path), "/proc/%d/exe", stranger.pid);
                if (readlink(path, name, sizeof(name) - 1) > 0 && strstr(name, "sleep"))
                        break;
                usleep(1000);
        }

        begin(rules);
        program = program_start();
        tell(&program, 'm');
        await_reason("has no policy");
        cr_assert_eq(moves->n_kinds, 0);

        kill(stranger.pid, SIGKILL);
        cr_assert_eq(waitpid(stranger.pid, NULL, 0), stranger.pid);
        await_kinds(1);
        program_end(&program);
}

RoadTest(demoting, cold_after_goes_round_by_round)
{
        static const RelocateKind round[] = { RELOCATE_MARK, RELOCATE_MEASURE, RELOCATE_COLDEST,
                                              RELOCATE_MARK, RELOCATE_MEASURE };
        Program program;

        moves->results[RELOCATE_MEASURE] = (RelocateResult){ .left_bytes = 8 << 20 };
        moves->results[RELOCATE_COLDEST] = (RelocateResult){ .moved_bytes = 8 << 20 };
        moves->results[RELOCATE_COLDEST].moved_by[RELOCATE_RECLAIM] = 8 << 20;
        road.placement->cold_by_reclaim = true;
        begin("MoveRate=1G\n[Cow]\nTier=default\n[Anon]\nColdAfter=50ms\n");
        program = program_start();
        tell(&program, 'm');
        await_kinds(ARRAY_SIZE(round));
        for (size_t i = 0; i < ARRAY_SIZE(round); i++)
                cr_expect_eq(moves->kinds[i], round[i], "%zu", i);
        cr_assert_eq(moves->keep_bytes, 0);
        cr_assert_geq(account()->demoted_bytes, 8 << 20);
        cr_assert_geq(road.placement->account.demoted_bytes[RELOCATE_RECLAIM], 8 << 20);

        rules_set("[Cow]\nTier=default\n");
        cr_assert_eq(account()->cold.after_usec, RULE_UNSET);
        program_end(&program);
}

/* What is idle is less than is worth it: the next round, and no demotion. */
RoadTest(demoting, where_nothing_is_idle_nothing_is_demoted)
{
        Program program;

        moves->results[RELOCATE_MEASURE] = (RelocateResult){ .left_bytes = 4096 };
        road.placement->cold_by_reclaim = true;
        begin("[Cow]\nTier=default\n[Anon]\nColdAfter=20ms\n");
        program = program_start();
        tell(&program, 'm');
        await_kinds(6);
        for (unsigned i = 0; i < 6; i++)
                cr_expect_eq(moves->kinds[i], i % 2 ? RELOCATE_MEASURE : RELOCATE_MARK, "%u", i);
        program_end(&program);
}

/* As much is idle as is on the cheap tier: it may be the same, or not. It is tried, less and less often. */
RoadTest(demoting, what_is_idle_may_be_where_it_belongs)
{
        static const RelocateKind round[] = { RELOCATE_MARK,    RELOCATE_MEASURE, RELOCATE_COLDEST,
                                              RELOCATE_MARK,    RELOCATE_MEASURE, RELOCATE_MARK,
                                              RELOCATE_MEASURE, RELOCATE_COLDEST };
        Program program;

        moves->results[RELOCATE_MEASURE] = (RelocateResult){ .idle_bytes = 8 << 20 };
        moves->results[RELOCATE_COLDEST] =
                (RelocateResult){ .error = -EAGAIN, .moved_bytes = 4096 };
        road.placement->cold_by_reclaim = true;
        begin("[Cow]\nTier=default\n[Anon]\nColdAfter=20ms\n");
        program = program_start();
        tell(&program, 'm');
        await_kinds(ARRAY_SIZE(round));
        for (size_t i = 0; i < ARRAY_SIZE(round); i++)
                cr_expect_eq(moves->kinds[i], round[i], "%zu", i);
        cr_assert_str_empty(account()->reason, "nothing is wrong");
        program_end(&program);
}

RoadTest(demoting, reclaim_cannot_choose_the_node)
{
        Program program;

        road.placement->cold_by_reclaim = true;
        begin("[Cow]\nTier=default\n[Anon]\nColdAfter=20ms\nColdTier=node:0\n");
        program = program_start();
        tell(&program, 'm');
        await_reason("ColdTier=cheap");
        cr_assert_eq(moves->n_kinds, 0);
        program_end(&program);
}
