#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Returns when the daemon has published a node in tier $1. Its caller bounds the wait.
set -eu

# inotifywait's own "Watches established." is the first line to act on, so nothing slips in between.
while read -r _; do
    grep -A 1 "^\[Tier $1\]" /run/daxtierd/tiers 2>/dev/null | grep -q '^Nodes=.' && exit 0
done < <(exec inotifywait -m -e moved_to -e close_write /run/daxtierd 2>&1)
exit 1
