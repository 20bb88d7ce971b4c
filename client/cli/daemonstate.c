/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/daemonstate.h"

#include <errno.h>

#include "daemon/bus.h"
#include "policy/macro.h"

/* More devices or problems than a machine can have: the answer is not the daemon's. */
#define ITEMS_MAX 4096u

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

static const struct TotalKey {
        const char *name;
        size_t offset;
} total_keys[] = {
        { "processes", offsetof(DaemonTotals, processes) },
        { "mappings", offsetof(DaemonTotals, mappings) },
        { "placed", offsetof(DaemonTotals, placed) },
        { "placing", offsetof(DaemonTotals, placing) },
        { "partial", offsetof(DaemonTotals, partial) },
        { "skipped", offsetof(DaemonTotals, skipped) },
        { "failed", offsetof(DaemonTotals, failed) },
        { "cow_bytes", offsetof(DaemonTotals, cow_bytes) },
        { "cow_cheap_bytes", offsetof(DaemonTotals, cow_cheap_bytes) },
        { "cow_fast_bytes", offsetof(DaemonTotals, cow_fast_bytes) },
        { "anon_bytes", offsetof(DaemonTotals, anon_bytes) },
        { "anon_cheap_bytes", offsetof(DaemonTotals, anon_cheap_bytes) },
        { "anon_fast_bytes", offsetof(DaemonTotals, anon_fast_bytes) },
        { "moved_bytes", offsetof(DaemonTotals, moved_bytes) },
        { "re_moved_bytes", offsetof(DaemonTotals, re_moved_bytes) },
};

static int totals_property_read(sd_bus_message *message, DaemonState *state)
{
        const char *name;
        uint64_t value;
        int r = sd_bus_message_enter_container(message, 'a', "{st}");

        if (r < 0)
                return r;

        memset(&state->totals, 0xff, sizeof(state->totals));
        while ((r = sd_bus_message_read(message, "{st}", &name, &value)) > 0)
                for (size_t i = 0; i < ARRAY_SIZE(total_keys); i++)
                        if (strcmp(name, total_keys[i].name) == 0)
                                *(uint64_t *)(void *)((char *)&state->totals +
                                                      total_keys[i].offset) = value;
        state->has_totals = r >= 0;
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int version_property_read(sd_bus_message *message, DaemonState *state)
{
        return text_read(message, 's', &state->version);
}

static int state_property_read(sd_bus_message *message, DaemonState *state)
{
        return text_read(message, 's', &state->state);
}

static int status_property_read(sd_bus_message *message, DaemonState *state)
{
        return text_read(message, 's', &state->status);
}

static const struct Property {
        const char *name;
        const char *type;
        int (*read)(sd_bus_message *message, DaemonState *state);
} properties[] = {
        { "Version", "s", version_property_read },
        { "State", "s", state_property_read },
        { "Status", "s", status_property_read },
        { "Problems", "a(ss)", problems_property_read },
        { "Devices", "aa{sv}", devices_property_read },
        { "Totals", "a{st}", totals_property_read },
};

static int property_read(sd_bus_message *message, const char *name, DaemonState *state)
{
        for (size_t i = 0; i < ARRAY_SIZE(properties); i++) {
                int r;

                if (strcmp(name, properties[i].name) != 0)
                        continue;
                r = sd_bus_message_enter_container(message, 'v', properties[i].type);
                if (r >= 0)
                        r = properties[i].read(message, state);
                return r < 0 ? r : sd_bus_message_exit_container(message);
        }
        return sd_bus_message_skip(message, "v");
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
        _cleanup_(daemon_messagep) sd_bus_message *reply = NULL;
        int r;

        r = daemon_call(bus, "org.freedesktop.DBus.Properties", "GetAll", DAEMON_ANSWER_USEC, NULL,
                        &reply, "s", BUS_INTERFACE);
        if (r < 0)
                return r;
        r = properties_read(reply, &state);
        if (r < 0)
                return daemon_reply_error(r);

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
