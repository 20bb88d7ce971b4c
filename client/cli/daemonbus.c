/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/daemonbus.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/bus.h"
#include "policy/macro.h"

#define USEC_PER_SEC UINT64_C(1000000)

/* A daemon that does not answer a question in this time hangs. */
#define ANSWER_USEC (10u * USEC_PER_SEC)

/* Offlining moves every page that is in use: as slow as the memory, and retried. */
#define WORK_USEC (30u * 60u * USEC_PER_SEC)

/* More devices or problems than a machine can have: the answer is not the daemon's. */
#define ITEMS_MAX 4096u

static inline void bus_messagep(sd_bus_message **message)
{
        sd_bus_message_unref(*message);
}

static inline void bus_errorp(sd_bus_error *error)
{
        sd_bus_error_free(error);
}

static const sd_bus_error_map errors[] = {
        SD_BUS_ERROR_MAP(BUS_ERROR_NO_DEVICE, ENODEV),
        SD_BUS_ERROR_MAP(BUS_ERROR_BUSY, EBUSY),
        SD_BUS_ERROR_MAP(BUS_ERROR_CONFIG, EBADMSG),
        SD_BUS_ERROR_MAP(BUS_ERROR_IN_PROGRESS, EINPROGRESS),
        SD_BUS_ERROR_MAP_END,
};

int daemon_connect(const char *socket_path, sd_bus **ret_bus)
{
        _cleanup_(daemon_disconnectp) sd_bus *bus = NULL;
        char address[256];
        int r;

        r = sd_bus_error_add_map(errors);
        if (r < 0)
                return r;
        r = sd_bus_new(&bus);
        if (r < 0)
                return r;

        snprintf(address, sizeof(address), "unix:path=%s", socket_path);
        r = sd_bus_set_address(bus, address);
        if (r < 0)
                return r;
        r = sd_bus_set_method_call_timeout(bus, ANSWER_USEC);
        if (r < 0)
                return r;

        r = sd_bus_start(bus);
        if (r == -ENOENT)
                return -ECONNREFUSED;
        if (r < 0)
                return r;

        *ret_bus = TAKE_PTR(bus);
        return 0;
}

void daemon_disconnectp(sd_bus **bus)
{
        sd_bus_flush_close_unref(*bus);
}

/* What the kernel and sd-bus say of a peer that went away. */
static int lost(int error)
{
        switch (error) {
        case -ENOTCONN:
        case -EPIPE:
        case -ESHUTDOWN:
        case -ECONNRESET:
                return -ECONNRESET;
        default:
                return error;
        }
}

static int text_read(sd_bus_message *message, char type, char **ret_text)
{
        const char *text;
        char *copy;
        int r;

        r = sd_bus_message_read_basic(message, type, &text);
        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        copy = strdup(text);
        if (!copy)
                return -ENOMEM;

        free(*ret_text);
        *ret_text = copy;
        return 0;
}

/* The value of a dictionary's entry, of which only texts are wanted. */
static int variant_text_read(sd_bus_message *message, char **ret_text)
{
        int r = sd_bus_message_enter_container(message, 'v', "s");

        if (r < 0)
                return r;
        r = text_read(message, 's', ret_text);
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(message);
}

static int device_read(sd_bus_message *message, DaemonDevice *device)
{
        int r;

        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                const char *key;

                r = sd_bus_message_read_basic(message, 's', &key);
                if (r < 0)
                        return r;
                if (strcmp(key, "name") == 0)
                        r = variant_text_read(message, &device->name);
                else if (strcmp(key, "chardev") == 0)
                        r = variant_text_read(message, &device->chardev);
                else if (strcmp(key, "state") == 0)
                        r = variant_text_read(message, &device->state);
                else if (strcmp(key, "reason") == 0)
                        r = variant_text_read(message, &device->reason);
                else
                        r = sd_bus_message_skip(message, "v");
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        return device->name && device->state ? 0 : -EBADMSG;
}

static int devices_property_read(sd_bus_message *message, DaemonState *state)
{
        int r = sd_bus_message_enter_container(message, 'a', "a{sv}");

        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(message, 'a', "{sv}")) > 0) {
                DaemonDevice *devices;

                if (state->n_devices >= ITEMS_MAX)
                        return -E2BIG;
                devices = reallocarray(state->devices, state->n_devices + 1, sizeof(*devices));
                if (!devices)
                        return -ENOMEM;
                state->devices = devices;
                devices[state->n_devices] = (DaemonDevice){};

                r = device_read(message, &devices[state->n_devices++]);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int problems_property_read(sd_bus_message *message, DaemonState *state)
{
        int r = sd_bus_message_enter_container(message, 'a', "(ss)");

        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(message, 'r', "ss")) > 0) {
                DaemonProblem *problems, *problem;

                if (state->n_problems >= ITEMS_MAX)
                        return -E2BIG;
                problems = reallocarray(state->problems, state->n_problems + 1, sizeof(*problems));
                if (!problems)
                        return -ENOMEM;
                state->problems = problems;
                problem = &problems[state->n_problems++];
                *problem = (DaemonProblem){};

                r = text_read(message, 's', &problem->what);
                if (r >= 0)
                        r = text_read(message, 's', &problem->mend);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int property_read(sd_bus_message *message, const char *name, DaemonState *state)
{
        static const char *const types[] = { "a(ss)", "aa{sv}" };
        int r;

        if (strcmp(name, "Version") == 0)
                return variant_text_read(message, &state->version);
        if (strcmp(name, "State") == 0)
                return variant_text_read(message, &state->state);
        if (strcmp(name, "Status") == 0)
                return variant_text_read(message, &state->status);
        if (strcmp(name, "Problems") != 0 && strcmp(name, "Devices") != 0)
                return sd_bus_message_skip(message, "v");

        r = sd_bus_message_enter_container(message, 'v', types[*name == 'D']);
        if (r < 0)
                return r;
        r = *name == 'D' ? devices_property_read(message, state)
                         : problems_property_read(message, state);
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int properties_read(sd_bus_message *message, DaemonState *state)
{
        int r = sd_bus_message_enter_container(message, 'a', "{sv}");

        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                const char *name;

                r = sd_bus_message_read_basic(message, 's', &name);
                if (r < 0)
                        return r;
                r = property_read(message, name, state);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        return state->version && state->state && state->status ? 0 : -EBADMSG;
}

int daemon_read(sd_bus *bus, DaemonState *ret_state)
{
        _cleanup_(daemon_state_deinit) DaemonState state = {};
        _cleanup_(bus_messagep) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(bus, NULL, BUS_PATH, "org.freedesktop.DBus.Properties", "GetAll",
                               NULL, &reply, "s", BUS_INTERFACE);
        if (r < 0)
                return lost(r);
        r = properties_read(reply, &state);
        if (r < 0)
                return r;

        *ret_state = state;
        state = (DaemonState){};
        return 0;
}

void daemon_state_deinit(DaemonState *state)
{
        for (size_t i = 0; i < state->n_devices; i++) {
                free(state->devices[i].name);
                free(state->devices[i].chardev);
                free(state->devices[i].state);
                free(state->devices[i].reason);
        }
        for (size_t i = 0; i < state->n_problems; i++) {
                free(state->problems[i].what);
                free(state->problems[i].mend);
        }
        free(state->devices);
        free(state->problems);
        free(state->version);
        free(state->state);
        free(state->status);
        *state = (DaemonState){};
}

const DaemonDevice *daemon_device_find(const DaemonState *state, const char *chardev)
{
        for (size_t i = 0; i < state->n_devices; i++)
                if (state->devices[i].chardev && strcmp(state->devices[i].chardev, chardev) == 0)
                        return &state->devices[i];
        return NULL;
}

/* The daemon's words for OnlineResult, which our own tables use, too. */
static const char *const result_names[] = {
        [ONLINE_DONE] = "done",
        [ONLINE_ALREADY] = "already",
        [ONLINE_WOULD] = "would",
        [ONLINE_FAILED] = "failed",
};

const char *online_result_text(OnlineResult result)
{
        return result_names[result];
}

static int step_read(sd_bus_message *message, OnlineStep *ret_step)
{
        const char *object, *action, *result;
        OnlineStep step = {};
        int32_t error;
        int r;

        r = sd_bus_message_read(message, "(sssi)", &object, &action, &result, &error);
        if (r <= 0)
                return r;

        snprintf(step.object, sizeof(step.object), "%s", object);
        snprintf(step.action, sizeof(step.action), "%s", action);
        step.error = error;
        step.result = error < 0 ? ONLINE_FAILED : ONLINE_DONE; /* of words newer than ours */
        for (size_t i = 0; i < ARRAY_SIZE(result_names); i++)
                if (strcmp(result, result_names[i]) == 0)
                        step.result = (OnlineResult)i;

        *ret_step = step;
        return 1;
}

/* Hands on every step. The work as a whole went as its last step did, and a failure before that
 * leaves it done in part. */
static int steps_read(sd_bus_message *message, online_step_fn fn, void *userdata)
{
        OnlineStep step;
        int outcome = 0, r;

        r = sd_bus_message_enter_container(message, 'a', "(sssi)");
        if (r < 0)
                return r;

        while ((r = step_read(message, &step)) > 0) {
                if (step.result == ONLINE_FAILED)
                        outcome = step.error < 0 ? step.error : -EUCLEAN;
                else if (outcome < 0)
                        outcome = -EUCLEAN;
                r = fn(&step, userdata);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : outcome;
}

int daemon_online(sd_bus *bus, const char *method, const char *device, bool dry_run,
                  online_step_fn step, void *userdata, char **ret_message)
{
        _cleanup_(bus_messagep) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(bus_errorp) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, NULL, BUS_PATH, BUS_INTERFACE, method);
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "sb", device, dry_run);
        if (r < 0)
                return r;

        r = sd_bus_call(bus, call, WORK_USEC, &error, &reply);
        if (r < 0) {
                /* An answer in words says more than our own sentence for the errno. */
                if (error.message && error.name &&
                    strncmp(error.name, BUS_NAME, strlen(BUS_NAME)) == 0)
                        *ret_message = strdup(error.message);
                return lost(r);
        }
        return steps_read(reply, step, userdata);
}
