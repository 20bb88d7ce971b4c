/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "policy/mapping.h"
#include "policy/rule.h"
#include "policy/subject.h"

/* The first of @rules whose [Match] fits the process; NULL: none does. */
const Rule *policy_match(const Rule *rules, size_t n_rules, const Subject *subject);

/* Whether [Cow] is about this mapping: a private one of a file that File= names, and not code, of
 * which nothing is written. Its .kind must be known (mapped_inspect()). */
bool cow_match(const CowRule *cow, const Mapping *mapping);

/* Whether it could be, before one has looked which kind of file it is. */
bool cow_may_match(const CowRule *cow, const Mapping *mapping);

/* Whether [Anon] is about this mapping: private memory without a file, be it from brk() or mmap(), but
 * not the main thread's stack, nor what the kernel maps. The other threads' stacks are memory from
 * mmap() like any other. */
bool anon_match(const Mapping *mapping);

/* The main thread's stack. */
bool stack_match(const Mapping *mapping);

/* Cgroup=, level by level: * and ? stand for characters within one, a last ** for the level above it
 * and all below. A backslash is an ordinary character, as systemd escapes unit names with it. */
bool cgroup_match(const char *pattern, const char *cgroup);

/* Whether @pattern may match @cgroup or one below it: where a search has to descend. */
bool cgroup_may_match_below(const char *pattern, const char *cgroup);

/* The longest leading part of @pattern that is a fixed path; everything it matches is there or
 * below. "/" if there is none. The caller frees. */
int cgroup_prefix(const char *pattern, char **ret_prefix);
