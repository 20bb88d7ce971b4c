/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One look at one process: who it is, which policy is for it, and of the mappings that the policy is
 * about where their copies are. What comes after works on this snapshot alone. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/mapping.h"
#include "policy/plan.h"
#include "policy/rule.h"
#include "policy/subject.h"
#include "policy/tier.h"

typedef struct Scan Scan;
typedef struct ScanMapping ScanMapping;
typedef struct Scanner Scanner;

/* Devices that a scanner remembers. */
#define SCANNER_DEVICES_MAX 64u

/* Where to look and what for. */
struct Scanner {
        int proc_fd;
        int sys_fd;
        int cgroup_fd;
        const Rule *rules; /* in the order in which they are tried */
        size_t n_rules;
        const Tiers *tiers;

        /* Which devices can have DAX files at all. */
        struct {
                uint32_t major, minor;
                bool may_be_dax;
        } devices[SCANNER_DEVICES_MAX];
        size_t n_devices;
};

/* A mapping that the policy is about. Bytes are those that numa_maps shows: none in swap. */
struct ScanMapping {
        Mapping mapping;
        uint64_t cow_bytes;
        uint64_t cheap_bytes;
        uint64_t fast_bytes;
        uint64_t wanted_bytes; /* where the policy wants them */
};

struct Scan {
        Subject subject;
        const Rule *rule; /* NULL: no policy is for it, and nothing else was looked at */
        Intent intent;
        ScanMapping *mappings; /* by address */
        size_t n_mappings;
};

/* -ESRCH: it has ended, or is a kernel thread. Others: it cannot be looked at now. */
int scan_process(Scanner *scanner, pid_t pid, Scan *ret_scan);
void scan_deinit(Scan *scan);

/* Whether a private mapping of a file on this device can be of interest to the rule: what a record of
 * a new mapping tells before one looks at the process. */
bool scanner_may_concern(Scanner *scanner, const Rule *rule, uint32_t dev_major,
                         uint32_t dev_minor);

/* Forgets what may have changed with the machine: devices. */
void scanner_forget(Scanner *scanner);
