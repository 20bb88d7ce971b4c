/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/check.h"

#include <errno.h>

#include "daemon/kernel/feature.h"
#include "policy/macro.h"

typedef struct FeatureRow {
        const char *what;
        const char *without; /* what does not work without it */
        Verdict verdict;     /* of its absence */
        const char *mend;
} FeatureRow;

#define NEWER "boot a newer kernel, as that of Debian 13 or of backports"

static const FeatureRow rows[] = {
        [FEATURE_KMEM] = {
                "dax devices as system RAM (kmem)",
                "a dax device cannot become a NUMA node",
                VERDICT_FAIL,
                "boot a kernel with CONFIG_DEV_DAX_KMEM, as Debian's linux-image-amd64",
        },
        [FEATURE_MEMORY_HOTPLUG] = {
                "memory hotplug",
                "memory cannot go online or offline",
                VERDICT_FAIL,
                "boot a kernel with CONFIG_MEMORY_HOTPLUG, as Debian's linux-image-amd64",
        },
        [FEATURE_PREFERRED_MANY] = {
                "a memory policy that prefers several nodes",
                "a tier of several nodes is only preferred by its first one",
                VERDICT_WARN,
                NEWER,
        },
        [FEATURE_CACHESTAT] = {
                "cachestat()",
                "page-cache bytes are counted by mincore(), which is slower",
                VERDICT_INFO,
                NEWER,
        },
        [FEATURE_PAGEMAP_SCAN] = {
                "PAGEMAP_SCAN",
                "writes to mappings cannot be tracked",
                VERDICT_INFO,
                NEWER,
        },
        [FEATURE_UFFD_WP_ASYNC] = {
                "userfaultfd's WP_ASYNC",
                "writes to mappings cannot be tracked",
                VERDICT_INFO,
                NEWER,
        },
        [FEATURE_SUSPEND_SECCOMP] = {
                "suspending a target's seccomp filter",
                "containers under seccomp cannot be given a policy from outside",
                VERDICT_WARN,
                "boot a kernel with CONFIG_CHECKPOINT_RESTORE, as Debian's linux-image-amd64",
        },
        [FEATURE_PERF_CGROUP] = {
                "perf events of a cgroup",
                "new mappings are only found by looking for them, late",
                VERDICT_WARN,
                "boot a kernel with CONFIG_CGROUP_PERF, and with cgroup v2 on /sys/fs/cgroup",
        },
        [FEATURE_DAMON] = {
                "DAMON's sysfs",
                "ColdAfter= and copies made before a policy are served by reclaim, coarsely",
                VERDICT_WARN,
                "boot a kernel with CONFIG_DAMON_SYSFS, as that of Debian 13 or of backports",
        },
        [FEATURE_DAMON_MIGRATE] = {
                "DAMON's migrate_cold",
                "ColdAfter= and copies made before a policy are served by reclaim, coarsely",
                VERDICT_WARN,
                NEWER,
        },
};

int probe_feature(const Check *check, const Patient *patient, Findings *findings)
{
        const FeatureRow *row = &rows[check->argument];
        int r = feature_probe((Feature)check->argument, patient->sys_fd, patient->modules_fd);

        switch (r) {
        case 0:
                return findings_add(findings, VERDICT_OK, NULL, "the kernel has %s", row->what);
        case -EOPNOTSUPP:
                return findings_add(findings, row->verdict, row->mend, "the kernel lacks %s: %s",
                                    row->what, row->without);
        case -EPERM:
        case -EACCES:
                return findings_add(findings, VERDICT_UNKNOWN, "sudo daxtier doctor",
                                    "only root can tell whether the kernel has %s", row->what);
        case -EBUSY:
                return findings_add(findings, VERDICT_UNKNOWN, NULL,
                                    "cannot be tried while somebody else uses it: %s", row->what);
        default:
                return r;
        }
}
