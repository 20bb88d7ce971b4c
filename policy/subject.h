/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <stdlib.h>

typedef struct Subject Subject;

/* A process, as a policy's [Match] sees it. With the start time the pid names it for ever. */
struct Subject {
        int32_t pid;
        uint32_t uid;        /* the effective user */
        uint64_t start_time; /* clock ticks since boot */
        char comm[64];
        char *cgroup; /* from the root of cgroup2: "/machine.slice/vm1.scope" */
        char *exe;    /* the executable's path; NULL: not known (a kernel thread has none) */
};

static inline void subject_deinit(Subject *subject)
{
        free(subject->cgroup);
        free(subject->exe);
        *subject = (Subject){};
}
