/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/report.h"

#include <errno.h>
#include <stdio.h>

#include "policy/macro.h"

static bool is_wrong(const Managed *managed)
{
        return managed->state == MANAGED_PARTIAL || managed->state == MANAGED_FAILED;
}

static bool is_awaited(const Managed *managed)
{
        return managed->state == MANAGED_ABSENT && managed->online;
}

const char *report_state(const Manager *manager)
{
        bool waiting = false;

        if (!manager->ready)
                return "starting";
        if (manager->config_problem || manager->placement->watch_error < 0 ||
            manager->placement->injector_error < 0)
                return "degraded";

        for (size_t i = 0; i < manager->n_managed; i++) {
                if (is_wrong(&manager->managed[i]))
                        return "degraded";
                waiting = waiting || is_awaited(&manager->managed[i]);
        }

        return waiting ? "waiting" : "running";
}

static void device_report(FILE *stream, const Managed *managed)
{
        fprintf(stream, "%s ", managed->name);
        switch (managed->state) {
        case MANAGED_ABSENT:
                fprintf(stream, "%s not present", managed->online ? "awaited:" : "is");
                break;
        case MANAGED_ONLINE:
                fprintf(stream, "online on node %d (%u of %u blocks)", managed->target_node,
                        managed->online_memblocks, managed->total_memblocks);
                break;
        case MANAGED_PARTIAL:
                fprintf(stream, "partly done (%u of %u blocks online): %s",
                        managed->online_memblocks, managed->total_memblocks, managed->reason);
                break;
        case MANAGED_FAILED:
                fprintf(stream, "failed: %s", managed->reason);
                break;
        case MANAGED_IDLE:
        case MANAGED_ONLINING:
        case MANAGED_OFFLINING:
        case MANAGED_OFFLINE:
                fprintf(stream, "%s", managed_state_name(managed->state));
                break;
        }
}

static void tiers_report(FILE *stream, const Manager *manager)
{
        char nodes[NODESET_TEXT_MAX];

        if (nodeset_is_empty(&manager->topology.tiers.cheap)) {
                fprintf(stream, "no cheap tier");
                return;
        }
        if (nodeset_format(&manager->topology.tiers.cheap, nodes, sizeof(nodes)) >= 0)
                fprintf(stream, "cheap tier: node %s", nodes);
}

int report_status(const Manager *manager, char **ret_text)
{
        _cleanup_(fclosep) FILE *stream = NULL;
        _cleanup_(freep) char *text = NULL;
        size_t size;

        stream = open_memstream(&text, &size);
        if (!stream)
                return -errno;

        if (manager->stopping)
                fprintf(stream, "Stopping: ");
        if (manager->config_problem)
                fprintf(stream, "Reload refused, old configuration in force: %s; ",
                        manager->config_problem);
        if (manager->n_managed == 0)
                fprintf(stream, "No device is configured: name one in "
                                "/etc/daxtierd/daxtierd.conf, then reload; ");
        for (size_t i = 0; i < manager->n_managed; i++) {
                device_report(stream, &manager->managed[i]);
                fprintf(stream, "; ");
        }
        tiers_report(stream, manager);
        if (manager->placement->n_rules > 0)
                fprintf(stream, "; %zu polic%s in force%s", manager->placement->n_rules,
                        manager->placement->n_rules == 1 ? "y" : "ies",
                        manager->dry_run ? " (dry run)" : "");

        if (fclose(TAKE_PTR(stream)) != 0)
                return -errno;
        *ret_text = TAKE_PTR(text);
        return 0;
}

static void problem_of_device(const Managed *managed, Problem *problem)
{
        const char *device = managed->chardev[0] != '\0' ? managed->chardev : managed->name;

        if (is_awaited(managed)) {
                snprintf(problem->what, sizeof(problem->what), "waiting for %s: not present",
                         managed->name);
                snprintf(problem->mend, sizeof(problem->mend),
                         "`daxtier devices` lists what is; correct [Device %s] in "
                         "/etc/daxtierd/daxtierd.conf, then `systemctl reload daxtierd`",
                         managed->name);
                return;
        }

        snprintf(problem->what, sizeof(problem->what), "%s: %s", managed->name, managed->reason);
        if (managed->chardev[0] == '\0')
                snprintf(problem->mend, sizeof(problem->mend),
                         "name one device in a section of its own: `daxtier devices` lists them");
        else if (managed->held)
                snprintf(problem->mend, sizeof(problem->mend),
                         "end the programs that use node %d, or `daxtier online %s`; tried again "
                         "until then",
                         managed->target_node, device);
        else if (managed->state == MANAGED_PARTIAL)
                snprintf(problem->mend, sizeof(problem->mend),
                         "`daxtier offline %s && daxtier online %s`; tried again until then",
                         device, device);
        else
                snprintf(
                        problem->mend, sizeof(problem->mend),
                        "`daxtier online %s` tries now and shows each step; tried again until then",
                        device);
}

/* Why policies are not, or not at once, carried out. */
static void problem_of_placement(const Placement *placement, Problem *problems, size_t *n_problems)
{
        if (placement->n_rules == 0)
                return;

        if (placement->watch_error < 0) {
                Problem *problem = &problems[(*n_problems)++];

                snprintf(problem->what, sizeof(problem->what),
                         "new mappings are not heard of (%s): programs are only looked at every "
                         "ReconcileSec=",
                         strerror(-placement->watch_error));
                snprintf(problem->mend, sizeof(problem->mend),
                         "`daxtier doctor` says what the kernel lacks");
        }
        if (placement->injector_error < 0) {
                Problem *problem = &problems[(*n_problems)++];

                snprintf(problem->what, sizeof(problem->what),
                         "the injector cannot be reached (%s): running programs keep their own "
                         "memory policies",
                         strerror(-placement->injector_error));
                snprintf(problem->mend, sizeof(problem->mend),
                         "`systemctl start daxtierd-injector.socket`");
        }
}

int report_problems(const Manager *manager, Problem **ret_problems, size_t *ret_n_problems)
{
        Problem *problems;
        size_t n_problems = 0;

        problems = calloc(manager->n_managed + 4, sizeof(*problems));
        if (!problems)
                return -ENOMEM;

        if (manager->config_problem) {
                Problem *problem = &problems[n_problems++];

                snprintf(problem->what, sizeof(problem->what), "%s", manager->config_problem);
                snprintf(problem->mend, sizeof(problem->mend),
                         "correct the file, then `systemctl reload daxtierd`; the old "
                         "configuration is in force until then");
        }
        for (size_t i = 0; i < manager->n_managed; i++)
                if (is_wrong(&manager->managed[i]) || is_awaited(&manager->managed[i]))
                        problem_of_device(&manager->managed[i], &problems[n_problems++]);
        problem_of_placement(manager->placement, problems, &n_problems);

        *ret_problems = problems;
        *ret_n_problems = n_problems;
        return 0;
}
