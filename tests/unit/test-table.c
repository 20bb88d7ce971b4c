/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>

#include "client/cli/table.h"
#include "policy/macro.h"

static const Column columns[] = {
        { "name", "NAME", COLUMN_TEXT },      { "size", "SIZE", COLUMN_BYTES },
        { "start", "START", COLUMN_ADDRESS }, { "movable", "MOVABLE", COLUMN_BOOLEAN },
        { "secret", NULL, COLUMN_NUMBER },    { NULL, "NOTE", COLUMN_SENTENCE, "none" },
};

static Table *table_of_two(void)
{
        Table *table = table_new(columns, ARRAY_SIZE(columns));

        table_add_row(table);
        table_set_text(table, 0, "dax1.0");
        table_set_number(table, 1, 1610612736);
        table_set_number(table, 2, 0x7f0000001000);
        table_set_boolean(table, 3, false);
        table_set_number(table, 4, 7);
        table_set_text(table, 5, "a note");
        table_add_row(table);
        return table;
}

static void assert_json(const Table *table, const char *expected)
{
        struct json_object *rows;

        cr_assert_eq(table_json(table, &rows), 0);
        cr_assert_str_eq(json_object_to_json_string_ext(rows, JSON_C_TO_STRING_PLAIN), expected);
        json_object_put(rows);
}

Test(table, json_has_numbers_as_numbers_and_null_for_unknown)
{
        _cleanup_(table_freep) Table *table = table_of_two();

        assert_json(table, "[{\"name\":\"dax1.0\",\"size\":1610612736,\"start\":139637976731648,"
                           "\"movable\":false,\"secret\":7},"
                           "{\"name\":null,\"size\":null,\"start\":null,\"movable\":null,"
                           "\"secret\":null}]");
}

Test(table, one_node_is_a_number_and_several_are_a_text)
{
        static const Column node[] = { { "policy_node", "POLICY", COLUMN_NODES } };
        static const char *const texts[] = { "2", "2-3", NULL };
        _cleanup_(table_freep) Table *table = table_new(node, ARRAY_SIZE(node));

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                table_add_row(table);
                table_set_text(table, 0, texts[i]);
        }
        assert_json(table,
                    "[{\"policy_node\":2},{\"policy_node\":\"2-3\"},{\"policy_node\":null}]");
}

Test(table, nothing_to_show_is_an_empty_array)
{
        _cleanup_(table_freep) Table *table = table_new(columns, ARRAY_SIZE(columns));

        cr_assert(table_is_empty(table));
        assert_json(table, "[]");
}

Test(table, below_zero_and_null_are_unknown)
{
        _cleanup_(table_freep) Table *table = table_new(columns, 2);

        table_add_row(table);
        table_set_text(table, 0, NULL);
        table_set_number(table, 1, -1);
        assert_json(table, "[{\"name\":null,\"size\":null}]");
}

Test(table, people_read_short_sizes_and_programs_ask_for_bytes, .init = cr_redirect_stdout)
{
        _cleanup_(table_freep) Table *table = table_of_two();

        cr_assert_eq(table_print(table, false), 0);
        cr_assert_eq(table_print(table, true), 0);
        fflush(stdout);
        cr_assert_stdout_eq_str("NAME   SIZE          START MOVABLE NOTE\n"
                                "dax1.0 1.5G 0x7f0000001000 no      a note\n"
                                "-         -              - -       none\n"
                                "NAME         SIZE          START MOVABLE NOTE\n"
                                "dax1.0 1610612736 0x7f0000001000 no      a note\n"
                                "-               -              - -       none\n");
}

Test(table, names_cannot_draw_and_cgroups_keep_their_backslashes, .init = cr_redirect_stdout)
{
        static const Column names[] = {
                { "cgroup", "CGROUP", COLUMN_CGROUP_PATH },
                { "file", "FILE", COLUMN_SENTENCE },
                { "comm", "COMM", COLUMN_TEXT },
        };
        _cleanup_(table_freep) Table *table = table_new(names, ARRAY_SIZE(names));
        char drawn[512];

        table_add_row(table);
        table_set_text(table, 0, "a\\x2db\x1b");
        table_set_text(table, 1, "a\\x0ab\n");
        table_set_text(table, 2, "a\n\x1b[1m");
        cr_assert_eq(table_print(table, false), 0);
        fflush(stdout);
        drawn[fread(drawn, 1, sizeof(drawn) - 1, cr_get_redirected_stdout())] = '\0';
        cr_expect_not_null(strstr(drawn, "\na\\x2db\\x1b "), "%s", drawn);
        cr_expect_not_null(strstr(drawn, " a\\x5cx0ab\\x0a a\\x0a\\x1b[1m\n"), "%s", drawn);
        assert_json(table, "[{\"cgroup\":\"a\\\\x2db\\u001b\",\"file\":\"a\\\\x0ab\\n\","
                           "\"comm\":\"a\\n\\u001b[1m\"}]");
}

Test(table, one_row_may_stand_upright, .init = cr_redirect_stdout)
{
        _cleanup_(table_freep) Table *table = table_new(columns, 2);

        table_add_row(table);
        table_set_text(table, 0, "dax1.0");
        cr_assert_eq(table_print_vertical(table, false), 0);
        fflush(stdout);
        cr_assert_stdout_eq_str("NAME dax1.0\nSIZE -\n");
}

Test(table, a_document_has_the_rows_below_a_name, .init = cr_redirect_stdout)
{
        _cleanup_(table_freep) Table *table = table_new(columns, 1);

        table_add_row(table);
        table_set_text(table, 0, "a/b");
        cr_assert_eq(table_show(table, "devices", true, false), 0);
        fflush(stdout);
        cr_assert_stdout_eq_str("{\n"
                                "  \"devices\":[\n"
                                "    {\n"
                                "      \"name\":\"a/b\"\n"
                                "    }\n"
                                "  ]\n"
                                "}\n");
}

Test(table, sizes_never_show_more_than_there_is)
{
        static const struct {
                uint64_t bytes;
                const char *text;
        } rows[] = {
                { 0, "0" },
                { 1023, "1023" },
                { 1024, "1K" },
                { 1536, "1.5K" },
                { 1024 * 1024 - 1, "1023.9K" },
                { 1024 * 1024, "1M" },
                { UINT64_C(1610612736), "1.5G" },
                { UINT64_C(1) << 40, "1T" },
                { UINT64_MAX, "15.9E" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char text[SIZE_TEXT_MAX];

                size_format(rows[i].bytes, text);
                cr_assert_str_eq(text, rows[i].text);
        }
}

Test(table, times_are_exact_and_short)
{
        static const struct {
                uint64_t usec;
                const char *text;
        } rows[] = {
                { 0, "0" },
                { 1, "1us" },
                { 250000, "250ms" },
                { 30000000, "30s" },
                { 90000000, "90s" },
                { 120000000, "2min" },
                { UINT64_C(86400000000) * 3, "3d" },
                { UINT64_MAX, "18446744073709551615us" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char text[SIZE_TEXT_MAX];

                time_format(rows[i].usec, text);
                cr_expect_str_eq(text, rows[i].text);
        }
}

Test(json, text_that_is_not_utf8_becomes_utf8)
{
        static const struct {
                const char *bytes;
                const char *text;
        } rows[] = {
                { "plain", "plain" },
                { "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", "grüß € 😀" },
                { "a\xff"
                  "b",
                  "a\xef\xbf\xbd"
                  "b" },
                { "cut\xe2\x82", "cut\xef\xbf\xbd\xef\xbf\xbd" },
                { "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* overlong */
                { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* surrogate */
                { "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct json_object *text = json_text(rows[i].bytes);

                cr_assert_str_eq(json_object_get_string(text), rows[i].text);
                json_object_put(text);
        }
}
