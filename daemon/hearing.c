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

int hearing_move_cpu(Hearing *hearing, const PerfRing *ring)
{
        _cleanup_(closep) int fd = -1;
        int r;

        if (ring->cpu >= hearing->n_fds || hearing->fds[ring->cpu] < 0)
                return 0;

        /* A new event: to give another ring to one that has one, the kernel waits for all CPUs. */
        r = perf_cgroup_open(ring, hearing->cgroup_fd, &fd);
        if (r < 0)
                return r;

        perf_cgroup_close(hearing->fds[ring->cpu]);
        hearing->fds[ring->cpu] = TAKE_FD(fd);
        return 0;
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
