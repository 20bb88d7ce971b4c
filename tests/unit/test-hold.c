/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/stat.h>

#include "daemon/hold.h"
#include "daemon/kernel/attr.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

#define POLICY "devices/system/memory/auto_online_blocks"

/* A /sys with nothing but the policy, and a /run/daxtierd, in one directory. */
static Scratch machine_with(const char *policy)
{
        Scratch scratch = scratch_new();

        cr_assert_eq(mkdirat(scratch.fd, "devices", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "devices/system", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "devices/system/memory", 0755), 0);
        if (policy)
                scratch_write(&scratch, POLICY, policy, strlen(policy));
        return scratch;
}

static void expect_policy(const Scratch *scratch, const char *expected)
{
        char text[32];

        cr_assert_geq(attr_read(scratch->fd, POLICY, text, sizeof(text)), 0);
        cr_assert_str_eq(text, expected);
}

static bool has_state(const Scratch *scratch)
{
        return faccessat(scratch->fd, "auto-online", F_OK, 0) == 0;
}

Test(hold, puts_back_what_it_found)
{
        _cleanup_(scratch_freep) Scratch scratch = machine_with("online\n");
        Hold hold;

        cr_assert_eq(hold_take(scratch.fd, scratch.fd, HOLD_AUTO_ONLINE, "online_movable", &hold),
                     0);
        expect_policy(&scratch, "online_movable");
        cr_assert(has_state(&scratch));

        cr_assert_eq(hold_release(&hold), 0);
        expect_policy(&scratch, "online");
        cr_assert_not(has_state(&scratch));
}

Test(hold, changes_nothing_that_is_as_wanted)
{
        _cleanup_(scratch_freep) Scratch scratch = machine_with("online_movable\n");
        Hold hold;

        cr_assert_eq(hold_take(scratch.fd, scratch.fd, HOLD_AUTO_ONLINE, "online_movable", &hold),
                     0);
        cr_assert_str_empty(hold.found);
        cr_assert_not(has_state(&scratch));
        cr_assert_eq(hold_release(&hold), 0);
        expect_policy(&scratch, "online_movable");
}

Test(hold, needs_no_policy)
{
        _cleanup_(scratch_freep) Scratch scratch = machine_with(NULL);
        Hold hold;

        cr_assert_eq(hold_take(scratch.fd, scratch.fd, HOLD_AUTO_ONLINE, "online_movable", &hold),
                     0);
        cr_assert_eq(hold_release(&hold), 0);
        cr_assert_not(has_state(&scratch));
}

Test(hold, recovers_what_a_killed_run_left)
{
        _cleanup_(scratch_freep) Scratch scratch = machine_with("online\n");
        Hold hold;

        cr_assert_eq(hold_take(scratch.fd, scratch.fd, HOLD_AUTO_ONLINE, "online_movable", &hold),
                     0);
        /* Here it is killed; the next one knows only the files. */
        cr_assert_eq(hold_recover(scratch.fd, scratch.fd, HOLD_AUTO_ONLINE), 0);
        expect_policy(&scratch, "online");
        cr_assert_not(has_state(&scratch));
        cr_assert_eq(hold_recover(scratch.fd, scratch.fd, HOLD_AUTO_ONLINE), 0);
}

Test(hold, keeps_what_somebody_else_set_meanwhile)
{
        _cleanup_(scratch_freep) Scratch scratch = machine_with("online\n");
        Hold hold;

        cr_assert_eq(hold_take(scratch.fd, scratch.fd, HOLD_AUTO_ONLINE, "online_movable", &hold),
                     0);
        cr_assert_eq(attr_write(scratch.fd, POLICY, "offline"), 0);
        cr_assert_eq(hold_release(&hold), 0);
        expect_policy(&scratch, "offline");
        cr_assert_not(has_state(&scratch));
}

Test(hold, says_that_its_state_is_unreadable)
{
        _cleanup_(scratch_freep) Scratch scratch = machine_with("online\n");

        scratch_write(&scratch, "auto-online", "online\n", 7);
        cr_assert_eq(hold_recover(scratch.fd, scratch.fd, HOLD_AUTO_ONLINE), -EBADMSG);
        expect_policy(&scratch, "online");
}

Test(hold, of_demotion_is_another_setting)
{
        _cleanup_(scratch_freep) Scratch scratch = machine_with("online\n");
        char text[32];
        Hold hold;

        cr_assert_eq(mkdirat(scratch.fd, "kernel", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "kernel/mm", 0755), 0);
        cr_assert_eq(mkdirat(scratch.fd, "kernel/mm/numa", 0755), 0);
        scratch_write(&scratch, "kernel/mm/numa/demotion_enabled", "false\n", 6);

        cr_assert_eq(hold_take(scratch.fd, scratch.fd, HOLD_DEMOTION, "true", &hold), 0);
        expect_policy(&scratch, "online");
        cr_assert_geq(attr_read(scratch.fd, "kernel/mm/numa/demotion_enabled", text, sizeof(text)),
                      0);
        cr_assert_str_eq(text, "true");
        cr_assert_eq(hold_recover(scratch.fd, scratch.fd, HOLD_AUTO_ONLINE), 0);
        cr_assert_eq(hold_recover(scratch.fd, scratch.fd, HOLD_DEMOTION), 0);
        cr_assert_geq(attr_read(scratch.fd, "kernel/mm/numa/demotion_enabled", text, sizeof(text)),
                      0);
        cr_assert_str_eq(text, "false");
}
