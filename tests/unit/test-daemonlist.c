/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>

#include "client/cli/daemonbus.h"
#include "client/cli/daemonlist.h"
#include "client/cli/report.h"
#include "daemon/bus.h"
#include "policy/macro.h"
#include "tests/unit/fake-daemon.h"

static const DaemonFilter everything = { .cgroup = "", .file = "" };

typedef struct Question {
        const char *cgroup;
        uint32_t pid;
        const char *file;
        uint32_t after;
} Question;

static bool is_list(sd_bus_message *call, Question *ret_question)
{
        return sd_bus_message_is_method_call(call, BUS_INTERFACE, "List") &&
               sd_bus_message_read(call, "susu", &ret_question->cgroup, &ret_question->pid,
                                   &ret_question->file, &ret_question->after) > 0;
}

/* Two pages, of which the first has a key newer than we are and the second lacks what may lack. */
static int answer_pages(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        Question asked;

        if (!is_list(call, &asked))
                return 0;
        if (strcmp(asked.cgroup, "/a") != 0 || asked.pid != 7 || strcmp(asked.file, "/x/*") != 0)
                _exit(3);
        if (asked.after == 0)
                return sd_bus_reply_method_return(
                        call, "aa{sv}u", 2, 15, "pid", "u", 10, "comm", "s", "redis", "cgroup", "s",
                        "/a/b", "start", "t", UINT64_C(4096), "end", "t", UINT64_C(12288), "file",
                        "s", "/x/one", "dax", "b", 1, "policy_file", "s", "/etc/p.conf", "tier",
                        "s", "cheap", "cow_bytes", "t", UINT64_C(8192), "cow_cheap_bytes", "t",
                        UINT64_C(4096), "cow_fast_bytes", "t", UINT64_C(0), "state", "s", "partial",
                        "reason", "s", "the tier is full", "later", "(ss)", "a", "b", 6, "pid", "u",
                        11, "state", "s", "placed", "kind", "s", "anon", "moved_bytes", "t",
                        UINT64_C(12288), "re_moved_bytes", "t", UINT64_C(4096), "engine", "s",
                        "damon", 11);
        if (asked.after == 11)
                return sd_bus_reply_method_return(call, "aa{sv}u", 1, 2, "pid", "u", 12, "state",
                                                  "s", "skipped", 0);
        _exit(4);
}

static int mapping_note(const DaemonMapping *mapping, void *userdata)
{
        size_t *n = userdata;

        cr_assert_eq(mapping->pid, 10 + *n);
        if ((*n)++ == 0) {
                cr_expect_str_eq(mapping->comm, "redis");
                cr_expect_str_eq(mapping->cgroup, "/a/b");
                cr_expect_eq(mapping->start, 4096);
                cr_expect_eq(mapping->end, 12288);
                cr_expect_str_eq(mapping->file, "/x/one");
                cr_expect_eq(mapping->dax, 1);
                cr_expect_str_eq(mapping->policy_file, "/etc/p.conf");
                cr_expect_str_eq(mapping->tier, "cheap");
                cr_expect_eq(mapping->cow_bytes, 8192);
                cr_expect_eq(mapping->cow_cheap_bytes, 4096);
                cr_expect_eq(mapping->cow_fast_bytes, 0);
                cr_expect_str_eq(mapping->state, "partial");
                cr_expect_str_eq(mapping->reason, "the tier is full");
                cr_expect_null(mapping->kind);
                cr_expect_eq(mapping->moved_bytes, UINT64_MAX);
        } else {
                cr_expect_eq(mapping->start, UINT64_MAX);
                cr_expect_eq(mapping->end, UINT64_MAX);
                cr_expect_null(mapping->file);
                cr_expect_eq(mapping->dax, -1);
                cr_expect_eq(mapping->cow_bytes, UINT64_MAX);
        }
        if (mapping->pid == 11) {
                cr_expect_str_eq(mapping->kind, "anon");
                cr_expect_eq(mapping->moved_bytes, 12288);
                cr_expect_eq(mapping->re_moved_bytes, 4096);
                cr_expect_str_eq(mapping->engine, "damon");
        }
        return 0;
}

Test(daemonlist, asks_page_after_page_and_hands_on_each_mapping)
{
        const DaemonFilter filter = { .cgroup = "/a", .pid = 7, .file = "/x/*" };
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        _cleanup_(stage_deinit) Stage stage;
        size_t n = 0;

        stage_init(&stage, answer_pages);
        cr_assert_eq(daemon_connect(stage.socket, &bus), 0);
        cr_assert_eq(daemon_list(bus, &filter, mapping_note, &n), 0);
        cr_assert_eq(n, 3);
}

static int mapping_count(const DaemonMapping *mapping, void *userdata)
{
        return ++*(size_t *)userdata < 100 ? 0 : -ECANCELED;
}

static int list_of(answer_fn answer)
{
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        _cleanup_(stage_deinit) Stage stage;
        size_t n = 0;

        stage_init(&stage, answer);
        cr_assert_eq(daemon_connect(stage.socket, &bus), 0);
        return daemon_list(bus, &everything, mapping_count, &n);
}

/* The same page for ever. */
static int answer_circle(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        Question asked;

        if (!is_list(call, &asked))
                return 0;
        return sd_bus_reply_method_return(call, "aa{sv}u", 1, 2, "pid", "u", 5, "state", "s",
                                          "placed", 5);
}

static int answer_huge(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        const size_t size = (size_t)60 << 20;
        _cleanup_(freep) char *text = NULL;
        Question asked;

        if (!is_list(call, &asked))
                return 0;
        text = malloc(size);
        memset(text, 'x', size);
        text[size - 1] = '\0';
        return sd_bus_reply_method_return(call, "aa{sv}u", 1, 3, "pid", "u", 5, "state", "s",
                                          "placed", "reason", "s", text, asked.after + 1);
}

static int answer_texts(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        Question asked;

        if (!is_list(call, &asked))
                return 0;
        return sd_bus_reply_method_return(call, "aa{sv}u", 1, 2, "pid", "s", "5", "state", "s",
                                          "placed", 0);
}

static int answer_nameless(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        Question asked;

        if (!is_list(call, &asked))
                return 0;
        return sd_bus_reply_method_return(call, "aa{sv}u", 1, 1, "state", "s", "placed", 0);
}

static int answer_types(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        Question asked;

        return is_list(call, &asked) ? sd_bus_reply_method_return(call, "as", 1, "placed") : 0;
}

static int answer_end(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        _exit(0);
}

/* Answers each call with the error that a daemon without such a method does. */
static int answer_unknown(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        uint8_t type;

        if (sd_bus_message_get_type(call, &type) < 0 || type != SD_BUS_MESSAGE_METHOD_CALL)
                return 0;
        return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_UNKNOWN_METHOD, "Unknown method.");
}

Test(daemonlist, bounds_and_refuses_what_no_daemon_says)
{
        static const struct {
                answer_fn answer;
                int error;
        } rows[] = {
                { answer_circle, -EPROTO },  { answer_texts, -EPROTO },
                { answer_types, -EPROTO },   { answer_nameless, -EPROTO },
                { answer_end, -ECONNRESET }, { answer_unknown, -EBADR },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                cr_expect_eq(list_of(rows[i].answer), rows[i].error, "row %zu", i);
}

static int answer_names(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        Question asked;

        if (!is_list(call, &asked))
                return 0;
        return sd_bus_reply_method_return(
                call, "aa{sv}u", 2, 14, "pid", "u", 10, "comm", "s", "a\nb", "cgroup", "s", "/c",
                "start", "t", UINT64_C(0x7f0000001000), "end", "t", UINT64_C(0x7f0000003000),
                "file", "s", "/x/new\nline \x1b[31m\xc2\x9b.img", "dax", "b", 0, "policy_file", "s",
                "/etc/p.conf", "tier", "s", "node:2-3", "cow_bytes", "t", UINT64_C(1610612736),
                "cow_cheap_bytes", "t", UINT64_C(4096), "cow_fast_bytes", "t", UINT64_C(0), "state",
                "s", "skipped", "reason", "s", "it has a policy", 2, "pid", "u", 11, "state", "s",
                "placed", 0);
}

static void redirect(void)
{
        cr_redirect_stdout();
        cr_redirect_stderr();
}

static ExitCode show(answer_fn answer, const DaemonFilter *filter, bool json, bool bytes)
{
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        _cleanup_(stage_deinit) Stage stage;
        ExitCode code;

        stage_init(&stage, answer);
        cr_assert_eq(daemon_connect(stage.socket, &bus), 0);
        code = list_show(bus, filter, json, bytes);
        fflush(stdout);
        fflush(stderr);
        return code;
}

Test(list, a_name_with_a_newline_stays_in_its_row, .init = redirect)
{
        cr_assert_eq(show(answer_names, &everything, false, false), EXITCODE_DONE);
        cr_assert_stdout_eq_str(
                "PID COMM   CGROUP FILE                                TIER     COPIES CHEAP FAST "
                "STATE   REASON\n"
                " 10 a\\x0ab /c     /x/new\\x0aline \\x1b[31m\\xc2\\x9b.img node:2-3   1.5G    4K    "
                "0 skipped it has a policy\n"
                " 11 -      -      -                                   -             -     -    - "
                "placed  \n");
}

Test(list, programs_get_the_documented_keys_and_null_for_unknown, .init = redirect)
{
        cr_assert_eq(show(answer_names, &everything, true, false), EXITCODE_DONE);
        cr_assert_stdout_eq_str("{\n"
                                "  \"mappings\":[\n"
                                "    {\n"
                                "      \"pid\":10,\n"
                                "      \"comm\":\"a\\nb\",\n"
                                "      \"cgroup\":\"/c\",\n"
                                "      \"start\":139637976731648,\n"
                                "      \"end\":139637976739840,\n"
                                "      \"file\":\"/x/new\\nline \\u001b[31m\xc2\x9b.img\",\n"
                                "      \"dax\":false,\n"
                                "      \"policy_file\":\"/etc/p.conf\",\n"
                                "      \"tier\":\"node:2-3\",\n"
                                "      \"cow_bytes\":1610612736,\n"
                                "      \"cow_cheap_bytes\":4096,\n"
                                "      \"cow_fast_bytes\":0,\n"
                                "      \"state\":\"skipped\",\n"
                                "      \"moved_bytes\":null,\n"
                                "      \"re_moved_bytes\":null,\n"
                                "      \"engine\":null,\n"
                                "      \"reason\":\"it has a policy\",\n"
                                "      \"kind\":null\n"
                                "    },\n"
                                "    {\n"
                                "      \"pid\":11,\n"
                                "      \"comm\":null,\n"
                                "      \"cgroup\":null,\n"
                                "      \"start\":null,\n"
                                "      \"end\":null,\n"
                                "      \"file\":null,\n"
                                "      \"dax\":null,\n"
                                "      \"policy_file\":null,\n"
                                "      \"tier\":null,\n"
                                "      \"cow_bytes\":null,\n"
                                "      \"cow_cheap_bytes\":null,\n"
                                "      \"cow_fast_bytes\":null,\n"
                                "      \"state\":\"placed\",\n"
                                "      \"moved_bytes\":null,\n"
                                "      \"re_moved_bytes\":null,\n"
                                "      \"engine\":null,\n"
                                "      \"reason\":null,\n"
                                "      \"kind\":null\n"
                                "    }\n"
                                "  ]\n"
                                "}\n");
}

/* A process with a mapping and anonymous memory, and one whose anonymous memory nothing moves. */
static int answer_anon(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        Question asked;

        if (!is_list(call, &asked))
                return 0;
        return sd_bus_reply_method_return(
                call, "aa{sv}u", 3, 11, "pid", "u", 10, "kind", "s", "dax", "start", "t",
                UINT64_C(4096), "end", "t", UINT64_C(12288), "file", "s", "/x/one", "dax", "b", 1,
                "tier", "s", "cheap", "cow_bytes", "t", UINT64_C(8192), "cow_cheap_bytes", "t",
                UINT64_C(8192), "cow_fast_bytes", "t", UINT64_C(0), "state", "s", "placed", 9,
                "pid", "u", 10, "kind", "s", "anon", "tier", "s", "fast", "cow_bytes", "t",
                UINT64_C(1073741824), "cow_cheap_bytes", "t", UINT64_C(536870912), "moved_bytes",
                "t", UINT64_C(536870912), "re_moved_bytes", "t", UINT64_C(4096), "engine", "s",
                "damon", "state", "s", "placing", 5, "pid", "u", 11, "kind", "s", "anon", "engine",
                "s", "", "moved_bytes", "t", UINT64_C(0), "state", "s", "skipped", 0);
}

Test(list, anonymous_memory_is_a_row_of_its_process_without_a_place, .init = redirect)
{
        cr_assert_eq(show(answer_anon, &everything, false, false), EXITCODE_DONE);
        cr_assert_stdout_eq_str(
                "PID COMM CGROUP FILE   TIER  COPIES CHEAP FAST STATE   MOVED RE-MOVED ENGINE REASON\n"
                " 10 -    -      /x/one cheap     8K    8K    0 placed      -        - -      \n"
                " 10 -    -      [anon] fast      1G  512M    - placing  512M       4K damon  \n"
                " 11 -    -      [anon] -          -     -    - skipped     0        - -      \n");
}

/* The document that was printed, of which the caller frees. */
static struct json_object *document_read(void)
{
        char said[8192];

        said[fread(said, 1, sizeof(said) - 1, cr_get_redirected_stdout())] = '\0';
        return json_tokener_parse(said);
}

Test(list, programs_tell_anonymous_memory_by_its_kind, .init = redirect)
{
        struct json_object *document, *rows, *row, *value;

        cr_assert_eq(show(answer_anon, &everything, true, false), EXITCODE_DONE);
        document = document_read();
        cr_assert(json_object_object_get_ex(document, "mappings", &rows));
        cr_assert_eq(json_object_array_length(rows), 3);

        row = json_object_array_get_idx(rows, 0);
        cr_expect_str_eq(json_object_get_string(json_object_object_get(row, "kind")), "dax");
        cr_expect_null(json_object_object_get(row, "moved_bytes"));

        row = json_object_array_get_idx(rows, 1);
        cr_expect_str_eq(json_object_get_string(json_object_object_get(row, "kind")), "anon");
        cr_expect_str_eq(json_object_get_string(json_object_object_get(row, "engine")), "damon");
        cr_expect_eq(json_object_get_int64(json_object_object_get(row, "moved_bytes")), 536870912);
        cr_expect_eq(json_object_get_int64(json_object_object_get(row, "re_moved_bytes")), 4096);
        for (size_t i = 0; i < 4; i++) {
                static const char *const none[] = { "start", "end", "file", "dax" };

                cr_expect(json_object_object_get_ex(row, none[i], &value), "%s", none[i]);
                cr_expect_null(value, "%s", none[i]);
        }
        cr_expect_null(json_object_object_get(json_object_array_get_idx(rows, 2), "engine"));
        json_object_put(document);
}

/* Nothing to list, under @n_policies, each with @n_processes. */
static int answer_nothing(sd_bus_message *call, unsigned n_policies, uint32_t n_processes)
{
        Question asked;

        if (is_list(call, &asked))
                return sd_bus_reply_method_return(call, "aa{sv}u", 0, 0);
        if (!sd_bus_message_is_method_call(call, BUS_INTERFACE, "Policies"))
                return 0;
        if (n_policies == 0)
                return sd_bus_reply_method_return(call, "aa{sv}a(ssu)", 0, 0);
        return sd_bus_reply_method_return(call, "aa{sv}a(ssu)", 1, 2, "file", "s", "/etc/p.conf",
                                          "n_processes", "u", n_processes, 0);
}

static int answer_no_policy(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return answer_nothing(call, 0, 0);
}

static int answer_no_process(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return answer_nothing(call, 1, 0);
}

static int answer_no_mapping(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return answer_nothing(call, 1, 4);
}

static void expect_why(answer_fn answer, const DaemonFilter *filter, const char *words)
{
        char said[1024];
        FILE *err;

        redirect();
        cr_assert_eq(show(answer, filter, false, false), EXITCODE_DONE);
        cr_assert_stdout_eq_str("");
        err = cr_get_redirected_stderr();
        said[fread(said, 1, sizeof(said) - 1, err)] = '\0';
        cr_expect(strstr(said, words), "wanted \"%s\", got: %s", words, said);
}

Test(list, no_policy_is_why_nothing_is_listed)
{
        expect_why(answer_no_policy, &everything, "No policy is in force");
}

Test(list, no_process_is_why_nothing_is_listed)
{
        expect_why(answer_no_process, &everything, "No process matches");
}

Test(list, no_mapping_is_why_nothing_is_listed)
{
        expect_why(answer_no_mapping, &everything, "none has a private mapping");
}

Test(list, a_filter_is_why_nothing_is_listed)
{
        const DaemonFilter filter = { .cgroup = "/a", .file = "" };

        expect_why(answer_no_mapping, &filter, "`daxtier list` alone");
}

Test(list, an_ended_process_is_why_nothing_is_listed)
{
        const DaemonFilter filter = { .cgroup = "", .pid = INT32_MAX, .file = "" };

        expect_why(answer_no_mapping, &filter, "no process 2147483647");
}

/* json-c's own spacing is not ours to promise. */
static void expect_document(const char *expected)
{
        struct json_object *document;
        char said[1024];

        said[fread(said, 1, sizeof(said) - 1, cr_get_redirected_stdout())] = '\0';
        document = json_tokener_parse(said);
        cr_assert_str_eq(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN),
                         expected);
        json_object_put(document);
}

Test(list, an_empty_list_is_a_document_too, .init = redirect)
{
        cr_assert_eq(show(answer_no_policy, &everything, true, false), EXITCODE_DONE);
        expect_document("{\"mappings\":[]}");
}

Test(list, an_older_daemon_is_named_as_the_cause, .init = redirect)
{
        cr_assert_eq(show(answer_unknown, &everything, true, false), EXITCODE_IMPOSSIBLE);
        cr_assert_stdout_eq_str("");
        cr_assert_stderr_eq_str("daxtier: list: the daxtierd that runs is older than this command "
                                "and cannot do that: systemctl restart daxtierd\n");
}

Test(list, a_list_beyond_all_bounds_says_how_to_ask, .init = redirect)
{
        cr_assert_eq(show(answer_huge, &everything, false, false), EXITCODE_IMPOSSIBLE);
        cr_assert_stderr_eq_str("daxtier: list: too many mappings for one answer; narrow it with "
                                "--cgroup, --pid or --file\n");
}
