/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One look at one process: who it is, which policy is for it, of the mappings that the policy is about
 * where their copies are, where its anonymous memory is, and which memory policy its threads have. What
 * comes after works on this snapshot alone. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/mapping.h"
#include "policy/plan.h"
#include "policy/rule.h"
#include "policy/subject.h"
#include "policy/tier.h"

typedef struct Scan Scan;
typedef struct ScanAnon ScanAnon;
typedef struct ScanMapping ScanMapping;
typedef struct ScanThread ScanThread;
typedef struct Scanner Scanner;

/* What else to look at. Threads cost a read each. */
typedef enum ScanFlags {
        SCAN_THREADS = 1 << 0, /* its threads, if the policy says where their memory belongs */
        SCAN_THREADS_ALWAYS = 1 << 1, /* even if no policy is for it any more */
        SCAN_MAIN_THREAD = 1 << 2,    /* of them only the first */
} ScanFlags;

/* Threads that one look reads the policies of: 10 to 50 us each, and more where much memory is mapped
 * below the program. */
#define SCAN_THREADS_MAX ((size_t)512)

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

/* The anonymous memory of a process, all of anon_match(). What has a policy of its own, which is
 * neither the policy's nor its thread's, is where it wants to be. Bytes, none in swap. */
struct ScanAnon {
        uint64_t bytes;
        uint64_t cheap_bytes;
        uint64_t fast_bytes;
        uint64_t wanted_bytes;
        /* The stack of the main thread, which is none of it, if the policy says where memory belongs;
         * with the policy that it shows, its thread's if it has none of its own. */
        uint64_t stack_start;
        uint64_t stack_end; /* 0: it was not looked at */
        VmaPolicy stack_policy;
        NodeSet stack_nodes;
};

/* A thread, and what new memory of it goes by. */
struct ScanThread {
        pid_t tid;
        VmaPolicy policy;
        NodeSet nodes;
};

struct Scan {
        Subject subject;
        const Rule *rule; /* NULL: no policy is for it, and no memory was looked at */
        Intent intent;
        Intent anon_intent;
        ScanMapping *mappings; /* by address */
        size_t n_mappings;
        ScanAnon anon; /* all 0 unless rule_concerns_anon() */
        ScanThread *threads;
        size_t n_threads;
        bool has_threads;   /* all were looked at, as SCAN_THREADS says; */
        pid_t threads_next; /* and there are more, after this one; 0: there are not */
};

/* @flags: ScanFlags. @threads_after: of its threads those beyond, by number, SCAN_THREADS_MAX of them.
 * -ESRCH: it has ended, or is a kernel thread. Others: it cannot be looked at now. */
int scan_process(Scanner *scanner, pid_t pid, unsigned flags, pid_t threads_after, Scan *ret_scan);
void scan_deinit(Scan *scan);

/* Whether a private mapping of a file on this device can be of interest to the rule: what a record of
 * a new mapping tells before one looks at the process. */
bool scanner_may_concern(Scanner *scanner, const Rule *rule, uint32_t dev_major,
                         uint32_t dev_minor);

/* Forgets what may have changed with the machine: devices. */
void scanner_forget(Scanner *scanner);
