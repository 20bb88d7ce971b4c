#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# daxtier with the daemon: what it tells of it, and online and offline as the daemon's work.
#
# lab: kernels=6.1,6.12,7.3 packages=jq timeout=300
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/lib.sh
source ./lib.sh
go_on

dax=$(daxtier devices --json | jq -r '[.devices[] | select(.mode == "devdax")][0].chardev')
device=".devices[] | select(.chardev == \"$dax\")"

systemctl start daxtierd || { systemctl status daxtierd; exit 1; }
# shellcheck disable=SC2317 # await calls it
is_online() {
        daxtier devices --json | jq -e "$device.state == \"online\"" >/dev/null
}
await 60 "the device goes online" is_online

daxtier status
expect 0 "daxtierd " daxtier status
expect_json '.daemon.running and .daemon.state == "running" and (.daemon.status | length) > 0 and .problems == []' daxtier status --json
expect_json "$device | .mode == \"system-ram\" and .movable and .online_memblocks == .total_memblocks and (.state | length) > 0" daxtier devices --json
node=$(daxtier devices --json | jq "$device.target_node")
expect_json ".tiers[] | select(.name == \"cheap\") | .nodes == \"$node\" and .total_bytes > 0" daxtier status --json
expect_json '[.checks[] | select(.check == "daemon" or .check == "named-device" or .check == "cheap-tier").verdict] | all(. == "ok")' daxtier doctor --json
expect_json '[.steps[].result] | length > 0 and all(. == "already" or . == "done")' daxtier online "$dax" --json
runuser -u nobody -- daxtier status >/dev/null || fail "status is for everybody"

# Bad input
expect 1 "This machine has $dax" daxtier online dax9.9
expect 1 "This machine has $dax" daxtier offline dax9.9
expect 1 "" daxtier online nonsense
expect 1 "Zone=" daxtier online "$dax" --zone=normal
expect 4 "sudo" runuser -u nobody -- daxtier offline "$dax"
expect_json "$device | .mode == \"system-ram\"" daxtier devices --json

# Offline and online again
expect 0 would daxtier offline "$dax" --dry-run
expect_json "$device | .mode == \"system-ram\"" daxtier devices --json
expect 0 "done" daxtier offline "$dax"
expect_json "$device | .mode == \"devdax\"" daxtier devices --json
expect 0 would daxtier online "$dax" --dry-run
expect_json "$device | .mode == \"devdax\"" daxtier devices --json
expect 0 "done" daxtier online "$dax"
expect_json "$device | .mode == \"system-ram\" and .movable" daxtier devices --json

# Somebody has the device open: refused, and the daemon tries again by itself.
expect 0 "done" daxtier offline "$dax"
exec {held}<>"/dev/$dax"
expect 2 "in use" daxtier online "$dax"
expect_json "$device | .mode == \"devdax\"" daxtier devices --json
exec {held}<&-
await 120 "the device goes online by itself" is_online

# A configuration that names nothing that is here
mkdir -p /etc/daxtierd/daxtierd.conf.d
printf '[Device dax7.7]\nOnline=yes\n' >/etc/daxtierd/daxtierd.conf.d/absent.conf
expect 0 "right" daxtier policy check
expect 4 "sudo" runuser -u nobody -- daxtier policy reload
expect_json '[.devices[] | select(.chardev == "dax7.7")] == []' daxtier devices --json
expect 0 "in force" daxtier policy reload
expect_json '[.devices[] | select(.chardev == "dax7.7") | .mode == null and (.state | length) > 0] == [true]' daxtier devices --json
expect_json '.problems | length > 0 and all((.problem | length) > 0 and (.mend | length) > 0)' daxtier status --json
printf '[Devise dax7.7]\nOnline=yes\n' >/etc/daxtierd/daxtierd.conf.d/absent.conf
expect 1 "absent.conf:1: " daxtier policy check
expect 1 "absent.conf:1: " daxtier policy reload
expect_json '[.devices[] | select(.chardev == "dax7.7")] | length == 1' daxtier devices --json
rm /etc/daxtierd/daxtierd.conf.d/absent.conf

# Gone
systemctl stop daxtierd
expect 3 "systemctl start daxtierd" daxtier status
expect 3 "systemctl start daxtierd" daxtier policy reload
expect_json "$device | .state == null" daxtier devices --json

exit "$failed"
