/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The service is killed, and the next one takes off what it gave. */
#include "daemon/recall.h"
#include "tests/unit/road.h"

/* No chance to say good-bye: what is not in a file by now is lost. */
static void killed_and_started(const char *more)
{
        placement_free(road.placement);
        road_start();
        if (more)
                rules_set(more);
        recall_all(road.placement);
}

static Program program_mapped(const char *more)
{
        Program program = program_start();

        tell(&program, 'm');
        rules_set(more);
        await_state(&program, MAPPING_PLACED, "");
        return program;
}

RoadTest(recall, a_limit_takes_off_what_mappings_were_given)
{
        Program program = program_mapped("[Cow]\nFile=*/file\n");

        tell(&program, 'w');
        killed_and_started("CheapMax=1M\n[Cow]\nFile=*/file\n");
        await_policy(program.pid, program.address, VMA_POLICY_DEFAULT);
        program_end(&program);
}

RoadTest(recall, a_policy_of_its_own_stays)
{
        Program program = program_start();

        tell(&program, 'm');
        tell(&program, 'b');
        rules_set("[Cow]\nFile=*/file\nStrict=yes\n");
        await_state(&program, MAPPING_PLACED, "");
        tell(&program, 'w');
        killed_and_started("CheapMax=1M\n[Cow]\nFile=*/file\nStrict=yes\n");
        await_state(&program, MAPPING_PARTIAL, "CheapMax=");
        cr_expect_eq(policy_of(program.pid, program.address), VMA_POLICY_BIND);
        program_end(&program);
}

RoadTest(recall, a_policy_that_is_gone_is_taken_off_threads)
{
        Program program = program_mapped("[Cow]\nFile=*/file\n[Anon]\nTier=cheap\n");

        await_thread(program.pid, program.pid, VMA_POLICY_PREFERRED);
        killed_and_started(NULL);
        await_thread(program.pid, program.pid, VMA_POLICY_DEFAULT);
        program_end(&program);
}

RoadTest(recall, children_have_it_too)
{
        Program program = program_mapped("[Cow]\nFile=*/file\n[Anon]\nTier=cheap\n");
        const Target *target;
        const time_t end = time(NULL) + AWAIT_SEC;
        pid_t child;

        await_thread(program.pid, program.pid, VMA_POLICY_PREFERRED);
        child = tell_child(&program, 'f');
        while (!(target = targets_find(&road.placement->targets, child)) || !target->scanned) {
                cr_assert_leq(time(NULL), end);
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
        killed_and_started(NULL);
        await_thread(child, child, VMA_POLICY_DEFAULT);
        program_end(&program);
}

/* What is known of an earlier run is no pretext to take a later choice of the program's own away. */
RoadTest(recall, it_is_asked_once)
{
        Program program = program_mapped("[Cow]\nFile=*/file\n");

        killed_and_started("[Cow]\nFile=*/file\n");
        await_state(&program, MAPPING_PLACED, "");
        cr_assert_not_null(ledger_first(road.placement->ledger));
        cr_expect_not(ledger_first(road.placement->ledger)->is_before);
        program_end(&program);
}
