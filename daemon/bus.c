/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/bus.h"

#include <errno.h>

#include "daemon/busplacement.h"
#include "daemon/manager.h"
#include "daemon/report.h"
#include "daemon/server.h"
#include "policy/macro.h"

/* What a caller may name as a device: far longer than any path in /sys. */
#define DEVICE_NAME_MAX 4096u

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const Connection *connection = userdata;

        return sd_bus_message_append(reply, "s", report_state(connection->manager));
}

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "s", PROJECT_VERSION);
}

static int get_status(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const Connection *connection = userdata;
        _cleanup_(freep) char *text = NULL;
        int r;

        r = report_status(connection->manager, &text);
        if (r < 0)
                return r;
        return sd_bus_message_append(reply, "s", text);
}

static int get_problems(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const Connection *connection = userdata;
        _cleanup_(freep) Problem *problems = NULL;
        size_t n_problems = 0;
        int r;

        r = report_problems(connection->manager, &problems, &n_problems);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ss)");
        for (size_t i = 0; r >= 0 && i < n_problems; i++)
                r = sd_bus_message_append(reply, "(ss)", problems[i].what, problems[i].mend);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r;
}

static int append_device(sd_bus_message *reply, const Managed *managed)
{
        return sd_bus_message_append(
                reply, "a{sv}", 7, "name", "s", managed->name, "chardev", "s", managed->chardev,
                "state", "s", managed_state_name(managed->state), "reason", "s", managed->reason,
                "online_memblocks", "u", managed->online_memblocks, "total_memblocks", "u",
                managed->total_memblocks, "target_node", "i", managed->target_node);
}

static int get_devices(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const Connection *connection = userdata;
        const Manager *manager = connection->manager;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < manager->n_managed; i++)
                r = append_device(reply, &manager->managed[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r;
}

static int append_tier(sd_bus_message *reply, const Topology *topology, const char *name,
                       const NodeSet *set)
{
        const NodePerf *known = topology_tier_perf(topology, set);
        NodePerf perf = known ? *known : NODE_PERF_UNKNOWN;
        char nodes[NODESET_TEXT_MAX];
        int r;

        r = nodeset_format(set, nodes, sizeof(nodes));
        if (r < 0)
                return r;

        return sd_bus_message_append(
                reply, "a{sv}", 7, "name", "s", name, "nodes", "s", nodes, "read_latency_ns", "x",
                perf.read_latency_ns, "write_latency_ns", "x", perf.write_latency_ns,
                "read_bandwidth_mib", "x", perf.read_bandwidth_mib, "write_bandwidth_mib", "x",
                perf.write_bandwidth_mib, "perf_source", "s", perf.from_hmat ? "hmat" : "unknown");
}

static int get_tiers(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const Connection *connection = userdata;
        const Topology *topology = &connection->manager->topology;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        if (r >= 0)
                r = append_tier(reply, topology, "cheap", &topology->tiers.cheap);
        if (r >= 0)
                r = append_tier(reply, topology, "fast", &topology->tiers.fast);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r;
}

int bus_sender(sd_bus_message *message, const Connection *connection, uid_t *ret_uid)
{
        sd_bus_creds *creds = NULL;
        int r;

        if (connection->direct) {
                *ret_uid = connection->uid;
                return 0;
        }

        r = sd_bus_query_sender_creds(message, SD_BUS_CREDS_EUID, &creds);
        if (r >= 0)
                r = sd_bus_creds_get_euid(creds, ret_uid);
        sd_bus_creds_unref(creds);
        return r;
}

static int bus_may_change(sd_bus_message *message, const Connection *connection,
                          sd_bus_error *error)
{
        uid_t uid;

        if (bus_sender(message, connection, &uid) >= 0 && uid == 0)
                return 0;

        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
                                "Only root may change devices or reload: use sudo.");
}

static int append_steps(sd_bus_message *reply, const Job *job)
{
        static const char *const results[] = {
                [ONLINE_DONE] = "done",
                [ONLINE_ALREADY] = "already",
                [ONLINE_WOULD] = "would",
                [ONLINE_FAILED] = "failed",
        };
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(sssi)");
        for (size_t i = 0; r >= 0 && i < job->n_steps; i++) {
                const OnlineStep *step = &job->steps[i];

                if ((size_t)step->result < ARRAY_SIZE(results))
                        r = sd_bus_message_append(reply, "(sssi)", step->object, step->action,
                                                  results[step->result], step->error);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r;
}

static int reply_error(sd_bus_message *call, const Job *job)
{
        if (job->result == -ENODEV || job->result == -EOPNOTSUPP)
                return sd_bus_reply_method_errorf(
                        call, BUS_ERROR_NO_DEVICE,
                        "There is no dax device %s: `daxtier devices` lists what is.", job->device);
        if (job->result == -ENOTUNIQ)
                return sd_bus_reply_method_errorf(
                        call, BUS_ERROR_NO_DEVICE,
                        "%s names several devices: `daxtier devices` lists them.", job->device);
        if (job->result == -EBUSY)
                return sd_bus_reply_method_errorf(call, BUS_ERROR_BUSY, "%s is in use.",
                                                  job->device);
        return sd_bus_reply_method_errnof(call, -job->result, "%s: %s", job->device,
                                          strerror(-job->result));
}

void bus_job_done(const Job *job)
{
        sd_bus_message *call = job->request, *reply = NULL;
        int r;

        if (!call)
                return;

        if (job->result < 0 && job->n_steps == 0) {
                reply_error(call, job);
        } else {
                r = sd_bus_message_new_method_return(call, &reply);
                if (r >= 0)
                        r = append_steps(reply, job);
                if (r >= 0)
                        sd_bus_send(NULL, reply, NULL);
                sd_bus_message_unref(reply);
        }
        sd_bus_message_unref(call);
}

static int method_job(sd_bus_message *message, const Connection *connection, JobKind kind,
                      sd_bus_error *error)
{
        Manager *manager = connection->manager;
        _cleanup_(job_freep) Job *job = NULL;
        _cleanup_(freep) char *name = NULL;
        const Managed *managed;
        const char *device;
        int r, dry_run;

        r = sd_bus_message_read(message, "sb", &device, &dry_run);
        if (r < 0)
                return r;
        r = bus_may_change(message, connection, error);
        if (r < 0)
                return r;

        managed = managed_find(manager->managed, manager->n_managed, device);
        if (!managed && (strlen(device) > DEVICE_NAME_MAX || device_name_parse(device, &name) < 0))
                return sd_bus_error_set(error, BUS_ERROR_NO_DEVICE,
                                        "A device is dax1.0, uuid:… or path:GLOB.");
        if (manager->stopping || manager_has_request(manager, device))
                return sd_bus_error_setf(error, BUS_ERROR_IN_PROGRESS,
                                         "%s is being worked on: try again when that is done.",
                                         device);

        r = job_new(kind, managed ? managed->name : name, managed ? managed->zone : ZONE_MOVABLE,
                    dry_run || manager->dry_run, &job);
        if (r < 0)
                return r;
        job->request = sd_bus_message_ref(message);
        return manager_job_queue(manager, TAKE_PTR(job)) < 0 ? -ENOMEM : 1;
}

static int method_online(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        return method_job(message, userdata, JOB_ONLINE, error);
}

static int method_offline(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        return method_job(message, userdata, JOB_OFFLINE, error);
}

static int method_reload(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        const Connection *connection = userdata;
        _cleanup_(freep) char *why = NULL;
        int r;

        r = bus_may_change(message, connection, error);
        if (r < 0)
                return r;

        r = manager_reload(connection->manager, &why);
        if (r < 0)
                return sd_bus_error_set(error, BUS_ERROR_CONFIG, why ? why : strerror(-r));
        return sd_bus_reply_method_return(message, NULL);
}

/* "Unprivileged", because sd-bus's own check asks for capabilities that nobody can show on a
 * connection without a broker; each method has bus_may_change() instead. */
static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Status", "s", get_status, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Problems", "a(ss)", get_problems, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Devices", "aa{sv}", get_devices, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Tiers", "aa{sv}", get_tiers, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_ARGS("Online", SD_BUS_ARGS("s", device, "b", dry_run),
                                SD_BUS_RESULT("a(sssi)", steps), method_online,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Offline", SD_BUS_ARGS("s", device, "b", dry_run),
                                SD_BUS_RESULT("a(sssi)", steps), method_offline,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Totals", "a{st}", bus_get_totals, 0, 0),
        SD_BUS_METHOD_WITH_ARGS("List", SD_BUS_ARGS("s", cgroup, "u", pid, "s", file, "u", after),
                                SD_BUS_RESULT("aa{sv}", mappings, "u", next), bus_method_list,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Policies", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("aa{sv}", policies, "a(ssu)", cgroups),
                                bus_method_policies, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Cgroups", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", cgroups),
                                bus_method_cgroups, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Metrics", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", text),
                                bus_method_metrics, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_reload,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int bus_object_add(Connection *connection)
{
        return sd_bus_add_object_vtable(connection->bus, NULL, BUS_PATH, BUS_INTERFACE, vtable,
                                        connection);
}
