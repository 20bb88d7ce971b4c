/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/cli/daemonpolicy.h"
#include "client/cli/json.h"

/* A policy's settings, for people: as one would write them in its file, "[Cow] Tier=fast Strict=yes
 * [Limits] CheapMax=1G", less what is the default, and less the cgroup. "": nothing. The caller
 * frees. -ENOMEM. */
int settings_format(const DaemonPolicy *policy, char **ret_text);

/* And for programs: adds "match", "cow", "anon" and "limits" to @object, each an object with every
 * key; sizes and times are numbers, what is unset is null. -ENOMEM. */
int settings_json(const DaemonPolicy *policy, struct json_object *object);
