/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/feature.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/damon.h"
#include "policy/macro.h"
#include "policy/nodeset.h"

/* Newer than the kernel headers of Debian 12. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef PAGEMAP_SCAN
#define PAGEMAP_SCAN _IOWR('f', 16, uint64_t[12])
#endif

/* modules.dep of a distribution's kernel is below 1 MiB. */
#define MODULES_BYTES_MAX ((size_t)16 * 1024 * 1024)

#define DAMON_KDAMONDS "kernel/mm/damon/admin/kdamonds/"
#define DAMON_CONTEXTS DAMON_KDAMONDS "0/contexts/"
#define DAMON_SCHEMES  DAMON_CONTEXTS "0/schemes/"

static int path_probe(int dir_fd, const char *path)
{
        if (faccessat(dir_fd, path, F_OK, 0) < 0)
                return errno == ENOENT ? -EOPNOTSUPP : -errno;
        return 0;
}

/* Whether the module is built in or could be loaded: "kernel/drivers/dax/kmem.ko" stands in
 * modules.builtin, or at the beginning of a line of modules.dep with, maybe, ".xz" behind it. */
static int module_probe(int modules_fd, const char *path)
{
        static const char *const lists[] = { "modules.builtin", "modules.dep" };

        if (modules_fd < 0)
                return -EOPNOTSUPP;

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
                _cleanup_(freep) char *text = NULL;
                const char *found;
                size_t size;

                if (attr_read_all(modules_fd, lists[i], MODULES_BYTES_MAX, &text, &size) < 0)
                        continue;
                for (found = strstr(text, path); found; found = strstr(found + 1, path))
                        if (found == text || found[-1] == '\n')
                                return 0;
        }
        return -EOPNOTSUPP;
}

static int probe_kmem(int sys_fd, int modules_fd)
{
        int r = path_probe(sys_fd, "bus/dax/drivers/kmem");

        return r == -EOPNOTSUPP ? module_probe(modules_fd, "kernel/drivers/dax/kmem.ko") : r;
}

/* The policy is put on a page of our own and goes with it. */
static int probe_preferred_many(void)
{
        const size_t length = (size_t)sysconf(_SC_PAGESIZE);
        NodeSet allowed = {};
        void *page;
        int r = 0;

        if (syscall(SYS_get_mempolicy, NULL, allowed.bits, NODESET_MAX, NULL, MPOL_F_MEMS_ALLOWED) <
            0)
                return errno == ENOSYS ? -EOPNOTSUPP : -errno;

        page = mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
                return -errno;
        if (syscall(SYS_mbind, page, length, MPOL_PREFERRED_MANY, allowed.bits, NODESET_MAX + 1u,
                    0) < 0)
                r = errno == EINVAL ? -EOPNOTSUPP : -errno;
        munmap(page, length);
        return r;
}

/* A bad descriptor is found only where the system call exists. */
static int probe_cachestat(void)
{
        if (syscall(SYS_cachestat, -1, NULL, NULL, 0) < 0 && errno != EBADF)
                return errno == ENOSYS ? -EOPNOTSUPP : -errno;
        return 0;
}

/* Without an argument the ioctl stops at -EFAULT; a kernel that does not know it says -ENOTTY. */
static int probe_pagemap_scan(void)
{
        _cleanup_(closep) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return errno == ENOENT ? -EOPNOTSUPP : -errno;
        if (ioctl(fd, PAGEMAP_SCAN, NULL) < 0 && errno != EFAULT)
                return errno == ENOTTY ? -EOPNOTSUPP : -errno;
        return 0;
}

/* The kernel answers -EINVAL to a feature that it does not know. USER_MODE_ONLY needs no right. */
static int probe_uffd_wp_async(void)
{
        struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
        _cleanup_(closep) int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

        if (fd < 0)
                return errno == ENOSYS || errno == EINVAL ? -EOPNOTSUPP : -errno;
        if (ioctl(fd, UFFDIO_API, &api) < 0)
                return errno == EINVAL ? -EOPNOTSUPP : -errno;
        return 0;
}

/* The options are judged before the target, and nobody can trace himself: -EINVAL says that the
 * option is unknown, -EPERM that only the target was wrong. */
static int probe_suspend_seccomp(void)
{
        if (ptrace(PTRACE_SEIZE, getpid(), NULL, PTRACE_O_SUSPEND_SECCOMP) < 0 && errno != EPERM)
                return errno == EINVAL ? -EOPNOTSUPP : -errno;
        return 0;
}

/* Only a cgroup of the unified hierarchy will do, which may stand beside that of version 1. */
static int unified_open(int sys_fd)
{
        int fd = openat(sys_fd, "fs/cgroup/unified", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd >= 0 ? fd : openat(sys_fd, "fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int probe_perf_cgroup(int sys_fd)
{
        struct perf_event_attr attributes = {
                .type = PERF_TYPE_SOFTWARE,
                .size = sizeof(attributes),
                .config = PERF_COUNT_SW_DUMMY,
                .disabled = 1,
        };
        _cleanup_(closep) int cgroup_fd = unified_open(sys_fd);
        _cleanup_(closep) int fd = -1;

        if (cgroup_fd < 0)
                return errno == ENOENT ? -EOPNOTSUPP : -errno;

        fd = (int)syscall(SYS_perf_event_open, &attributes, cgroup_fd, 0, -1,
                          PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC);
        if (fd >= 0)
                return 0;
        /* -EBADF: not a directory of the unified hierarchy, or this kernel has no perf cgroups. */
        return errno == EINVAL || errno == EBADF || errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

/* DAMON lists its actions nowhere. A scheme of our own is offered the action and taken away again,
 * unless there is a kdamond already: nr_kdamonds is global, and the others are not ours to drop. */
static int probe_damon_migrate(int sys_fd)
{
        uint64_t n_kdamonds;
        int r;

        r = attr_read_u64(sys_fd, DAMON_KDAMONDS "nr_kdamonds", &n_kdamonds);
        if (r < 0)
                return r == -ENOENT ? -EOPNOTSUPP : r;
        if (n_kdamonds > 0) /* ours is there where the kernel took the action */
                return damon_is_ours(sys_fd) ? 0 : -EBUSY;

        r = attr_write(sys_fd, DAMON_KDAMONDS "nr_kdamonds", "1");
        if (r < 0)
                return r;
        r = attr_write(sys_fd, DAMON_CONTEXTS "nr_contexts", "1");
        if (r >= 0)
                r = attr_write(sys_fd, DAMON_SCHEMES "nr_schemes", "1");
        if (r >= 0)
                r = attr_write(sys_fd, DAMON_SCHEMES "0/action", "migrate_cold");
        (void)attr_write(sys_fd, DAMON_KDAMONDS "nr_kdamonds", "0");

        return r == -EINVAL ? -EOPNOTSUPP : r;
}

int feature_probe(Feature feature, int sys_fd, int modules_fd)
{
        switch (feature) {
        case FEATURE_KMEM:
                return probe_kmem(sys_fd, modules_fd);
        case FEATURE_MEMORY_HOTPLUG:
                return path_probe(sys_fd, "devices/system/memory/auto_online_blocks");
        case FEATURE_PREFERRED_MANY:
                return probe_preferred_many();
        case FEATURE_CACHESTAT:
                return probe_cachestat();
        case FEATURE_PAGEMAP_SCAN:
                return probe_pagemap_scan();
        case FEATURE_UFFD_WP_ASYNC:
                return probe_uffd_wp_async();
        case FEATURE_SUSPEND_SECCOMP:
                return probe_suspend_seccomp();
        case FEATURE_PERF_CGROUP:
                return probe_perf_cgroup(sys_fd);
        case FEATURE_DAMON:
                return path_probe(sys_fd, "kernel/mm/damon/admin");
        case FEATURE_DAMON_MIGRATE:
                return probe_damon_migrate(sys_fd);
        }
        return -EINVAL;
}
