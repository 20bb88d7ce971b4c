#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,6.12,7.3 timeout=300 fresh=yes
#
# Starting the service makes the named device a movable NUMA node, whatever the kernel's policy for
# new memory is, puts that policy back, and publishes the tiers with the firmware's numbers.
#
# In a fresh guest: the kernel shows a node's HMAT numbers only until its memory goes offline for the
# first time.

cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/lib.sh
source ./lib.sh

service_start
expect_equal "the cheap tier" "Nodes=$(node)" "$(sed -n '/^\[Tier cheap\]/,/^\[/s/^Nodes=/&/p' "$TIERS")"
expect_equal "mode of $TIERS" 644 "$(stat -c %a "$TIERS")"
expect_equal "State" '{"type":"s","data":"running"}' "$(property State)"
systemctl status daxtierd | grep "Status: \"$DEVICE online on node $(node)" >/dev/null ||
        fail "systemctl does not say that it is online"
hmat=/sys/devices/system/node/node$(node)/access1/initiators/read_latency
hmat_seen=no
if [[ -e $hmat ]]; then
        hmat_seen=yes
        grep -qx "ReadLatencyNs=$(cat "$hmat")" "$TIERS" || fail "no HMAT latency in $TIERS"
fi
daxtier offline "$DEVICE" >/dev/null
systemctl stop daxtierd

for policy in offline online online_kernel online_movable; do
        echo "$policy" >"$AUTO_ONLINE"
        service_start
        expect_equal "blocks online under auto_online_blocks=$policy" \
                "$(blocks_total)" "$(blocks_in online)"
        for block in $(blocks); do
                expect_equal "zone of $block under $policy" Movable \
                        "$(cat "/sys/devices/system/memory/$block/valid_zones")"
                [[ -e /sys/devices/system/memory/$block/node$(node) ]] ||
                        fail "$block is not on node $(node)"
        done
        expect_equal "the kernel's policy afterwards" "$policy" "$(cat "$AUTO_ONLINE")"
        [[ ! -e /run/daxtierd/auto-online ]] || fail "the state file was left behind"

        daxtier offline "$DEVICE" >/dev/null
        expect_equal "driver after offline" device_dax "$(driver)"
        systemctl stop daxtierd
done

[[ $hmat_seen == yes ]] || skip "all else was tried, but HMAT does not describe node $(node) here"
