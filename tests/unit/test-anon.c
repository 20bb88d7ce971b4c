/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which threads get the policy for their anonymous memory, and from which it is taken. */
#include <inttypes.h>

#include "daemon/kernel/cgroup.h"
#include "tests/unit/road.h"

/* One that is in its cgroup: it has done something. */
static Program program_ready(void)
{
        Program program = program_start();

        tell(&program, 'm');
        return program;
}

static const Target *target_of(pid_t pid)
{
        return targets_find(&road.placement->targets, pid);
}

static void await_anon(pid_t pid, MappingState state, const char *reason)
{
        const time_t end = time(NULL) + AWAIT_SEC;

        while (!target_of(pid) || !target_of(pid)->anon.is_concerned ||
               target_of(pid)->anon.state != state ||
               !strstr(target_of(pid)->anon.reason, reason)) {
                cr_assert_leq(
                        time(NULL), end, "not %s: %s, %s", mapping_state_name(state),
                        target_of(pid) ? mapping_state_name(target_of(pid)->anon.state) : "unknown",
                        target_of(pid) && target_of(pid)->anon.reason ? target_of(pid)->anon.reason
                                                                      : "");
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
}

static void await_settled(pid_t pid)
{
        const time_t end = time(NULL) + AWAIT_SEC;

        while (!target_of(pid)->anon.is_settled) {
                cr_assert_leq(time(NULL), end);
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
}

RoadTest(anon, all_threads_get_the_policy_once)
{
        Program program = program_ready();
        pid_t threads[3];

        for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
                threads[i] = tell_child(&program, 't');
        rules_set("[Anon]\nTier=cheap\n");
        await_anon(program.pid, MAPPING_PLACED, "");
        await_settled(program.pid);
        cr_expect_eq(thread_policy(program.pid, program.pid), VMA_POLICY_PREFERRED);
        for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
                cr_expect_eq(thread_policy(program.pid, threads[i]), VMA_POLICY_PREFERRED);
        cr_expect_eq(road.placement->account.injections_done, 1 + ARRAY_SIZE(threads));
        cr_expect_gt(target_of(program.pid)->anon.bytes, 0);
        cr_expect_eq(target_of(program.pid)->anon.bytes, target_of(program.pid)->anon.cheap_bytes);

        /* What it starts from now on has it without our doing. */
        cr_expect_eq(thread_policy(program.pid, tell_child(&program, 't')), VMA_POLICY_PREFERRED);
        placement_look_again(road.placement);
        run_for(100);
        cr_expect_eq(road.placement->account.injections_done, 1 + ARRAY_SIZE(threads));
        program_end(&program);
}

RoadTest(anon, children_have_it_and_lose_it_with_the_policy)
{
        Program program = program_ready();
        pid_t child;

        rules_set("[Anon]\nTier=cheap\n");
        await_anon(program.pid, MAPPING_PLACED, "");
        child = tell_child(&program, 'f');
        await_anon(child, MAPPING_PLACED, "");
        cr_expect_eq(thread_policy(child, child), VMA_POLICY_PREFERRED);
        cr_expect_eq(road.placement->account.injections_done, 1);

        rules_set("[Anon]\nTier=default\n");
        await_thread(program.pid, program.pid, VMA_POLICY_DEFAULT);
        await_thread(child, child, VMA_POLICY_DEFAULT);
        kill(child, SIGKILL);
        program_end(&program);
}

RoadTest(anon, no_policy_at_all_takes_it_off_too)
{
        Program program = program_ready();

        rules_set("[Anon]\nTier=cheap\n");
        await_thread(program.pid, program.pid, VMA_POLICY_PREFERRED);
        cr_assert_eq(placement_set_rules(road.placement, NULL, 0), 0);
        await_thread(program.pid, program.pid, VMA_POLICY_DEFAULT);
        program_end(&program);
}

RoadTest(anon, a_program_that_is_executed_keeps_it)
{
        const time_t end = time(NULL) + AWAIT_SEC;
        Program program = program_ready();

        rules_set("[Anon]\nTier=cheap\n");
        await_thread(program.pid, program.pid, VMA_POLICY_PREFERRED);
        await_settled(program.pid);
        cr_assert_eq(write(program.in, "e", 1), 1);
        while (!target_of(program.pid) ||
               strcmp(target_of(program.pid)->subject.comm, "sleep") != 0) {
                cr_assert_leq(time(NULL), end);
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
        await_anon(program.pid, MAPPING_PLACED, "");
        cr_expect_eq(thread_policy(program.pid, program.pid), VMA_POLICY_PREFERRED);
        cr_expect_eq(road.placement->account.injections_done, 1);
        cr_assert_eq(placement_set_rules(road.placement, NULL, 0), 0);
        await_thread(program.pid, program.pid, VMA_POLICY_DEFAULT);
        kill(program.pid, SIGKILL);
        cr_assert_eq(waitpid(program.pid, NULL, 0), program.pid);
}

RoadTest(anon, a_policy_of_its_own_is_left)
{
        Program program = program_ready();

        tell(&program, 'o');
        rules_set("[Anon]\nTier=cheap\n");
        await_anon(program.pid, MAPPING_SKIPPED, "of its own");
        cr_expect_eq(thread_policy(program.pid, program.pid), VMA_POLICY_BIND);
        cr_expect_eq(road.placement->account.injections_done, 0);
        cr_expect_eq(moves->n_begun, 0);
        program_end(&program);
}

RoadTest(anon, files_of_another_tier_are_not_taken_for_placed)
{
        Program program = program_ready();

        rules_set("[Cow]\nFile=*/file\nTier=default\n[Anon]\nTier=cheap\n");
        await_anon(program.pid, MAPPING_PLACED, "");
        placement_look_again(road.placement);
        await_state(&program, MAPPING_SKIPPED, "Tier=default");
        rules_set("[Cow]\nFile=*/file\n[Anon]\nTier=cheap\n");
        await_state(&program, MAPPING_PLACED, "");
        program_end(&program);
}

RoadTest(anon, a_node_that_is_not_there_is_said)
{
        Program program = program_ready();

        rules_set("[Anon]\nTier=node:0-1\n");
        await_anon(program.pid, MAPPING_PLACED, "");
        rules_set("[Anon]\nTier=fast\n");
        await_anon(program.pid, MAPPING_SKIPPED, "has no node");
        await_thread(program.pid, program.pid, VMA_POLICY_DEFAULT);
        program_end(&program);
}

RoadTest(anon, cheap_max_takes_it_off)
{
        Program program = program_ready();

        rules_set("CheapMax=1\n[Anon]\nTier=cheap\n");
        await_anon(program.pid, MAPPING_SKIPPED, "CheapMax=");
        cr_expect_eq(thread_policy(program.pid, program.pid), VMA_POLICY_DEFAULT);
        rules_set("[Anon]\nTier=cheap\n");
        await_anon(program.pid, MAPPING_PLACED, "");
        rules_set("CheapMax=1\n[Anon]\nTier=cheap\n");
        await_anon(program.pid, MAPPING_SKIPPED, "CheapMax=");
        await_thread(program.pid, program.pid, VMA_POLICY_DEFAULT);
        program_end(&program);
}

RoadTest(anon, a_program_of_no_concern_is_left)
{
        Program program = program_ready();

        rules_set("[Cow]\nFile=*/file\n");
        await_state(&program, MAPPING_PLACED, "");
        cr_expect_not(target_of(program.pid)->anon.is_concerned);
        cr_expect_eq(target_of(program.pid)->anon.bytes, 0);
        cr_expect_eq(thread_policy(program.pid, program.pid), VMA_POLICY_DEFAULT);
        program_end(&program);
}

/* Node 1 is not there: what is on node 0 is on the wrong one, and no thread can be given the policy. */
RoadTest(anon, what_is_there_already_is_moved)
{
        Program program = program_ready();

        rules_set("[Anon]\nTier=node:1\n");
        await_moves(1);
        cr_expect(moves->anonymous);
        await_anon(program.pid, MAPPING_FAILED, "kernel refused");
        program_end(&program);
}

RoadTest(anon, what_is_placed_by_its_age_is_not_moved)
{
        Program program = program_ready();

        rules_set("[Anon]\nTier=node:1\nColdAfter=1h\nColdTier=node:1\n");
        await_anon(program.pid, MAPPING_FAILED, "kernel refused");
        cr_expect_eq(moves->n_begun, 0);
        program_end(&program);
}

/* More than one look reads: each gets it, and the looks do not take one another's work away. */
RoadTest(anon, so_do_the_threads_that_one_look_does_not_see)
{
        const size_t n_threads = SCAN_THREADS_MAX + 40;
        Program program = program_ready();
        pid_t last = 0;

        for (size_t i = 1; i < n_threads; i++)
                last = tell_child(&program, 't');
        rules_set("[Anon]\nTier=cheap\n");
        while (!target_of(program.pid) || !target_of(program.pid)->scanned)
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        await_settled(program.pid);
        cr_expect_eq(thread_policy(program.pid, program.pid), VMA_POLICY_PREFERRED);
        cr_expect_eq(thread_policy(program.pid, last), VMA_POLICY_PREFERRED);
        cr_expect_eq(road.placement->account.injections_done, n_threads);
        cr_expect_leq(road.placement->account.scans, 20, "%" PRIu64 " looks",
                      road.placement->account.scans);
        program_end(&program);
}

/* Those too that were started by threads that still had it. */
RoadTest(anon, without_a_policy_it_is_looked_at_until_none_has_it)
{
        const time_t end = time(NULL) + AWAIT_SEC;
        Program program = program_ready();

        rules_set("[Anon]\nTier=cheap\n");
        await_anon(program.pid, MAPPING_PLACED, "");
        await_settled(program.pid);
        cr_assert_eq(placement_set_rules(road.placement, NULL, 0), 0);
        while (target_of(program.pid)->anon.given) {
                cr_assert_leq(time(NULL), end, "nobody looks whether it is gone");
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
        cr_expect_eq(thread_policy(program.pid, program.pid), VMA_POLICY_DEFAULT);
        program_end(&program);
}

RoadTest(anon, a_child_of_one_that_is_to_lose_it_loses_it_too)
{
        WatchEvent fork = { .kind = WATCH_FORK };
        Program program = program_ready();

        rules_set("[Anon]\nTier=cheap\n");
        await_anon(program.pid, MAPPING_PLACED, "");
        await_settled(program.pid);
        cr_assert_eq(placement_set_rules(road.placement, NULL, 0), 0);
        fork.parent = program.pid;
        fork.pid = tell_child(&program, 'f');
        cr_assert_eq(thread_policy(fork.pid, fork.pid), VMA_POLICY_PREFERRED);
        placement_hear(&fork, road.placement);
        await_thread(fork.pid, fork.pid, VMA_POLICY_DEFAULT);
        kill(fork.pid, SIGKILL);
        program_end(&program);
}

/* Found before its parent is heard to have made it. */
RoadTest(anon, a_child_that_was_looked_at_already_is_known_to_have_it)
{
        Program program = program_ready();
        Target *target;
        pid_t child;

        rules_set("[Anon]\nTier=cheap\n");
        await_anon(program.pid, MAPPING_PLACED, "");
        child = tell_child(&program, 'f');
        target = placement_target(road.placement, child);
        cr_assert_eq(placement_look(road.placement, target), 0);
        await_settled(child);
        run_for(200);
        rules_set("[Anon]\nTier=default\n");
        await_thread(child, child, VMA_POLICY_DEFAULT);
        kill(child, SIGKILL);
        program_end(&program);
}

/* A call for its thread is under way when it executes another program, or forks. */
RoadTest(anon, what_it_was_just_getting_it_may_have)
{
        WatchEvent event = { .kind = WATCH_FORK };
        Program program = program_ready();
        Target *target, *child;

        rules_set("[Anon]\nTier=cheap\n");
        while (!target_of(program.pid) || !target_of(program.pid)->apply)
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        target = targets_find(&road.placement->targets, program.pid);
        cr_assert_null(target->anon.given);
        event.parent = program.pid;
        event.pid = tell_child(&program, 'f');
        placement_hear(&event, road.placement);
        child = targets_find(&road.placement->targets, event.pid);
        cr_assert_not_null(child);
        cr_expect_not_null(child->anon.given);
        kill(event.pid, SIGKILL);

        placement_hear(&(WatchEvent){ .kind = WATCH_EXEC, .pid = program.pid }, road.placement);
        cr_expect_not_null(target->anon.given);
        await_anon(program.pid, MAPPING_PLACED, "");
        program_end(&program);
}

/* The tier has other nodes now, and only some threads have been told. */
RoadTest(anon, what_we_gave_before_is_ours_too)
{
        Program program = program_ready();
        NodeSet other = {};
        Target *target;

        rules_set("[Anon]\nTier=cheap\n");
        await_anon(program.pid, MAPPING_PLACED, "");
        await_settled(program.pid);
        nodeset_add(&other, 1);
        target = targets_find(&road.placement->targets, program.pid);
        target_give(target, targets_given(&road.placement->targets, &other, false));
        rules_set("[Anon]\nTier=default\n");
        await_thread(program.pid, program.pid, VMA_POLICY_DEFAULT);
        program_end(&program);
}

/* What they have will do when the tier has more nodes than when they got it: they are not looked at anew
 * each time. */
RoadTest(anon, a_part_of_the_tier_will_do)
{
        Program program = program_ready();
        Target *target;

        rules_set("[Anon]\nTier=node:0\n");
        await_anon(program.pid, MAPPING_PLACED, "");
        await_settled(program.pid);
        rules_set("[Anon]\nTier=node:0-1\n");
        await_settled(program.pid);
        run_for(200);
        target = targets_find(&road.placement->targets, program.pid);
        cr_assert_eq(placement_look(road.placement, target), 0);
        cr_expect(target->anon.is_settled);
        cr_expect_eq(road.placement->account.injections_done, 1);

        rules_set("[Anon]\nTier=default\n");
        await_thread(program.pid, program.pid, VMA_POLICY_DEFAULT);
        program_end(&program);
}

static bool memory_is_accounted(void)
{
        _cleanup_(freep) char *path = NULL;

        return cgroup_memory_path(road.placement->host.cgroup_fd, road.watched->group, &path) >= 0;
}

/* How it stands with ColdAfter= is what counts, once the policy names no tier any more. */
RoadTest(anon, a_tier_of_the_policy_before_is_forgotten)
{
        const time_t end = time(NULL) + AWAIT_SEC;
        Program program = program_ready();

        rules_set("[Anon]\nTier=cheap\n");
        await_anon(program.pid, MAPPING_PLACED, "");
        await_settled(program.pid);
        rules_set("[Anon]\nColdAfter=1h\n");
        await_thread(program.pid, program.pid, VMA_POLICY_DEFAULT);
        while (target_of(program.pid)->anon.given ||
               target_of(program.pid)->anon.state == MAPPING_SKIPPED) {
                cr_assert_leq(time(NULL), end, "%s", target_of(program.pid)->anon.reason);
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
        program_end(&program);
}

/* Else DAMON would be told of no policy at each reload, and then of what there was before. */
RoadTest(anon, after_a_reload_all_are_looked_at_before_cgroups_are_gathered)
{
        const time_t end = time(NULL) + AWAIT_SEC;
        Program program = program_ready();
        Target *target;
        int enabled;

        rules_set("[Anon]\nColdAfter=1h\n");
        while (road.placement->aging.n_cgroups == 0) {
                cr_assert_leq(time(NULL), end);
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
        target = targets_find(&road.placement->targets, program.pid);
        rules_set("[Anon]\nColdAfter=1h\n");
        cr_assert_eq(sd_event_source_set_enabled(target->timer, SD_EVENT_OFF), 0);
        run_for(400);
        cr_assert_geq(sd_event_source_get_enabled(road.placement->aging.timer, &enabled), 0);
        cr_expect_neq(enabled, SD_EVENT_OFF);

        cr_assert_eq(placement_look(road.placement, target), 0);
        while (road.placement->aging.n_cgroups == 0) {
                cr_assert_leq(time(NULL), end);
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
        program_end(&program);
}

RoadTest(anon, without_accounts_of_memory_it_cannot_be_told_apart)
{
        Program program = program_ready();

        if (memory_is_accounted())
                cr_skip_test("the other case cannot be had here");
        road.placement->cold_by_reclaim = false;
        rules_set("[Anon]\nColdAfter=1h\n");
        await_anon(program.pid, MAPPING_PARTIAL, "not accounted");
        program_end(&program);
}

RoadTest(anon, one_that_had_ours_may_change_its_mind)
{
        Program program = program_ready();

        rules_set("[Anon]\nTier=cheap\n");
        await_anon(program.pid, MAPPING_PLACED, "");
        await_settled(program.pid);
        tell(&program, 'o');
        placement_look_again(road.placement);
        await_anon(program.pid, MAPPING_SKIPPED, "of its own");
        await_settled(program.pid);
        placement_look_again(road.placement);
        run_for(100);
        cr_expect(target_of(program.pid)->anon.is_settled, "it is not news for ever");
        cr_expect_eq(thread_policy(program.pid, program.pid), VMA_POLICY_BIND);
        cr_assert_eq(placement_set_rules(road.placement, NULL, 0), 0);
        run_for(100);
        cr_expect_eq(thread_policy(program.pid, program.pid), VMA_POLICY_BIND, "it is not ours");
        program_end(&program);
}
