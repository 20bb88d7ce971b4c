/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>

#include "client/cli/daemonbus.h"
#include "client/cli/daemonpolicy.h"
#include "client/cli/json.h"
#include "client/cli/report.h"
#include "client/cli/settings.h"
#include "client/cli/table.h"
#include "policy/macro.h"
#include "policy/match.h"

enum {
        POLICY_FILE,
        POLICY_CGROUP,
        POLICY_CGROUPS,
        POLICY_PROCESSES,
        POLICY_SETTINGS,
};

static const Column policy_columns[] = {
        [POLICY_FILE] = { "file", "POLICY", COLUMN_SENTENCE, .share = 0.3 },
        [POLICY_CGROUP] = { NULL, "CGROUP", COLUMN_CGROUP_PATH, .share = 0.2 },
        [POLICY_CGROUPS] = { "cgroups", "CGROUPS", COLUMN_NUMBER },
        [POLICY_PROCESSES] = { "processes", "PROCESSES", COLUMN_NUMBER },
        [POLICY_SETTINGS] = { NULL, "SETTINGS", COLUMN_SENTENCE, "", .share = 0.2 },
};

enum {
        CGROUP_PATH,
        CGROUP_PROCESSES,
        CGROUP_POLICY,
};

static const Column cgroup_columns[] = {
        [CGROUP_PATH] = { "cgroup", "CGROUP", COLUMN_CGROUP_PATH, .share = 0.4 },
        [CGROUP_PROCESSES] = { "processes", "PROCESSES", COLUMN_NUMBER },
        [CGROUP_POLICY] = { "policy_file", "POLICY", COLUMN_SENTENCE, .share = 0.4 },
};

/* The answer of one `policy show`. */
typedef struct Answer {
        Table *policies;
        Table *cgroups;
        struct json_object *settings; /* one object for each policy; NULL: for people */
        const char *cgroup;           /* only what processes there go by; NULL: all */
        bool is_settled;              /* it has no use for further policies */
} Answer;

static void answer_deinit(Answer *answer)
{
        table_free(answer->policies);
        table_free(answer->cgroups);
        json_object_put(answer->settings);
}

static int settings_take(const DaemonPolicy *policy, struct json_object *array)
{
        struct json_object *object = json_object_new_object();

        if (!object)
                return -ENOMEM;
        if (json_object_array_add(array, object) < 0) {
                json_object_put(object);
                return -ENOMEM;
        }
        return settings_json(policy, object);
}

static bool is_set(const char *text)
{
        return text && *text;
}

/* Whether a process of the cgroup we are asked for may go by @policy: the policies before it leave
 * some over, for their Exe= or User=, and its own Cgroup= fits. */
static bool policy_is_wanted(const DaemonPolicy *policy, Answer *answer)
{
        const char *pattern = policy->settings[SETTING_CGROUP];

        if (!answer->cgroup)
                return true;
        if (answer->is_settled || !pattern || !cgroup_match(pattern, answer->cgroup))
                return false;

        answer->is_settled =
                !is_set(policy->settings[SETTING_EXE]) && !is_set(policy->settings[SETTING_USER]);
        return true;
}

static int policy_take(const DaemonPolicy *policy, void *userdata)
{
        _cleanup_(freep) char *text = NULL;
        Answer *answer = userdata;
        int r;

        if (!policy_is_wanted(policy, answer))
                return 0;

        table_add_row(answer->policies);
        table_set_text(answer->policies, POLICY_FILE, policy->file);
        table_set_text(answer->policies, POLICY_CGROUP, policy->settings[SETTING_CGROUP]);
        table_set_number(answer->policies, POLICY_CGROUPS, policy->n_cgroups);
        table_set_number(answer->policies, POLICY_PROCESSES, policy->n_processes);
        if (answer->settings)
                return settings_take(policy, answer->settings);

        r = settings_format(policy, &text);
        if (r >= 0 && *text)
                table_set_text(answer->policies, POLICY_SETTINGS, text);
        return r;
}

static int cgroup_take(const DaemonCgroup *cgroup, void *userdata)
{
        Answer *answer = userdata;

        if (answer->cgroup && strcmp(answer->cgroup, cgroup->path) != 0)
                return 0;
        table_add_row(answer->cgroups);
        table_set_text(answer->cgroups, CGROUP_PATH, cgroup->path);
        table_set_number(answer->cgroups, CGROUP_PROCESSES, cgroup->n_processes);
        table_set_text(answer->cgroups, CGROUP_POLICY, cgroup->policy_file);
        return 0;
}

/* Puts the parts of each policy's settings behind its other keys. */
static int settings_merge(struct json_object *policies, struct json_object *parts)
{
        for (size_t i = 0; i < json_object_array_length(parts); i++) {
                struct json_object *policy = json_object_array_get_idx(policies, i);

                json_object_object_foreach(json_object_array_get_idx(parts, i), key, part)
                {
                        int r = json_add(policy, key, json_object_get(part));

                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int answer_json(const Answer *answer)
{
        _cleanup_(json_putp) struct json_object *document = json_object_new_object();
        struct json_object *policies, *cgroups;
        int r;

        if (!document)
                return -ENOMEM;

        r = table_json(answer->policies, &policies);
        if (r < 0)
                return r;
        r = json_add(document, "policies", policies);
        if (r >= 0)
                r = settings_merge(policies, answer->settings);
        if (r >= 0)
                r = table_json(answer->cgroups, &cgroups);
        if (r >= 0)
                r = json_add(document, "cgroups", cgroups);
        return r < 0 ? r : json_print(document);
}

static int answer_text(const Answer *answer)
{
        int r;

        if (table_is_empty(answer->policies)) {
                if (answer->cgroup)
                        fprintf(stderr, "No policy in force is for %s.\n", answer->cgroup);
                else
                        policy_none_explain();
                return 0;
        }

        r = table_print(answer->policies, false);
        if (r < 0)
                return r;
        if (table_is_empty(answer->cgroups)) {
                fflush(stdout);
                fputs(answer->cgroup ? "No process is there now.\n"
                                     : "No process matches a policy.\n",
                      stderr);
                return 0;
        }
        fputc('\n', stdout);
        return table_print(answer->cgroups, false);
}

ExitCode policy_show(sd_bus *bus, const char *cgroup, bool json)
{
        _cleanup_(answer_deinit) Answer answer = {
                .policies = table_new(policy_columns, ARRAY_SIZE(policy_columns)),
                .cgroups = table_new(cgroup_columns, ARRAY_SIZE(cgroup_columns)),
                .settings = json ? json_object_new_array() : NULL,
                .cgroup = cgroup,
        };
        int r;

        if (!answer.policies || !answer.cgroups || (json && !answer.settings))
                return error_report(-ENOMEM, "policy show");

        r = daemon_policies(bus, policy_take, cgroup_take, &answer);
        if (r < 0)
                return daemon_error_report(r, "policy show", NULL);

        r = json ? answer_json(&answer) : answer_text(&answer);
        return r < 0 ? error_report(r, "policy show") : EXITCODE_DONE;
}

void policy_none_explain(void)
{
        fputs("No policy is in force: put one into /etc/daxtierd/policy.d, then `daxtier policy "
              "reload`;\ndaxtier-policy(5) has what it may say.\n",
              stderr);
}
