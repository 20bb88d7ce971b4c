/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the running kernel can do, each found out by trying: never from its version. Trying changes
 * nothing that outlives the call. */
typedef enum Feature {
        FEATURE_KMEM,            /* dax devices as system RAM */
        FEATURE_MEMORY_HOTPLUG,  /* memory blocks that go on- and offline */
        FEATURE_PREFERRED_MANY,  /* a policy that prefers several nodes (5.15) */
        FEATURE_CACHESTAT,       /* page-cache bytes of a file (6.5) */
        FEATURE_PAGEMAP_SCAN,    /* lists of written pages (6.7) */
        FEATURE_UFFD_WP_ASYNC,   /* write tracking of private DAX mappings (6.7) */
        FEATURE_SUSPEND_SECCOMP, /* system calls in targets that are under seccomp */
        FEATURE_PERF_CGROUP,     /* mapping events of a cgroup */
        FEATURE_DAMON,           /* DAMON's sysfs */
        FEATURE_DAMON_MIGRATE,   /* DAMON moves pages between nodes (6.11) */
} Feature;

/* 0: it is there. -EOPNOTSUPP: it is not. -EPERM, -EACCES: only root can tell. -EBUSY: it cannot be
 * tried while somebody else uses it.
 * @sys_fd is an open /sys; @modules_fd an open /lib/modules/RELEASE, or -1 where there is none: a
 * driver that is not loaded yet counts as there. */
int feature_probe(Feature feature, int sys_fd, int modules_fd);
