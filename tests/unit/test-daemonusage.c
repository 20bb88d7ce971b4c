/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>

#include "client/cli/daemonbus.h"
#include "client/cli/daemonusage.h"
#include "client/cli/report.h"
#include "client/cli/table.h"
#include "daemon/bus.h"
#include "policy/macro.h"
#include "tests/unit/fake-daemon.h"

/* One with everything and a key that is newer than we are, and one with as little as there may be. */
static int answer_cgroups(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        if (!sd_bus_message_is_method_call(call, BUS_INTERFACE, "Cgroups"))
                return 0;
        return sd_bus_reply_method_return(
                call, "aa{sv}", 2, 13, "cgroup", "s", "/a/b", "policy_file", "s", "/etc/p.conf",
                "cheap_bytes", "t", UINT64_C(8192), "cheap_max", "t", UINT64_C(1073741824),
                "fast_bytes", "t", UINT64_C(134217728), "fast_max", "t", UINT64_C(268435456),
                "cold_after_usec", "t", UINT64_C(120000000), "engine", "s", "damon", "reason", "s",
                "", "later", "(ss)", "a", "b", "demoted_bytes", "t", UINT64_C(3072),
                "promoted_bytes", "t", UINT64_C(2048), "re_moved_bytes", "t", UINT64_C(1024), 3,
                "cgroup", "s", "/d", "engine", "s", "", "reason", "s", "Somebody has DAMON.");
}

static int usage_note(const DaemonUsage *usage, void *userdata)
{
        size_t *n = userdata;

        if ((*n)++ == 0) {
                cr_expect_str_eq(usage->cgroup, "/a/b");
                cr_expect_str_eq(usage->policy_file, "/etc/p.conf");
                cr_expect_eq(usage->cheap_bytes, 8192);
                cr_expect_eq(usage->cheap_max, 1073741824);
                cr_expect_eq(usage->fast_bytes, 134217728);
                cr_expect_eq(usage->fast_max, 268435456);
                cr_expect_eq(usage->cold_after_usec, 120000000);
                cr_expect_str_eq(usage->engine, "damon");
                cr_expect_eq(usage->demoted_bytes, 3072);
                cr_expect_eq(usage->promoted_bytes, 2048);
                cr_expect_eq(usage->re_moved_bytes, 1024);
        } else {
                cr_expect_eq(usage->cheap_max, UINT64_MAX);
                cr_expect_eq(usage->fast_max, UINT64_MAX);
                cr_expect_eq(usage->cold_after_usec, UINT64_MAX);
                cr_expect_str_eq(usage->reason, "Somebody has DAMON.");
        }
        return 0;
}

static int usage_of(answer_fn answer, size_t *n)
{
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        _cleanup_(stage_deinit) Stage stage;

        stage_init(&stage, answer);
        cr_assert_eq(daemon_connect(stage.socket, &bus), 0);
        return daemon_usage(bus, usage_note, n);
}

Test(daemonusage, hands_on_each_cgroup_and_what_is_unset)
{
        size_t n = 0;

        cr_assert_eq(usage_of(answer_cgroups, &n), 0);
        cr_assert_eq(n, 2);
}

static int answer_nameless(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        if (!sd_bus_message_is_method_call(call, BUS_INTERFACE, "Cgroups"))
                return 0;
        return sd_bus_reply_method_return(call, "aa{sv}", 1, 1, "engine", "s", "damon");
}

static int answer_types(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        if (!sd_bus_message_is_method_call(call, BUS_INTERFACE, "Cgroups"))
                return 0;
        return sd_bus_reply_method_return(call, "aa{sv}", 1, 2, "cgroup", "s", "/a", "fast_max",
                                          "s", "128M");
}

static int answer_unknown(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        if (!sd_bus_message_is_method_call(call, BUS_INTERFACE, "Cgroups"))
                return 0;
        return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_UNKNOWN_METHOD, "Unknown method.");
}

Test(daemonusage, refuses_what_no_daemon_says_and_tells_an_older_one)
{
        size_t n = 0;

        cr_expect_eq(usage_of(answer_nameless, &n), -EPROTO);
        cr_expect_eq(usage_of(answer_types, &n), -EPROTO);
        cr_expect_eq(usage_of(answer_unknown, &n), -EBADR);
        cr_expect_eq(n, 0);
}

Test(usage, people_read_what_there_is_beside_what_there_may_be, .init = cr_redirect_stdout)
{
        _cleanup_(table_freep) Table *table = report_usage_new(SIZE_MAX);
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        _cleanup_(stage_deinit) Stage stage;

        stage_init(&stage, answer_cgroups);
        cr_assert_eq(daemon_connect(stage.socket, &bus), 0);
        cr_assert_eq(report_usage_fill(bus, table), 0);
        cr_assert_eq(table_print(table, false), 0);
        fflush(stdout);
        cr_assert_stdout_eq_str(
                "CGROUP CHEAP MAX FAST  MAX COLD AFTER ENGINE DEMOTED PROMOTED RE-MOVED REASON\n"
                "/a/b      8K  1G 128M 256M       2min damon       3K       2K       1K \n"
                "/d         -   -    -    -          - -            -        -        - Somebody has DAMON.\n");
}

Test(usage, a_narrow_terminal_has_what_matters, .init = cr_redirect_stdout)
{
        _cleanup_(table_freep) Table *table = report_usage_new(80);
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        _cleanup_(stage_deinit) Stage stage;

        stage_init(&stage, answer_cgroups);
        cr_assert_eq(daemon_connect(stage.socket, &bus), 0);
        cr_assert_eq(report_usage_fill(bus, table), 0);
        cr_assert_eq(table_print(table, false), 0);
        fflush(stdout);
        cr_assert_stdout_eq_str("CGROUP CHEAP MAX FAST  MAX ENGINE DEMOTED REASON\n"
                                "/a/b      8K  1G 128M 256M damon       3K \n"
                                "/d         -   -    -    - -            - Somebody has DAMON.\n");
}

Test(usage, programs_get_bytes_microseconds_and_null)
{
        _cleanup_(table_freep) Table *table = report_usage_new(SIZE_MAX);
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        _cleanup_(stage_deinit) Stage stage;
        struct json_object *rows;

        stage_init(&stage, answer_cgroups);
        cr_assert_eq(daemon_connect(stage.socket, &bus), 0);
        cr_assert_eq(report_usage_fill(bus, table), 0);
        cr_assert_eq(table_json(table, &rows), 0);
        cr_expect_str_eq(
                json_object_to_json_string_ext(rows, JSON_C_TO_STRING_PLAIN |
                                                             JSON_C_TO_STRING_NOSLASHESCAPE),
                "[{\"cgroup\":\"/a/b\",\"policy_file\":\"/etc/p.conf\",\"cheap_bytes\":8192,"
                "\"cheap_max\":1073741824,\"fast_bytes\":134217728,\"fast_max\":268435456,"
                "\"cold_after_usec\":120000000,\"engine\":\"damon\",\"demoted_bytes\":3072,"
                "\"promoted_bytes\":2048,\"re_moved_bytes\":1024,\"reason\":null},"
                "{\"cgroup\":\"/d\",\"policy_file\":null,\"cheap_bytes\":null,\"cheap_max\":null,"
                "\"fast_bytes\":null,\"fast_max\":null,\"cold_after_usec\":null,\"engine\":null,"
                "\"demoted_bytes\":null,\"promoted_bytes\":null,\"re_moved_bytes\":null,"
                "\"reason\":\"Somebody has DAMON.\"}]");
        json_object_put(rows);
}
