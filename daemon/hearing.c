/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/hearing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "policy/macro.h"

int hearing_new(int cgroup_fd, Hearing **ret_hearing)
{
        _cleanup_(hearing_freep) Hearing *hearing = NULL;

        hearing = malloc(sizeof(*hearing));
        if (!hearing)
                return -ENOMEM;
        *hearing = (Hearing){ .cgroup_fd = fcntl(cgroup_fd, F_DUPFD_CLOEXEC, 3) };
        if (hearing->cgroup_fd < 0)
                return -errno;

        *ret_hearing = TAKE_PTR(hearing);
        return 0;
}

int hearing_add_cpu(Hearing *hearing, const PerfRing *ring)
{
        size_t needed = (size_t)ring->cpu + 1;
        int r;

        if (needed > hearing->n_fds) {
                int *larger = reallocarray(hearing->fds, needed, sizeof(*larger));

                if (!larger)
                        return -ENOMEM;
                for (size_t i = hearing->n_fds; i < needed; i++)
                        larger[i] = -1;
                hearing->fds = larger;
                hearing->n_fds = needed;
        }

        if (hearing->fds[ring->cpu] >= 0)
                return 0;
        r = perf_cgroup_open(ring, hearing->cgroup_fd, &hearing->fds[ring->cpu]);
        if (r < 0)
                return r == -ENODEV ? 0 : r;
        return 1;
}

void hearing_drop_cpu(Hearing *hearing, unsigned cpu)
{
        if (cpu < hearing->n_fds) {
                closep(&hearing->fds[cpu]);
                hearing->fds[cpu] = -1;
        }
}

void hearing_free(Hearing *hearing)
{
        if (!hearing)
                return;

        for (size_t i = 0; i < hearing->n_fds; i++)
                closep(&hearing->fds[i]);
        closep(&hearing->cgroup_fd);
        free(hearing->fds);
        free(hearing);
}

void hearing_freep(Hearing **hearing)
{
        hearing_free(*hearing);
}
