/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/daemonbus.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "daemon/bus.h"
#include "policy/macro.h"

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
        r = sd_bus_set_method_call_timeout(bus, DAEMON_ANSWER_USEC);
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

int daemon_call(sd_bus *bus, const char *interface, const char *method, uint64_t timeout_usec,
                char **ret_message, sd_bus_message **ret_reply, const char *types, ...)
{
        _cleanup_(bus_errorp) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(daemon_messagep) sd_bus_message *call = NULL;
        va_list arguments;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, NULL, BUS_PATH, interface, method);
        if (r < 0)
                return r;
        va_start(arguments, types);
        r = sd_bus_message_appendv(call, types, arguments);
        va_end(arguments);
        if (r < 0)
                return r;

        r = sd_bus_call(bus, call, timeout_usec, &error, ret_reply);
        if (r >= 0)
                return 0;

        /* An answer in words says more than our own sentence for the errno. */
        if (ret_message && error.message && error.name &&
            strncmp(error.name, BUS_NAME ".", strlen(BUS_NAME ".")) == 0)
                *ret_message = strdup(error.message);
        return lost(r);
}

int daemon_reply_error(int error)
{
        return error == -ENXIO || error == -EBADMSG ? -EPROTO : error;
}

static const DaemonKey *key_find(const DaemonKey *keys, size_t n_keys, const char *name)
{
        for (size_t i = 0; i < n_keys; i++)
                if (strcmp(keys[i].name, name) == 0)
                        return &keys[i];
        return NULL;
}

static int value_read(sd_bus_message *message, const DaemonKey *key, void *object)
{
        const char type[] = { key->type, '\0' };
        int r;

        r = sd_bus_message_enter_container(message, 'v', type);
        if (r < 0)
                return r;
        r = sd_bus_message_read_basic(message, key->type, (char *)object + key->offset);
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(message);
}

int daemon_dictionary_read(sd_bus_message *message, const DaemonKey *keys, size_t n_keys,
                           void *object)
{
        int r = sd_bus_message_enter_container(message, 'a', "{sv}");

        if (r <= 0)
                return r < 0 ? daemon_reply_error(r) : 0;

        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                const DaemonKey *key;
                const char *name;

                r = sd_bus_message_read_basic(message, 's', &name);
                if (r < 0)
                        break;
                key = key_find(keys, n_keys, name);
                r = key ? value_read(message, key, object) : sd_bus_message_skip(message, "v");
                if (r < 0)
                        break;
                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        break;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(message);
        return r < 0 ? daemon_reply_error(r) : 1;
}

ExitCode daemon_error_report(int error, const char *subject, const char *message)
{
        /* Elsewhere, that is memory which will not go offline. */
        if (error == -ETIMEDOUT) {
                fprintf(stderr,
                        "daxtier: %s: daxtierd does not answer: systemctl status daxtierd\n",
                        subject);
                return EXITCODE_NO_DAEMON;
        }
        if (!message)
                return error_report(error, subject);

        fprintf(stderr, "daxtier: %s: %s\n", subject, message);
        return exitcode_of(error);
}
