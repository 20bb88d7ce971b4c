#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,6.12,7.3 timeout=180
#
# The service is ready without the device, onlines it as soon as it comes, notices that it goes, and
# onlines it when it comes again.

cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/lib.sh
source ./lib.sh

namespace=$(ndctl list --namespaces --mode devdax | python3 -c '
import json, sys
print(next(n["dev"] for n in json.load(sys.stdin) if n.get("chardev") == sys.argv[1]))' "$DEVICE")
trap 'ndctl enable-namespace "$namespace" >/dev/null 2>&1 || :; guest_restore' EXIT

# No timer may help: only the device's own event.
printf '[Daemon]\nReconcileSec=1h\n' >/etc/daxtierd/daxtierd.conf.d/90-test.conf

unplug() {
        ndctl disable-namespace "$namespace" >/dev/null
        [[ ! -e /sys/bus/dax/devices/$DEVICE ]] || fail "the device did not go"
}

unplug
systemctl start daxtierd
expect_equal "state without the device" absent "$(device_state)"
expect_equal "State" '{"type":"s","data":"waiting"}' "$(property State)"

for round in first second; do
        ndctl enable-namespace "$namespace" >/dev/null
        await 60 "the device goes online when it comes the $round time" device_is online
        expect_equal "blocks online" "$(blocks_total)" "$(blocks_in online)"

        # Offline on request holds only until it is plugged again.
        daxtier offline "$DEVICE" >/dev/null
        unplug
        await 60 "it is noticed that the device has gone" device_is absent
done
ndctl enable-namespace "$namespace" >/dev/null
await 60 "online after all" device_is online
