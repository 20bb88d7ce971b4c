/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>

#include "client/cli/report.h"
#include "policy/macro.h"

/* A daemon that counts all of it, each another number. */
static Host host_with_totals(void)
{
        Host host = { .daemon = { .has_totals = true } };

        host.daemon.totals = (DaemonTotals){
                .processes = 1,
                .mappings = 15,
                .placed = 1,
                .placing = 2,
                .partial = 3,
                .skipped = 4,
                .failed = 5,
                .cow_bytes = 8192,
                .cow_cheap_bytes = 4096,
                .cow_fast_bytes = 1024,
                .anon_bytes = 3 << 20,
                .anon_cheap_bytes = 2 << 20,
                .anon_fast_bytes = 1 << 20,
                .moved_bytes = 2048,
                .re_moved_bytes = 512,
        };
        return host;
}

Test(totals, people_read_those_of_copies_and_of_anonymous_memory, .init = cr_redirect_stdout)
{
        Host host = host_with_totals();
        _cleanup_(table_freep) Table *totals = report_totals(&host), *anon = report_anon(&host);

        cr_assert_eq(table_print(totals, false), 0);
        cr_assert_eq(table_print(anon, false), 0);
        fflush(stdout);
        cr_assert_stdout_eq_str("PROCESSES MAPPINGS PLACED PLACING PARTIAL SKIPPED FAILED COPIES "
                                "CHEAP FAST MOVED\n"
                                "        1       15      1       2       3       4      5     8K "
                                "   4K   1K    2K\n"
                                "ANONYMOUS CHEAP FAST RE-MOVED\n"
                                "       3M    2M   1M      512\n");
}

Test(totals, programs_get_all_in_one_object)
{
        Host host = host_with_totals();
        _cleanup_(table_freep) Table *totals = report_totals(&host);
        struct json_object *rows;

        cr_assert_eq(table_json(totals, &rows), 0);
        cr_expect_str_eq(json_object_to_json_string_ext(rows, JSON_C_TO_STRING_PLAIN),
                         "[{\"processes\":1,\"mappings\":15,\"placed\":1,\"placing\":2,"
                         "\"partial\":3,\"skipped\":4,\"failed\":5,\"cow_bytes\":8192,"
                         "\"cow_cheap_bytes\":4096,\"cow_fast_bytes\":1024,\"moved_bytes\":2048,"
                         "\"anon_bytes\":3145728,\"anon_cheap_bytes\":2097152,"
                         "\"anon_fast_bytes\":1048576,\"re_moved_bytes\":512}]");
        json_object_put(rows);
}

Test(totals, of_an_older_daemon_nothing_is_said_about_anonymous_memory)
{
        Host host = host_with_totals();
        Table *anon;

        memset(&host.daemon.totals, 0xff, sizeof(host.daemon.totals));
        anon = report_anon(&host);
        cr_expect(table_is_empty(anon));
        table_free(anon);

        host.daemon.has_totals = false;
        anon = report_totals(&host);
        cr_expect(table_is_empty(anon));
        table_free(anon);
}
