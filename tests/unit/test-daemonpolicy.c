/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>

#include "client/cli/daemonbus.h"
#include "client/cli/daemonpolicy.h"
#include "client/cli/report.h"
#include "client/cli/settings.h"
#include "daemon/bus.h"
#include "policy/macro.h"
#include "policy/rule.h"
#include "tests/unit/fake-daemon.h"

/* Keys as the daemon has them; all else is as the defaults are. */
#define DEFAULTS                                                                                   \
        "exe", "s", "", "cow.existing", "s", "move", "anon.tier", "s", "default",                  \
                "anon.cold_after", "s", "", "anon.cold_tier", "s", "cheap", "limits.cheap_max",    \
                "s", "", "limits.fast_max", "s", ""

/* Two policies, of which the second is all defaults, written in other words. */
static int answer_policies(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        if (!sd_bus_message_is_method_call(call, BUS_INTERFACE, "Policies"))
                return 0;
        return sd_bus_reply_method_return(
                call, "aa{sv}a(ssu)", 2, 18, DEFAULTS, "file", "s", "/etc/d/50-a.conf", "cgroup",
                "s", "/a/**", "user", "s", "root", "cow.file", "s", "any", "cow.tier", "s",
                "node:2", "cow.strict", "s", "yes", "anon.hot_tier", "s", "", "limits.move_rate",
                "s", "", "limits.pause_max", "s", "2ms", "n_cgroups", "u", 2, "n_processes", "u", 5,
                17, DEFAULTS, "file", "s", "/etc/d/60-b.conf", "cgroup", "s", "/b", "cow.file", "s",
                "dax", "cow.tier", "s", "cheap", "cow.strict", "s", "no", "anon.hot_tier", "s",
                "fast", "limits.move_rate", "s", "209715200", "limits.pause_max", "s", "1000us",
                "later", "u", 7, "n_processes", "u", 0, 2, "/a", "/etc/d/50-a.conf", 4, "/a/x\ny",
                "/etc/d/50-a.conf", 1);
}

static void redirect(void)
{
        cr_redirect_stdout();
        cr_redirect_stderr();
}

typedef ExitCode (*ask_fn)(sd_bus *bus);

static ExitCode ask(answer_fn answer, ask_fn fn)
{
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        _cleanup_(stage_deinit) Stage stage;
        ExitCode code;

        stage_init(&stage, answer);
        cr_assert_eq(daemon_connect(stage.socket, &bus), 0);
        code = fn(bus);
        fflush(stdout);
        fflush(stderr);
        return code;
}

static ExitCode show_table(sd_bus *bus)
{
        return policy_show(bus, NULL, false);
}

static ExitCode show_json(sd_bus *bus)
{
        return policy_show(bus, NULL, true);
}

Test(policy_show, people_see_what_is_not_the_default, .init = redirect)
{
        cr_assert_eq(ask(answer_policies, show_table), EXITCODE_DONE);
        cr_assert_stdout_eq_str(
                "POLICY           CGROUP CGROUPS PROCESSES SETTINGS\n"
                "/etc/d/50-a.conf /a/**        2         5 [Match] User=root [Cow] File=any "
                "Tier=node:2 Strict=yes [Anon] HotTier= [Limits] MoveRate=infinity PauseMax=2ms\n"
                "/etc/d/60-b.conf /b           0         0 \n"
                "\n"
                "CGROUP    PROCESSES POLICY\n"
                "/a                4 /etc/d/50-a.conf\n"
                "/a/x\\x0ay         1 /etc/d/50-a.conf\n");
        cr_assert_stderr_eq_str("");
}

/* The caller owns it. */
static struct json_object *document_said(void)
{
        struct json_object *document;
        char said[8192];

        said[fread(said, 1, sizeof(said) - 1, cr_get_redirected_stdout())] = '\0';
        document = json_tokener_parse(said);
        cr_assert_not_null(document, "%s", said);
        return document;
}

Test(policy_show, programs_get_every_setting, .init = redirect)
{
        _cleanup_(json_putp) struct json_object *document = NULL;
        struct json_object *policies, *cgroups;

        cr_assert_eq(ask(answer_policies, show_json), EXITCODE_DONE);
        document = document_said();

        cr_assert(json_object_object_get_ex(document, "policies", &policies));
        cr_assert(json_object_object_get_ex(document, "cgroups", &cgroups));
        cr_expect_str_eq(
                json_object_to_json_string_ext(json_object_array_get_idx(policies, 0),
                                               JSON_C_TO_STRING_PLAIN |
                                                       JSON_C_TO_STRING_NOSLASHESCAPE),
                "{\"file\":\"/etc/d/50-a.conf\",\"cgroups\":2,\"processes\":5,"
                "\"match\":{\"cgroup\":\"/a/**\",\"exe\":null,\"user\":\"root\"},"
                "\"cow\":{\"file\":\"any\",\"tier\":\"node:2\",\"strict\":true,"
                "\"existing\":\"move\"},"
                "\"anon\":{\"tier\":\"default\",\"cold_after_usec\":null,\"cold_tier\":\"cheap\","
                "\"hot_tier\":null},"
                "\"limits\":{\"cheap_max\":null,\"fast_max\":null,\"move_rate\":null,"
                "\"pause_max_usec\":2000}}");
        cr_expect_str_eq(
                json_object_to_json_string_ext(cgroups, JSON_C_TO_STRING_PLAIN |
                                                                JSON_C_TO_STRING_NOSLASHESCAPE),
                "[{\"cgroup\":\"/a\",\"processes\":4,\"policy_file\":\"/etc/d/50-a.conf\"},"
                "{\"cgroup\":\"/a/x\\ny\",\"processes\":1,\"policy_file\":\"/etc/d/50-a.conf\"}]");
}

static int answer_chain(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        if (!sd_bus_message_is_method_call(call, BUS_INTERFACE, "Policies"))
                return 0;
        return sd_bus_reply_method_return(
                call, "aa{sv}a(ssu)", 5, 2, "file", "s", "1-other", "cgroup", "s", "/b/**", 3,
                "file", "s", "2-exe", "cgroup", "s", "/a/**", "exe", "s", "/bin/x", 3, "file", "s",
                "3-user", "cgroup", "s", "/a/*", "user", "s", "root", 2, "file", "s", "4-all",
                "cgroup", "s", "/a/**", 2, "file", "s", "5-never", "cgroup", "s", "/a/c", 2, "/a/c",
                "2-exe", 7, "/a/d", "4-all", 1);
}

static ExitCode show_cgroup(sd_bus *bus)
{
        return policy_show(bus, "/a/c", false);
}

static ExitCode show_other_cgroup(sd_bus *bus)
{
        return policy_show(bus, "/c", false);
}

Test(policy_show, a_cgroup_goes_by_the_first_that_leaves_none_over, .init = redirect)
{
        cr_assert_eq(ask(answer_chain, show_cgroup), EXITCODE_DONE);
        cr_assert_stdout_eq_str("POLICY CGROUP CGROUPS PROCESSES SETTINGS\n"
                                "2-exe  /a/**        0         0 [Match] Exe=/bin/x\n"
                                "3-user /a/*         0         0 [Match] User=root\n"
                                "4-all  /a/**        0         0 \n"
                                "\n"
                                "CGROUP PROCESSES POLICY\n"
                                "/a/c           7 2-exe\n");
}

Test(policy_show, a_cgroup_without_a_policy_is_said_in_words, .init = redirect)
{
        cr_assert_eq(ask(answer_chain, show_other_cgroup), EXITCODE_DONE);
        cr_assert_stdout_eq_str("");
        cr_assert_stderr_eq_str("No policy in force is for /c.\n");
}

static int answer_none(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        if (!sd_bus_message_is_method_call(call, BUS_INTERFACE, "Policies"))
                return 0;
        return sd_bus_reply_method_return(call, "aa{sv}a(ssu)", 0, 0);
}

Test(policy_show, no_policy_is_said_in_words, .init = redirect)
{
        cr_assert_eq(ask(answer_none, show_table), EXITCODE_DONE);
        cr_assert_stdout_eq_str("");
        cr_assert_stderr_eq_str("No policy is in force: put one into /etc/daxtierd/policy.d, then "
                                "`daxtier policy reload`;\ndaxtier-policy(5) has what it may "
                                "say.\n");
}

Test(policy_show, no_policy_is_a_document_too, .init = redirect)
{
        _cleanup_(json_putp) struct json_object *document = NULL;

        cr_assert_eq(ask(answer_none, show_json), EXITCODE_DONE);
        document = document_said();
        cr_assert_str_eq(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN),
                         "{\"policies\":[],\"cgroups\":[]}");
}

/* Whatever a policy file can say is shown once it is not the default. */
Test(settings, every_key_of_a_policy_file_is_there)
{
        DaemonPolicy policy = {};
        _cleanup_(freep) char *text = NULL;

        for (size_t i = 0; i < SETTING_N; i++)
                policy.settings[i] = "other";
        cr_assert_eq(settings_format(&policy, &text), 0);

        for (size_t i = 0; i < rule_schema.n_sections; i++) {
                const IniSection *section = &rule_schema.sections[i];
                char part[64];
                const char *at;

                snprintf(part, sizeof(part), "[%s] ", section->name);
                at = strstr(text, part);
                cr_assert_not_null(at, "%s lacks %s", text, part);
                for (size_t k = 0; k < section->n_keys; k++) {
                        snprintf(part, sizeof(part), " %s=other", section->keys[k].name);
                        if (strcmp(section->keys[k].name, "Cgroup") != 0)
                                cr_expect_not_null(strstr(at, part), "%s lacks%s", text, part);
                }
        }
}

Test(settings, the_defaults_are_not_told)
{
        DaemonPolicy policy = { .settings = { [SETTING_CGROUP] = "/a" } };
        _cleanup_(freep) char *text = NULL;

        cr_assert_eq(settings_format(&policy, &text), 0);
        cr_assert_str_eq(text, "", "what an older daemon does not tell");
}

static int answer_reload(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        if (!sd_bus_message_is_method_call(call, BUS_INTERFACE, "Reload"))
                return 0;
        return sd_bus_reply_method_return(call, NULL);
}

static int answer_refuse(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        if (!sd_bus_message_is_method_call(call, BUS_INTERFACE, "Reload"))
                return 0;
        return sd_bus_reply_method_errorf(call, BUS_ERROR_CONFIG, "/etc/d/50-a.conf:3: not so");
}

static int answer_deny(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        if (!sd_bus_message_is_method_call(call, BUS_INTERFACE, "Reload"))
                return 0;
        return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_ACCESS_DENIED, "Root only.");
}

Test(policy_reload, says_that_it_is_done, .init = redirect)
{
        cr_assert_eq(ask(answer_reload, policy_reload), EXITCODE_DONE);
        cr_assert_stdout_eq_str("The new configuration is in force.\n");
}

Test(policy_reload, a_refused_file_is_named_with_its_line, .init = redirect)
{
        cr_assert_eq(ask(answer_refuse, policy_reload), EXITCODE_INPUT);
        cr_assert_stdout_eq_str("");
        cr_assert_stderr_eq_str("daxtier: /etc/d/50-a.conf:3: not so\n"
                                "The old configuration stays in force.\n");
}

Test(policy_reload, is_for_root, .init = redirect)
{
        cr_assert_eq(ask(answer_deny, policy_reload), EXITCODE_DENIED);
        cr_assert_stderr_eq_str("daxtier: policy reload: permission denied; try it as root, with "
                                "sudo\n");
}

static int answer_metrics(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        if (!sd_bus_message_is_method_call(call, BUS_INTERFACE, "Metrics"))
                return 0;
        return sd_bus_reply_method_return(call, "s", "# TYPE x counter\nx_total 100%d\n# EOF\n");
}

Test(metrics, prints_what_the_daemon_says, .init = redirect)
{
        cr_assert_eq(ask(answer_metrics, metrics_show), EXITCODE_DONE);
        cr_assert_stdout_eq_str("# TYPE x counter\nx_total 100%d\n# EOF\n");
}

/* Every answer, whatever was asked, is a number. */
static int answer_number(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        uint8_t type;

        if (sd_bus_message_get_type(call, &type) < 0 || type != SD_BUS_MESSAGE_METHOD_CALL)
                return 0;
        return sd_bus_reply_method_return(call, "u", 1);
}

Test(policy_show, an_answer_that_is_none_prints_nothing, .init = redirect)
{
        cr_assert_eq(ask(answer_number, show_json), EXITCODE_IMPOSSIBLE);
        cr_assert_stdout_eq_str("");
}

Test(metrics, an_answer_that_is_none_prints_nothing, .init = redirect)
{
        cr_assert_eq(ask(answer_number, metrics_show), EXITCODE_IMPOSSIBLE);
        cr_assert_stdout_eq_str("");
}
