/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One cgroup whose records are wanted, be it there or not: hears of it as soon as it is made, and
 * again if it is removed and made anew. */

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "daemon/rings.h"

typedef struct Prefix Prefix;

/* The cgroup was found, or one of the same name in its place, and is heard from now on; @error is 0.
 * Else what makes that impossible for now, told once. From the event loop, or from prefix_look(). */
typedef void (*prefix_fn)(Prefix *prefix, int error, void *userdata);

/* Whether this is a path that can be waited for: absolute, without empty, "." and ".." parts, no slash
 * at its end unless it is "/". */
bool prefix_is_valid(const char *path);

/* Whether the cgroup @path is @above or below it. */
bool prefix_covers(const char *above, const char *path);

/* -EINVAL: not a valid path. Look then. @rings and @cgroup_root_fd must outlive it. */
int prefix_new(sd_event *event, Rings *rings, int cgroup_root_fd, const char *path, prefix_fn fn,
               void *userdata, Prefix **ret_prefix);
void prefix_free(Prefix *prefix);
void prefix_freep(Prefix **prefix);

const char *prefix_path(const Prefix *prefix);

/* Compares the tree with what is heard. That there is no such cgroup is no error. */
int prefix_look(Prefix *prefix);
