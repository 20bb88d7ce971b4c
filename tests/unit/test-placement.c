/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who gets which policy, and from whom it is taken. */
#include "tests/unit/road.h"

RoadTest(placement, a_new_mapping_gets_its_policy)
{
        Program program;

        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        cr_assert_eq(policy_of(program.pid, program.address), VMA_POLICY_PREFERRED);
        cr_assert_eq(road.placement->account.injections_done, 1);
        cr_assert_eq(road.placement->account.place_latency.n, 1);
        tell(&program, 'w');
        program_end(&program);
        await_forgotten(program.pid);
}

RoadTest(placement, a_few_looks_in_a_row_are_free_and_many_are_not)
{
        Program program;
        Target *target;

        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        target = targets_find(&road.placement->targets, program.pid);
        cr_assert_leq(target->rest_usec, target->scanned_usec, "the next mapping would wait");

        for (unsigned i = 0; i < 1000000 && target->rest_usec <= target->scanned_usec; i++)
                cr_assert_eq(placement_look(road.placement, target), 0);
        cr_assert_gt(target->rest_usec, target->scanned_usec);
        cr_assert_leq(target->rest_usec, target->scanned_usec + 1000000);
        program_end(&program);
}

RoadTest(placement, a_policy_that_comes_later_finds_what_is_there)
{
        Program program = program_start();

        tell(&program, 'm');
        tell(&program, 'w');
        rules_set("[Cow]\nFile=*/file\n");
        await_state(&program, MAPPING_PLACED, "");
        cr_assert_eq(policy_of(program.pid, program.address), VMA_POLICY_PREFERRED);
        cr_assert_eq(mapping_of(program.pid, program.address)->cheap_bytes, LENGTH);
        program_end(&program);
}

RoadTest(placement, page_cache_is_not_dax)
{
        Program program = program_start(), other;

        rules_set("[Cow]\nFile=dax\n");
        tell(&program, 'm');
        rules_set("[Cow]\nFile=*/file\n");
        other = program_start();
        tell(&other, 'm');
        await_state(&other, MAPPING_PLACED, "");
        rules_set("[Cow]\nFile=dax\n");
        tell(&program, 'w');
        while (mapping_of(program.pid, program.address) || mapping_of(other.pid, other.address))
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        program_end(&other); /* which has the pipes of the first open, too */
        program_end(&program);
}

RoadTest(placement, a_policy_of_its_own_is_left)
{
        Program program = program_start();

        tell(&program, 'm');
        tell(&program, 'b');
        rules_set("[Cow]\nFile=*/file\n");
        await_state(&program, MAPPING_SKIPPED, "of its own");
        cr_assert_eq(policy_of(program.pid, program.address), VMA_POLICY_BIND);
        cr_assert_eq(road.placement->account.injections_done, 0);
        program_end(&program);
}

RoadTest(placement, what_we_gave_is_taken_back)
{
        Program program = program_start();

        tell(&program, 'm');
        rules_set("[Cow]\nFile=*/file\n");
        await_state(&program, MAPPING_PLACED, "");
        rules_set("[Cow]\nFile=*/file\nTier=default\n");
        await_state(&program, MAPPING_SKIPPED, "Tier=default");
        while (policy_of(program.pid, program.address) != VMA_POLICY_DEFAULT)
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        rules_set("[Cow]\nFile=*/file\nStrict=yes\n");
        await_state(&program, MAPPING_PLACED, "");
        cr_assert_eq(policy_of(program.pid, program.address), VMA_POLICY_BIND);
        program_end(&program);
}

static bool is_placed_soon(const Program *program)
{
        for (unsigned i = 0; i < 1000; i++) {
                if (policy_of(program->pid, program->address) != VMA_POLICY_DEFAULT)
                        return true;
                sched_yield();
        }
        return false;
}

/* The answer to a call that was under way at the reload is not heard any more. */
RoadTest(placement, what_it_was_just_getting_is_taken_back_too)
{
        Program program = program_start();
        const Target *target;

        tell(&program, 'm');
        rules_set("[Cow]\nFile=*/file\n");
        do {
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
                target = targets_find(&road.placement->targets, program.pid);
        } while (!target || !target->apply);
        /* One source at a time, and a moment after each: the call is made before its answer is heard. */
        while (!is_placed_soon(&program)) {
                cr_assert_not_null(target->apply, "its answer was heard");
                cr_assert_geq(sd_event_run(road.watched->event, 0), 0);
        }

        rules_set("[Cow]\nFile=*/file\nTier=default\n");
        await_state(&program, MAPPING_SKIPPED, "Tier=default");
        while (policy_of(program.pid, program.address) != VMA_POLICY_DEFAULT)
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        program_end(&program);
}

/* SIGSTOP or SIGCONT for those that make the calls. */
static void injector_signal(int number)
{
        char path[64], line[256], *at = line;
        FILE *children;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", road.injector.pid,
                 road.injector.pid);
        children = fopen(path, "re");
        cr_assert_not_null(children);
        cr_assert_not_null(fgets(line, sizeof(line), children));
        fclose(children);
        for (char *end; *at != '\0' && *at != '\n'; at = end + strspn(end, " "))
                cr_assert_eq(kill((pid_t)strtol(at, &end, 10), number), 0);
}

/* The look after the reload sees nothing to take back yet; the call is made after it. */
RoadTest(placement, what_it_gets_after_the_reload_is_taken_back_too)
{
        Program program = program_start();
        const Target *target;

        tell(&program, 'm');
        injector_signal(SIGSTOP);
        rules_set("[Cow]\nFile=*/file\n");
        await_state(&program, MAPPING_PLACING, "");
        run_for(100);
        target = targets_find(&road.placement->targets, program.pid);
        cr_assert(target && target->apply, "it is being made");

        rules_set("[Cow]\nFile=*/file\nTier=default\n");
        await_state(&program, MAPPING_SKIPPED, "Tier=default");
        injector_signal(SIGCONT);
        while (road.placement->account.injections_done < 2)
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        cr_expect_eq(policy_of(program.pid, program.address), VMA_POLICY_DEFAULT);
        program_end(&program);
}

RoadTest(placement, a_policy_that_a_program_gives_itself_afterwards_is_left)
{
        Program program;

        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        tell(&program, 'b'); /* to the very node */
        placement_look_again(road.placement);
        await_state(&program, MAPPING_SKIPPED, "of its own");
        cr_expect_eq(policy_of(program.pid, program.address), VMA_POLICY_BIND);
        program_end(&program);
}

RoadTest(placement, what_a_part_of_a_mapping_has_is_taken_back)
{
        Program program;

        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        tell(&program, 'p');
        rules_set("[Cow]\nFile=*/file\nTier=default\n");
        await_policy(program.pid, program.address, VMA_POLICY_DEFAULT);
        await_policy(program.pid, program.address + LENGTH / 2, VMA_POLICY_DEFAULT);
        program_end(&program);
}

RoadTest(placement, a_child_has_it_from_its_parent)
{
        Program program, child;

        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        tell(&program, 'f');
        child.address = program.address;
        cr_assert_eq(read(program.out, &child.pid, sizeof(child.pid)), sizeof(child.pid));
        await_state(&child, MAPPING_PLACED, "");
        cr_assert_eq(road.placement->account.injections_done, 1, "nothing to do for it");

        rules_set("[Cow]\nFile=*/file\nTier=default\n");
        await_policy(program.pid, program.address, VMA_POLICY_DEFAULT);
        await_policy(child.pid, child.address, VMA_POLICY_DEFAULT);
        program_end(&program);
}

RoadTest(placement, another_program_begins_anew)
{
        Program program;
        char command = 'e';

        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        cr_assert_eq(write(program.in, &command, 1), 1);
        while (mapping_of(program.pid, program.address))
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        cr_assert_eq(kill(program.pid, SIGKILL), 0);
        waitpid(program.pid, NULL, 0);
        await_forgotten(program.pid);
}

RoadTest(placement, without_the_injector_it_says_so_and_tries_again)
{
        Program program;

        injector_end(&road.injector);
        road.injector.pid = 0;
        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_FAILED, "injector is not running");
        cr_assert_lt(road.placement->injector_error, 0);

        road.injector = injector_new(); /* where the placement looks for it: in .path */
        await_state(&program, MAPPING_PLACED, "");
        cr_assert_eq(road.placement->injector_error, 0);
        program_end(&program);
}

RoadTest(placement, a_dry_run_changes_nothing)
{
        Program program;

        road.placement->dry_run = true;
        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_SKIPPED, "dry run");
        cr_assert_eq(policy_of(program.pid, program.address), VMA_POLICY_DEFAULT);
        cr_assert_eq(road.placement->account.injections_done, 0);
        program_end(&program);
}

RoadTest(placement, beyond_cheap_max_it_is_left_to_the_kernel)
{
        Program program;

        rules_set("CheapMax=1M\n[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        tell(&program, 'w');
        placement_reconcile(road.placement);
        await_state(&program, MAPPING_PARTIAL, "CheapMax=");
        while (policy_of(program.pid, program.address) != VMA_POLICY_DEFAULT)
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        program_end(&program);
}

RoadTest(placement, a_tier_that_goes_and_comes)
{
        Program program;
        Tiers none = {}, again = {};

        nodeset_add(&again.cheap, 0);
        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        placement_set_tiers(road.placement, &none);
        await_state(&program, MAPPING_SKIPPED, "no node");
        placement_set_tiers(road.placement, &again);
        await_state(&program, MAPPING_PLACED, "");
        /* That it was taken off may only just be done: it is put on again at the next look. */
        while (policy_of(program.pid, program.address) != VMA_POLICY_PREFERRED ||
               !is_so(program.pid, program.address, MAPPING_PLACED, ""))
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        program_end(&program);
}
