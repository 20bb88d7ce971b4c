/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/injection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "policy/macro.h"

int injection_connect(const char *path, int *ret_fd)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_(closep) int fd = -1;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));

        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;

        *ret_fd = TAKE_FD(fd);
        return 0;
}

int injection_send(int fd, const InjectRequest *request)
{
        InjectRequest versioned = *request;
        ssize_t n;

        versioned.version = INJECT_VERSION;
        n = send(fd, &versioned, sizeof(versioned), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return errno == ECONNRESET ? -EPIPE : -errno;

        return 0;
}

int injection_receive(int fd, InjectOutcome *ret_outcome)
{
        InjectOutcome outcome;
        ssize_t n;

        n = recv(fd, &outcome, sizeof(outcome), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0)
                return errno == ECONNRESET ? -EPIPE : -errno;
        if (n == 0)
                return -EPIPE;
        if (n != sizeof(outcome) || outcome.version != INJECT_VERSION)
                return -EPROTO;

        *ret_outcome = outcome;
        return 0;
}
