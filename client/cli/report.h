/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/cli/daemonlist.h"
#include "client/cli/exitcode.h"
#include "client/cli/host.h"
#include "client/cli/table.h"

/* Tables that more than one subcommand shows. The caller frees; NULL: out of memory. */
Table *report_devices(const Host *host);
Table *report_nodes(const Host *host);

/* All that is under policy, and the anonymous memory of that: one row each, or none where there is no
 * such memory, or the daemon does not count it. */
Table *report_totals(const Host *host);
Table *report_anon(const Host *host);

/* The cgroups with limits or a ColdAfter=, a row each, for a terminal of @width. Errors of
 * daemon_usage(). */
Table *report_usage_new(size_t width);
int report_usage_fill(sd_bus *bus, Table *table);

/* What subcommands show of the daemon behind @bus, or say of why they cannot. */
ExitCode list_show(sd_bus *bus, const DaemonFilter *filter, bool json, bool bytes);
ExitCode policy_show(sd_bus *bus, const char *cgroup, bool json); /* NULL: all of them */
ExitCode policy_reload(sd_bus *bus);
ExitCode metrics_show(sd_bus *bus);

/* Says that no policy is in force, and what to do about it. */
void policy_none_explain(void);
