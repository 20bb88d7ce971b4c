/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What cannot be done, or is not to be done any more, makes no endless work. */
#include "tests/unit/road.h"

/* A program whose copies are not where they should be, and cannot be: there is no such node. */
static Program misplaced_start(const char *limits)
{
        Program program;
        Tiers tiers = {};
        char text[128];

        nodeset_add(&tiers.cheap, 1);
        placement_set_tiers(road.placement, &tiers);
        program = program_start();
        tell(&program, 'm');
        tell(&program, 'w');
        snprintf(text, sizeof(text), "%s[Cow]\nFile=*/file\n", limits);
        rules_set(text);
        return program;
}

/* Neither can the mapping be given its policy, nor can its copies be moved. */
RoadTest(endless, what_cannot_be_moved_is_tried_less_and_less_often)
{
        Program program;

        moves->result.error = -EOPNOTSUPP;
        program = misplaced_start("");
        await_state(&program, MAPPING_FAILED, "none of the tier's nodes");
        await_moves(1);
        run_for(1200);
        cr_expect_leq(moves->n_begun, 4, "%u", moves->n_begun);
        program_end(&program);
}

RoadTest(endless, a_move_that_moves_nothing_is_not_begun_again_at_once)
{
        Program program = misplaced_start("");

        await_moves(1);
        run_for(500);
        cr_expect_leq(moves->n_begun, 2, "%u", moves->n_begun);
        program_end(&program);
}

/* The threads cannot be given their policy either, which is tried more often. */
RoadTest(endless, a_move_of_anonymous_memory_is_not_begun_again_at_once)
{
        Program program = program_start();

        tell(&program, 'm');
        rules_set("[Anon]\nTier=node:1\n");
        await_moves(1);
        targets_find(&road.placement->targets, program.pid)->anon.n_failures = 12; /* a long rest */
        run_for(2500);
        cr_expect_leq(moves->n_begun, 4, "%u", moves->n_begun);
        program_end(&program);
}

/* Copies that will not go do not keep the anonymous memory of the same process from its turn. */
RoadTest(endless, what_cannot_be_moved_keeps_nothing_else_waiting)
{
        const time_t end = time(NULL) + AWAIT_SEC;
        Program program = program_start();

        tell(&program, 'm');
        tell(&program, 'w');
        moves->result.error = -EOPNOTSUPP;
        rules_set("[Cow]\nFile=*/file\nTier=node:1\n[Anon]\nTier=node:1\n");
        await_moves(1);
        cr_expect_not(moves->anonymous);
        while (!moves->anonymous) {
                cr_assert_leq(time(NULL), end, "%u moves, of copies only", moves->n_begun);
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
        program_end(&program);
}

RoadTest(endless, even_the_slowest_rate_moves_a_page)
{
        Program program;

        moves->result.moved_bytes = 4096;
        program = misplaced_start("MoveRate=512\n");
        await_moves(1);
        cr_expect_eq(moves->bytes_turn, 4096);
        program_end(&program);
}

/* One that was through in no time has spent what the next five seconds earn. */
RoadTest(endless, one_relocation_waits_for_what_another_has_spent)
{
        Program program;

        moves->result.moved_bytes = 5 << 20;
        program = misplaced_start("MoveRate=1M\n");
        await_moves(1);
        cr_expect_eq(moves->bytes_turn, 5 << 20);
        run_for(500);
        cr_expect_eq(moves->n_begun, 1, "%u", moves->n_begun);
        program_end(&program);
}

RoadTest(endless, once_it_is_told_to_stop_it_begins_nothing)
{
        Program program = program_start();
        Target *target;

        tell(&program, 'm');
        rules_set("[Cow]\nFile=*/file\n");
        cr_assert_not(placement_stop(road.placement, NULL, NULL), "nothing is under way");
        target = placement_target(road.placement, program.pid);
        cr_assert_not_null(target);
        placement_due(road.placement, target, 0);
        await_state(&program, MAPPING_PLACING, "");
        run_for(200);
        cr_expect_eq(road.placement->account.injections_done, 0);
        cr_expect_eq(policy_of(program.pid, program.address), VMA_POLICY_DEFAULT);
        program_end(&program);
}

/* However often events are lost, not everybody is looked at each time: between two of three looks a rest
 * lies, however slow the machine. */
RoadTest(endless, lost_events_are_made_up_for_once_in_a_while)
{
        const WatchEvent lost = { .kind = WATCH_LOST };
        const time_t end = time(NULL) + AWAIT_SEC;
        Program program = program_start();
        uint64_t before, began;

        tell(&program, 'm');
        rules_set("[Cow]\nFile=*/file\n");
        await_state(&program, MAPPING_PLACED, "");
        run_for(200);
        before = road.placement->account.scans;
        began = placement_clock_ns();
        while (road.placement->account.scans < before + 3) {
                cr_assert_leq(time(NULL), end, "nobody is looked at");
                placement_hear(&lost, road.placement);
                run_for(10);
        }
        cr_expect_geq(placement_clock_ns() - began, UINT64_C(900000000));

        placement_hear(&lost, road.placement);
        before = road.placement->account.scans;
        while (road.placement->account.scans == before) { /* the last loss counts, too */
                cr_assert_leq(time(NULL), end, "the last loss was forgotten");
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
        program_end(&program);
}
