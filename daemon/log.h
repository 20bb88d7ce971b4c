/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <syslog.h>

/* Message ids: what one greps the journal for (journalctl MESSAGE_ID=…). Never change one. */
#define LOG_ID_ONLINE     "5c0d7b1e8a0f4f0f9d1b3b6b0c6f2a01" /* a device's memory is online */
#define LOG_ID_PARTIAL    "5c0d7b1e8a0f4f0f9d1b3b6b0c6f2a02" /* some blocks are not as wanted */
#define LOG_ID_FAILED     "5c0d7b1e8a0f4f0f9d1b3b6b0c6f2a03" /* a device cannot be onlined now */
#define LOG_ID_OFFLINE    "5c0d7b1e8a0f4f0f9d1b3b6b0c6f2a04" /* a device is devdax again */
#define LOG_ID_ABSENT     "5c0d7b1e8a0f4f0f9d1b3b6b0c6f2a05" /* a named device is not there */
#define LOG_ID_BAD_CONFIG "5c0d7b1e8a0f4f0f9d1b3b6b0c6f2a06" /* a configuration was refused */
#define LOG_ID_TIERS      "5c0d7b1e8a0f4f0f9d1b3b6b0c6f2a07" /* the tiers have changed */
#define LOG_ID_NOT_PLACED                                                                          \
        "5c0d7b1e8a0f4f0f9d1b3b6b0c6f2a08"              /* a process' copies cannot be placed */
#define LOG_ID_WATCH "5c0d7b1e8a0f4f0f9d1b3b6b0c6f2a09" /* policies cannot be carried out */

/* One message, of debug only where SYSTEMD_LOG_LEVEL=debug asks for it: to the journal with its fields when the service manager runs us, else to stderr.
 * @id, @device (DAXTIER_DEVICE=) and @error (ERRNO=, of either sign) may be NULL, NULL and 0. */
void log_event(int priority, const char *id, const char *device, int error, const char *format, ...)
        __attribute__((format(printf, 5, 6)));
