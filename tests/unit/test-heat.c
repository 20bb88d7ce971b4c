/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "daemon/heat.h"
#include "daemon/kernel/damonlist.h"
#include "tests/unit/heat-tree.h"

/* Much more than anything here takes, on a machine that has other things to do. */
#define PATIENCE_USEC UINT64_C(30000000)

#define SEC UINT64_C(1000000)

static Scratch sys, run, cgroups;
static sd_event *event;
static Heat *heat;
static Tiers tiers;
static HeatWish wishes[3];
static HeatState state;

static void set_up(void)
{
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        sys = kernel_with_heat(false);
        run = scratch_new();
        cgroups = scratch_new();
        put(&cgroups, "a/memory.current", "0\n");
        put(&cgroups, "b/memory.current", "0\n");
        cr_assert_geq(sd_event_new(&event), 0);
        cr_assert_eq(heat_new(event, sys.fd, cgroups.fd, run.fd, &heat), 0);

        nodeset_add(&tiers.fast, 0);
        nodeset_add(&tiers.cheap, 2);
        nodeset_add(&tiers.cheap, 3);
        for (size_t i = 0; i < ARRAY_SIZE(wishes); i++)
                wishes[i] = (HeatWish){
                        .cgroup = i == 0 ? "/a" : "/b",
                        .cold_after_usec = SEC,
                        .cold = tiers.cheap,
                        .has_hot = i == 0,
                        .hot = tiers.fast,
                        .rate = 100 << 20,
                };
}

static void tear_down(void)
{
        heat_free(heat);
        sd_event_unref(event);
        scratch_freep(&sys);
        scratch_freep(&run);
        scratch_freep(&cgroups);
}

TestSuite(heat, .init = set_up, .fini = tear_down);

static bool file_is(const char *name, const char *expected)
{
        char text[64];

        return attr_read(sys.fd, name, text, sizeof(text)) >= 0 && strcmp(text, expected) == 0;
}

/* Runs the event loop until @cgroup's wish stands so. */
static void await_error(const char *cgroup, int error)
{
        uint64_t began, now;

        sd_event_now(event, CLOCK_MONOTONIC, &began);
        for (;;) {
                heat_state(heat, cgroup, &state);
                if (state.error == error)
                        return;
                sd_event_now(event, CLOCK_MONOTONIC, &now);
                cr_assert_lt(now - began, PATIENCE_USEC, "%s: %d %s", cgroup, state.error,
                             state.reason);
                sd_event_run(event, SEC / 10);
        }
}

static void await_file(const char *name, const char *expected)
{
        uint64_t began, now;

        sd_event_now(event, CLOCK_MONOTONIC, &began);
        while (!file_is(name, expected)) {
                sd_event_now(event, CLOCK_MONOTONIC, &now);
                cr_assert_lt(now - began, PATIENCE_USEC, "%s", name);
                sd_event_run(event, SEC / 10);
        }
}

Test(heat, without_wishes_touches_nothing_and_waits_for_nothing)
{
        cr_assert_eq(heat_set(heat, NULL, 0, &tiers), 0);
        cr_assert_eq(sd_event_run(event, 0), 0);
        expect(&sys, KDAMONDS "nr_kdamonds", "0");
        heat_state(heat, "/a", &state);
        cr_assert_eq(state.error, -ENOENT);
}

Test(heat, sets_up_a_scheme_or_two_for_each_cgroup)
{
        cr_assert_eq(heat_set(heat, wishes, 2, &tiers), 0);
        heat_state(heat, "/a", &state);
        cr_assert_eq(state.error, -EINPROGRESS);
        await_error("/a", 0);
        await_error("/b", 0);
        expect(&sys, KDAMONDS "nr_kdamonds", "2");
        expect(&sys, HEAT_CONTEXT "schemes/nr_schemes", "3");
        /* The one of the cheap nodes that has more room. */
        expect(&sys, HEAT_CONTEXT "schemes/0/target_nid", "3");
        expect(&sys, HEAT_CONTEXT "schemes/0/action", "migrate_cold");
        /* Two runs of the cheap tier are left out. */
        expect(&sys, HEAT_CONTEXT "schemes/0/filters/2/memcg_path", "/a");
        expect(&sys, HEAT_CONTEXT "schemes/1/action", "migrate_hot");
        expect(&sys, HEAT_CONTEXT "schemes/1/target_nid", "0");
        expect(&sys, HEAT_CONTEXT "schemes/1/filters/2/memcg_path", "/a");
        expect(&sys, HEAT_CONTEXT "schemes/2/action", "migrate_cold");
        expect(&sys, HEAT_CONTEXT "schemes/2/filters/2/memcg_path", "/b");
}

Test(heat, a_scheme_that_is_not_wanted_any_more_keeps_its_place_for_the_next)
{
        cr_assert_eq(heat_set(heat, wishes, 1, &tiers), 0);
        await_error("/a", 0);
        wishes[0].hold_hot = true;
        cr_assert_eq(heat_set(heat, wishes, 1, &tiers), 0);
        await_file(HEAT_CONTEXT "schemes/1/access_pattern/sz/max", "1");
        expect(&sys, HEAT_CONTEXT "schemes/nr_schemes", "2");
        /* Nothing of the cheap tier is looked at now, so nothing of it has to be left out. */
        await_file(HEAT_CONTEXT "schemes/0/filters/0/memcg_path", "/a");
        expect(&sys, HEAT_CONTEXT "targets/0/regions/nr_regions", "2");

        cr_assert_eq(heat_set(heat, wishes, 2, &tiers), 0);
        await_file(HEAT_CONTEXT "schemes/1/filters/0/memcg_path", "/b");
        expect(&sys, HEAT_CONTEXT "schemes/1/action", "migrate_cold");
        expect(&sys, HEAT_CONTEXT "schemes/nr_schemes", "2");
}

Test(heat, gives_damon_back_when_nothing_is_wished_for)
{
        cr_assert_eq(heat_set(heat, wishes, 2, &tiers), 0);
        await_error("/a", 0);
        cr_assert_eq(heat_set(heat, NULL, 0, &tiers), 0);
        await_file(KDAMONDS "nr_kdamonds", "0");
        expect(&sys, KDAMONDS "0/state", "off");
}

Test(heat, gives_damon_back_at_the_end)
{
        cr_assert_eq(heat_set(heat, wishes, 2, &tiers), 0);
        await_error("/a", 0);
        heat_free(TAKE_PTR(heat));
        expect(&sys, KDAMONDS "0/state", "off");
        expect(&sys, KDAMONDS "nr_kdamonds", "0");
        cr_assert_neq(faccessat(run.fd, DAMON_NOTE, F_OK, 0), 0);
}

/* Whatever it was doing. */
Test(heat, gives_damon_back_in_the_middle_of_a_step)
{
        cr_assert_eq(heat_set(heat, wishes, 2, &tiers), 0);
        while (!file_is(KDAMONDS "0/state", "on"))
                ;
        heat_free(TAKE_PTR(heat));
        expect(&sys, KDAMONDS "0/state", "off");
        expect(&sys, KDAMONDS "nr_kdamonds", "0");
}

Test(heat, counts_what_was_moved_also_over_restarts_of_the_kdamond)
{
        uint64_t demoted, promoted;

        cr_assert_eq(heat_set(heat, wishes, 2, &tiers), 0);
        await_error("/a", 0);
        put(&sys, HEAT_CONTEXT "schemes/0/stats/sz_tried", "16384\n");
        put(&sys, HEAT_CONTEXT "schemes/0/stats/sz_applied", "8192\n");
        put(&sys, HEAT_CONTEXT "schemes/1/stats/sz_applied", "4096\n");
        do {
                sd_event_run(event, SEC / 10);
                heat_state(heat, "/a", &state);
        } while (state.demoted_bytes == 0);
        cr_assert_eq(state.demoted_bytes, 8192);
        cr_assert_eq(state.promoted_bytes, 4096);
        heat_state(heat, "/b", &state);
        cr_assert_eq(state.demoted_bytes, 0);

        put(&sys, HEAT_CONTEXT "schemes/0/stats/sz_applied", "0\n");
        put(&sys, KDAMONDS "0/state", "off\n"); /* somebody did that */
        await_file(KDAMONDS "0/state", "commit");
        put(&sys, HEAT_CONTEXT "schemes/0/stats/sz_applied", "4096\n");
        do {
                sd_event_run(event, SEC / 10);
                heat_state(heat, "/a", &state);
        } while (state.demoted_bytes == 8192);
        cr_assert_eq(state.demoted_bytes, 12288);
        heat_totals(heat, &demoted, &promoted);
        cr_assert_eq(demoted, 12288);
        cr_assert_geq(promoted, 4096);
}

Test(heat, says_who_has_damon_and_goes_on_when_it_is_free)
{
        put(&sys, KDAMONDS "nr_kdamonds", "1\n");
        put(&sys, KDAMONDS "0/state", "on\n");
        put(&sys, KDAMONDS "0/pid", "4711\n");
        put(&sys, "module/damon_stat/parameters/enabled", "Y\n");
        heat_set_take(heat, true); /* not what runs */
        cr_assert_eq(heat_set(heat, wishes, 2, &tiers), 0);
        await_error("/a", -EBUSY);
        cr_assert_not_null(strstr(state.reason, "4711"), "%s", state.reason);
        expect(&sys, KDAMONDS "nr_kdamonds", "1");
        expect(&sys, KDAMONDS "0/state", "on");
        expect(&sys, "module/damon_stat/parameters/enabled", "Y");

        put(&sys, KDAMONDS "0/state", "off\n");
        put(&sys, KDAMONDS "nr_kdamonds", "0\n");
        await_error("/a", 0);
        cr_assert_str_eq(state.reason, "");
}

Test(heat, takes_damon_from_damon_stat_only_if_it_may_and_puts_it_back)
{
        put(&sys, "module/damon_stat/parameters/enabled", "Y\n");
        cr_assert_eq(heat_set(heat, wishes, 2, &tiers), 0);
        await_error("/a", -EBUSY);
        cr_assert_not_null(strstr(state.reason, "damon_stat"), "%s", state.reason);
        expect(&sys, "module/damon_stat/parameters/enabled", "Y");

        heat_set_take(heat, true);
        await_error("/a", 0);
        expect(&sys, "module/damon_stat/parameters/enabled", "N");
        cr_assert_eq(heat_set(heat, NULL, 0, &tiers), 0);
        await_file(KDAMONDS "nr_kdamonds", "0");
        await_file("module/damon_stat/parameters/enabled", "Y");
}

Test(heat, a_kernel_without_damon_is_asked_once)
{
        heat_free(TAKE_PTR(heat));
        scratch_freep(&sys);
        sys = scratch_new();
        put(&sys, "devices/system/memory/block_size_bytes", "8000000\n");
        put_block(&sys, 0, 0, "online\n");
        cr_assert_eq(heat_new(event, sys.fd, cgroups.fd, run.fd, &heat), 0);
        cr_assert_eq(heat_set(heat, wishes, 2, &tiers), 0);
        await_error("/a", -EOPNOTSUPP);
        cr_assert_not_null(strstr(state.reason, "without DAMON"), "%s", state.reason);
        cr_assert_eq(heat_set(heat, wishes, 1, &tiers), 0);
        cr_assert_eq(sd_event_run(event, 0), 0);
}

Test(heat, a_cgroup_that_is_not_there_keeps_the_others_from_nothing)
{
        wishes[1].cgroup = "/gone";
        cr_assert_eq(heat_set(heat, wishes, 2, &tiers), 0);
        await_error("/a", 0);
        heat_state(heat, "/gone", &state);
        cr_assert_eq(state.error, -ENOENT);
        expect(&sys, HEAT_CONTEXT "schemes/2/access_pattern/sz/max", "1");
}

Test(heat, of_more_cgroups_than_there_can_be_the_first_are_served)
{
        HeatWish many[HEAT_WISHES_MAX + 2];
        char names[HEAT_WISHES_MAX + 2][16];

        for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
                snprintf(names[i], sizeof(names[i]), "/many/%zu", i);
                many[i] = wishes[1];
                many[i].cgroup = names[i];
        }
        put(&sys, "module/damon_stat/parameters/enabled", "Y\n");
        cr_assert_eq(heat_set(heat, many, ARRAY_SIZE(many), &tiers), 0);
        await_error("/many/63", -EBUSY);
        heat_state(heat, "/many/64", &state);
        cr_assert_eq(state.error, -E2BIG);
        heat_state(heat, "/many/65", &state);
        cr_assert_eq(state.error, -E2BIG);
}
