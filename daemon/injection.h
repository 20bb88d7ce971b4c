/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The daemon's end of the injector's socket. A connection carries one request at a time, in order;
 * for more at once, open more (the injector serves four). Nothing in here waits. */

#include "daemon/kernel/inject.h"

#define INJECTION_SOCKET "/run/daxtierd/injector"

/* A non-blocking, close-on-exec connection, for an event loop. -ENOENT, -ECONNREFUSED:
 * daxtierd-injector.socket is not started; -EACCES: only root may; -EAGAIN: too many wait. */
int injection_connect(const char *path, int *ret_fd);

/* .version is filled in here. -EAGAIN: earlier requests are still unread; -EPIPE: the injector has
 * closed the connection: connect anew. */
int injection_send(int fd, const InjectRequest *request);

/* -EAGAIN: no answer yet. -EPIPE: there will be none, as the injector has ended; whether the call was
 * made is unknown. After an answer with INJECT_FLAG_HELD the injector closes the connection. */
int injection_receive(int fd, InjectOutcome *ret_outcome);
