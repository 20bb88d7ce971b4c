/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "policy/tier.h"

/* Where the daemon publishes its tiers for libdaxtier: INI, world-readable.
 *
 *      [Tier cheap]
 *      Nodes=2                         a list as in /sys; several lines add up; empty: no node
 *      ReadLatencyNs=350               of the tier's first node, from the HMAT; absent: unknown
 *      WriteLatencyNs=350
 *      ReadBandwidthMib=10240
 *      WriteBandwidthMib=10240
 *      [Tier fast]
 *      …
 */
#define PUBLISHED_PATH "/run/daxtierd/tiers"

/* The file's text, which the caller frees. @cheap and @fast are the numbers of each tier's first
 * node; NULL: the tier has none. */
int tiers_format(const Tiers *tiers, const NodePerf *cheap, const NodePerf *fast, char **ret_text);

/* The reverse, less the numbers. What is not known is passed over: the daemon may be newer than the
 * library. -EBADMSG: not such a file, or a node is in both tiers. */
int tiers_parse(const char *text, Tiers *ret_tiers);
