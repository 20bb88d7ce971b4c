/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "policy/macro.h"

/* Longer than any sentence of ours; a configuration error may quote a line. */
#define MESSAGE_MAX 2048u
#define FIELD_MAX   192u

static void field_add(struct iovec *fields, int *n_fields, char *text, int length, size_t size)
{
        if (length <= 0)
                return;
        fields[(*n_fields)++] = (struct iovec){
                .iov_base = text,
                .iov_len = (size_t)length < size ? (size_t)length : size - 1,
        };
}

static void journal_send(int priority, const char *id, const char *device, int error,
                         const char *text)
{
        char message[MESSAGE_MAX + 8], level[16], message_id[FIELD_MAX], about[FIELD_MAX],
                number[32];
        struct iovec fields[6];
        int n_fields = 0;

        field_add(fields, &n_fields, message,
                  snprintf(message, sizeof(message), "MESSAGE=%s", text), sizeof(message));
        field_add(fields, &n_fields, level, snprintf(level, sizeof(level), "PRIORITY=%d", priority),
                  sizeof(level));
        if (id)
                field_add(fields, &n_fields, message_id,
                          snprintf(message_id, sizeof(message_id), "MESSAGE_ID=%s", id),
                          sizeof(message_id));
        if (device)
                field_add(fields, &n_fields, about,
                          snprintf(about, sizeof(about), "DAXTIER_DEVICE=%s", device),
                          sizeof(about));
        if (error != 0)
                field_add(fields, &n_fields, number,
                          snprintf(number, sizeof(number), "ERRNO=%d", abs(error)), sizeof(number));

        sd_journal_sendv(fields, n_fields);
}

/* As for systemd's own programs. */
static bool log_wants_debug(void)
{
        const char *level = getenv("SYSTEMD_LOG_LEVEL");

        return level && (strcmp(level, "debug") == 0 || strcmp(level, "7") == 0);
}

void log_event(int priority, const char *id, const char *device, int error, const char *format, ...)
{
        char text[MESSAGE_MAX];
        va_list arguments;

        if (priority > LOG_INFO && !log_wants_debug())
                return;

        va_start(arguments, format);
        vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);

        /* A process may have any name: it shall not look like a line of its own. */
        for (char *at = text; *at != '\0'; at++)
                if (*at == '\n' || *at == '\033')
                        *at = '?';

        /* Set when our stderr is the journal. */
        if (getenv("JOURNAL_STREAM"))
                journal_send(priority, id, device, error, text);
        else if (isatty(STDERR_FILENO))
                fprintf(stderr, "%s\n", text);
        else
                fprintf(stderr, "<%d>%s\n", priority, text);
}
