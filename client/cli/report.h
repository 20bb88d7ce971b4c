/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/cli/host.h"
#include "client/cli/table.h"

/* Tables that more than one subcommand shows. The caller frees; NULL: out of memory. */
Table *report_devices(const Host *host);
Table *report_nodes(const Host *host);
