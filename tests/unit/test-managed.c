/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>

#include "daemon/managed.h"
#include "policy/macro.h"

#define SEC UINT64_C(1000000)

static DeviceConfig sections[] = {
        { .name = (char *)"dax1.0", .online = true, .zone = ZONE_MOVABLE },
        { .name = (char *)"path:*/region2/*", .online = true },
};
static const Config config = { .devices = sections, .n_devices = ARRAY_SIZE(sections) };

static const Device devdax = { .chardev = "dax1.0",
                               .path = (char *)"/devices/region1/dax1.0",
                               .target_node = 2 };
static const Device online = {
        .chardev = "dax1.0",
        .path = (char *)"/devices/region1/dax1.0",
        .mode = DEVICE_MODE_SYSTEM_RAM,
        .online_memblocks = 15,
        .total_memblocks = 15,
        .movable_memblocks = 15,
        .target_node = 2,
};

/* The first section, and what it wants at a time. */
static Managed *managed;
static size_t n_managed;

static void setup(void)
{
        cr_assert_eq(managed_build(&config, NULL, 0, &managed, &n_managed), 0);
        cr_assert_eq(n_managed, 2);
}

static void teardown(void)
{
        managed_free(managed, n_managed);
}

static ManagedWish wish_at(uint64_t now)
{
        uint64_t ask_again;

        return managed_wish(managed, now, &ask_again);
}

static Job job_with(JobKind kind, int result, OnlineStep *steps, size_t n_steps)
{
        return (Job){ .kind = kind, .result = result, .steps = steps, .n_steps = n_steps };
}

static void run_job(JobKind kind, int result, uint64_t now)
{
        Job job = job_with(kind, result, NULL, 0);

        managed_job_queued(managed, kind);
        managed_job_done(managed, &job, now);
}

TestSuite(managed, .init = setup, .fini = teardown);

Test(managed, absent_device_is_awaited_and_taken_when_it_comes)
{
        managed_update(managed, n_managed, NULL, 0);
        cr_assert_eq(managed->state, MANAGED_ABSENT);
        cr_assert_eq(wish_at(0), MANAGED_WISH_NOTHING);

        managed_update(managed, n_managed, &devdax, 1);
        cr_assert_eq(wish_at(0), MANAGED_WISH_ONLINE);
        cr_assert_eq(managed[1].state, MANAGED_ABSENT);
}

Test(managed, online_device_is_left_alone)
{
        managed_update(managed, n_managed, &devdax, 1);
        run_job(JOB_ONLINE, 0, 0);
        managed_update(managed, n_managed, &online, 1);
        cr_assert_eq(managed->state, MANAGED_ONLINE);
        cr_assert_eq(wish_at(1000 * SEC), MANAGED_WISH_NOTHING);
}

Test(managed, what_was_online_before_us_is_verified_once)
{
        managed_update(managed, n_managed, &online, 1);
        cr_assert_eq(wish_at(0), MANAGED_WISH_ONLINE);
        run_job(JOB_ONLINE, 0, 0);
        cr_assert_eq(wish_at(0), MANAGED_WISH_NOTHING);
}

Test(managed, nothing_is_wanted_while_a_job_runs)
{
        managed_update(managed, n_managed, &devdax, 1);
        managed_job_queued(managed, JOB_ONLINE);
        cr_assert_eq(wish_at(0), MANAGED_WISH_NOTHING);
        managed_update(managed, n_managed, &devdax, 1);
        cr_assert_eq(managed->state, MANAGED_ONLINING);
}

Test(managed, block_taken_away_by_somebody_is_wanted_back)
{
        Device partly = online;

        managed_update(managed, n_managed, &online, 1);
        run_job(JOB_ONLINE, 0, 0);
        partly.online_memblocks = partly.movable_memblocks = 14;
        managed_update(managed, n_managed, &partly, 1);
        cr_assert_eq(wish_at(0), MANAGED_WISH_NOTHING, "whoever took it may do it again at once");
        cr_assert_eq(wish_at(1 * SEC), MANAGED_WISH_ONLINE);
}

Test(managed, failure_is_tried_again_later_and_later)
{
        uint64_t ask_again;

        managed_update(managed, n_managed, &devdax, 1);
        run_job(JOB_ONLINE, -EBUSY, 10 * SEC);
        cr_assert_eq(managed->state, MANAGED_FAILED);
        cr_assert_eq(managed_wish(managed, 10 * SEC, &ask_again), MANAGED_WISH_NOTHING);
        cr_assert_eq(ask_again, 11 * SEC);
        cr_assert_eq(wish_at(11 * SEC), MANAGED_WISH_ONLINE);

        run_job(JOB_ONLINE, -EBUSY, 11 * SEC);
        cr_assert_eq(managed_wish(managed, 11 * SEC, &ask_again), MANAGED_WISH_NOTHING);
        cr_assert_eq(ask_again, 13 * SEC);

        run_job(JOB_ONLINE, 0, 13 * SEC);
        cr_assert_eq(managed->n_failures, 0);
        cr_assert_str_empty(managed->reason);
}

Test(managed, back_off_doubles_up_to_its_limit)
{
        cr_assert_eq(managed_backoff(1), 1 * SEC);
        cr_assert_eq(managed_backoff(2), 2 * SEC);
        cr_assert_eq(managed_backoff(6), 32 * SEC);
        cr_assert_eq(managed_backoff(7), 60 * SEC);
        cr_assert_eq(managed_backoff(4000000000u), 60 * SEC);
}

Test(managed, failure_shows_while_it_is_tried_again)
{
        managed_update(managed, n_managed, &devdax, 1);
        managed_job_queued(managed, JOB_ONLINE);
        cr_assert_eq(managed->state, MANAGED_ONLINING);
        run_job(JOB_ONLINE, -EBUSY, 0);
        managed_job_queued(managed, JOB_ONLINE);
        cr_assert_eq(managed->state, MANAGED_FAILED);
        cr_assert_eq(wish_at(1000 * SEC), MANAGED_WISH_NOTHING);
}

Test(managed, partial_says_which_block_and_why)
{
        OnlineStep steps[] = {
                { .object = "memory40", .action = "offline", .result = ONLINE_DONE },
                { .object = "memory41",
                  .action = "offline",
                  .result = ONLINE_FAILED,
                  .error = -EBUSY },
        };
        Job job = job_with(JOB_OFFLINE, -EUCLEAN, steps, ARRAY_SIZE(steps));

        managed_update(managed, n_managed, &online, 1);
        managed_hold(managed);
        managed_job_queued(managed, JOB_OFFLINE);
        managed_job_done(managed, &job, 0);
        cr_assert_eq(managed->state, MANAGED_PARTIAL);
        cr_assert_str_eq(managed->reason, "memory41: offline: Device or resource busy");
        cr_assert_eq(wish_at(1 * SEC), MANAGED_WISH_OFFLINE);
}

Test(managed, offline_on_request_stays_until_asked)
{
        managed_update(managed, n_managed, &online, 1);
        managed_hold(managed);
        run_job(JOB_OFFLINE, 0, 0);
        managed_update(managed, n_managed, &devdax, 1);
        cr_assert_eq(managed->state, MANAGED_OFFLINE);
        cr_assert_eq(wish_at(1000 * SEC), MANAGED_WISH_NOTHING);

        managed_release(managed);
        managed_update(managed, n_managed, &devdax, 1);
        cr_assert_eq(wish_at(1000 * SEC), MANAGED_WISH_ONLINE);
}

Test(managed, offline_on_request_ends_with_a_replug)
{
        managed_update(managed, n_managed, &online, 1);
        managed_hold(managed);
        run_job(JOB_OFFLINE, 0, 0);
        managed_update(managed, n_managed, NULL, 0);
        managed_update(managed, n_managed, &devdax, 1);
        cr_assert_eq(wish_at(0), MANAGED_WISH_ONLINE);
}

Test(managed, reload_keeps_what_is_known)
{
        DeviceConfig other[] = { { .name = (char *)"dax3.0", .online = true },
                                 { .name = (char *)"dax1.0", .online = true } };
        const Config changed = { .devices = other, .n_devices = ARRAY_SIZE(other) };
        Managed *reloaded;
        size_t n_reloaded;

        managed_update(managed, n_managed, &online, 1);
        run_job(JOB_ONLINE, 0, 0);
        cr_assert_eq(managed_build(&changed, managed, n_managed, &reloaded, &n_reloaded), 0);
        cr_assert_eq(reloaded[0].state, MANAGED_ABSENT);
        cr_assert_eq(reloaded[1].state, MANAGED_ONLINE);
        cr_assert(reloaded[1].verified);
        managed_free(reloaded, n_reloaded);

        other[1].zone = ZONE_NORMAL;
        cr_assert_eq(managed_build(&changed, managed, n_managed, &reloaded, &n_reloaded), 0);
        cr_assert_not(reloaded[1].verified);
        managed_free(reloaded, n_reloaded);
}

Test(managed, device_that_is_not_to_be_online_is_idle)
{
        managed->online = false;
        managed_update(managed, n_managed, &devdax, 1);
        cr_assert_eq(managed->state, MANAGED_IDLE);
        cr_assert_eq(wish_at(0), MANAGED_WISH_NOTHING);
}

Test(managed, name_that_fits_several_devices_takes_none)
{
        const Device both[] = {
                { .chardev = "dax2.0", .path = (char *)"/devices/region2/dax2.0" },
                { .chardev = "dax2.1", .path = (char *)"/devices/region2/dax2.1" },
        };
        uint64_t ask_again;

        managed_update(managed, n_managed, both, ARRAY_SIZE(both));
        cr_assert_eq(managed[1].state, MANAGED_FAILED);
        cr_assert_eq(managed_wish(&managed[1], 0, &ask_again), MANAGED_WISH_NOTHING);
        cr_assert_not_null(strstr(managed[1].reason, "several devices"));
}

Test(managed, device_named_twice_belongs_to_the_first_section)
{
        Device twice = devdax;
        uint64_t ask_again;

        twice.path = (char *)"/devices/region2/dax1.0";
        managed_update(managed, n_managed, &twice, 1);
        cr_assert_eq(wish_at(0), MANAGED_WISH_ONLINE);
        cr_assert_eq(managed_wish(&managed[1], 0, &ask_again), MANAGED_WISH_NOTHING);
        cr_assert_str_eq(managed[1].reason, "already named by [Device dax1.0]");
}
