/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "client/cli/exitcode.h"

typedef struct DaemonKey DaemonKey;

/* How long to wait for an answer. The daemon looks at something; it looks at every process under
 * policy; it moves every page that is in use. */
#define DAEMON_ANSWER_USEC UINT64_C(10000000)
#define DAEMON_SCAN_USEC   UINT64_C(120000000)
#define DAEMON_WORK_USEC   UINT64_C(1800000000)

/* Connects to the daemon's own socket: works without a system bus, in containers too.
 * -ECONNREFUSED: it is not running; -EACCES: the socket is not for us. */
int daemon_connect(const char *socket_path, sd_bus **ret_bus);

void daemon_disconnectp(sd_bus **bus);

/* Calls @method of the daemon's object with arguments of the @types, as sd_bus_call_method() takes
 * them. An error that the daemon answers is its errno; -EBADR: it has no such method, it is older
 * than we are; -ECONNRESET: it went away. *ret_message, if wanted, is set on failure only, to what
 * the daemon said in words, if it did; the caller frees it. */
int daemon_call(sd_bus *bus, const char *interface, const char *method, uint64_t timeout_usec,
                char **ret_message, sd_bus_message **ret_reply, const char *types, ...);

/* A key of a dictionary, a{sv}, and where its value goes. */
struct DaemonKey {
        const char *name;
        char type; /* 's': const char *, 'u': uint32_t, 't': uint64_t, 'b': int */
        size_t offset;
};

/* Reads the dictionary that @message stands before into @object. Keys that it lacks leave @object as
 * it is, keys that are not listed are passed over. Texts stay @message's. 0: there is none, the
 * array is at its end; 1: read. */
int daemon_dictionary_read(sd_bus_message *message, const DaemonKey *keys, size_t n_keys,
                           void *object);

/* The errno of reading a reply: sd-bus's own for a type that is not there means something else
 * to whom it is shown. -EPROTO: the reply is not of the agreed form. */
int daemon_reply_error(int error);

/* Says "daxtier: SUBJECT: …" with the daemon's @message, or, if that is NULL, our sentence for what
 * a call failed with; returns the exit code. */
ExitCode daemon_error_report(int error, const char *subject, const char *message);

static inline void daemon_messagep(sd_bus_message **message)
{
        sd_bus_message_unref(*message);
}
