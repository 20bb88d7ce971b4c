/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "client/cli/host.h"

typedef struct Check Check;
typedef struct Finding Finding;
typedef struct Findings Findings;
typedef struct Patient Patient;

typedef enum Verdict {
        VERDICT_OK,
        VERDICT_INFO,    /* good to know */
        VERDICT_UNKNOWN, /* cannot be told by this user, or now */
        VERDICT_WARN,    /* would hinder some uses */
        VERDICT_FAIL,    /* would stop us */
} Verdict;

/* What the checks look at: directories as descriptors, the rest as a snapshot, so that a test can
 * describe a machine. Owns nothing. */
struct Patient {
        int proc_fd;
        int sys_fd;
        int modules_fd;            /* /lib/modules/RELEASE; -1: none */
        const char *injector_path; /* its socket */
        const Host *host;
};

struct Finding {
        Verdict verdict;
        char *reason; /* a sentence: what, and why it matters */
        char *mend;   /* the command or edit that mends it; NULL: nothing to mend, or nothing can */
};

/* What one check found, in order. */
struct Findings {
        Finding *items;
        size_t n_items;
};

/* One thing that `daxtier doctor` looks at. */
struct Check {
        const char *id;
        /* Adds at least one finding, or fails (then the check's verdict is unknown). */
        int (*probe)(const Check *check, const Patient *patient, Findings *findings);
        int argument; /* of a probe that serves several checks */
};

/* Every check, in the order in which a person would mend things. */
extern const Check checks[];
extern const size_t n_checks;

/* By id; NULL: there is none. */
const Check *check_find(const char *id);

const char *verdict_name(Verdict verdict);

/* As asprintf(), but returns the fresh text; NULL: out of memory. */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* @text as one word of a shell command, quoted if need be: a stranger may have chosen the name that
 * an administrator pastes. The caller frees; NULL: no memory. */
char *text_quote(const char *text);

/* Adds a finding; -ENOMEM. @mend may be NULL and is copied. */
int findings_add(Findings *findings, Verdict verdict, const char *mend, const char *reason, ...)
        __attribute__((format(printf, 4, 5)));
void findings_deinit(Findings *findings);

/* The probes, by what they look at. */
int probe_devices(const Check *check, const Patient *patient, Findings *findings);
int probe_named(const Check *check, const Patient *patient, Findings *findings);
int probe_cheap(const Check *check, const Patient *patient, Findings *findings);
int probe_daemon(const Check *check, const Patient *patient, Findings *findings);
int probe_auto_online(const Check *check, const Patient *patient, Findings *findings);
int probe_mounts(const Check *check, const Patient *patient, Findings *findings);
int probe_numa_balancing(const Check *check, const Patient *patient, Findings *findings);
int probe_damon(const Check *check, const Patient *patient, Findings *findings);
int probe_overcommit(const Check *check, const Patient *patient, Findings *findings);
int probe_demotion(const Check *check, const Patient *patient, Findings *findings);
int probe_cpuset(const Check *check, const Patient *patient, Findings *findings);
int probe_cgroup2(const Check *check, const Patient *patient, Findings *findings);
int probe_injector(const Check *check, const Patient *patient, Findings *findings);
int probe_ptrace(const Check *check, const Patient *patient, Findings *findings);
int probe_cold(const Check *check, const Patient *patient, Findings *findings);
int probe_fast_max(const Check *check, const Patient *patient, Findings *findings);
int probe_relocation(const Check *check, const Patient *patient, Findings *findings);
int probe_lockdown(const Check *check, const Patient *patient, Findings *findings);
int probe_feature(const Check *check, const Patient *patient, Findings *findings);
