#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.12 timeout=120
#
# At start a bad file stops the service and says where it is bad; on reload it leaves the old
# configuration in force. A device that is not there is awaited, not an error.

cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/lib.sh
source ./lib.sh

bad=/etc/daxtierd/daxtierd.conf.d/90-test.conf

status_has() {
        systemctl show --value --property StatusText daxtierd | grep -q -- "$1"
}

printf '[Device dax1.0]\nOnlin=yes\n' >"$bad"
! systemctl start daxtierd 2>/dev/null || fail "the service started with a bad file"
expect_equal "exit status" 78 "$(systemctl show --value --property ExecMainStatus daxtierd)"
expect_equal "restarts" 0 "$(systemctl show --value --property NRestarts daxtierd)"
expect_equal "driver" device_dax "$(driver)"
journalctl --quiet --output cat --unit daxtierd --since "@$TEST_BEGAN" |
        grep -q "90-test.conf:2: .*Onlin=.*Online=" || fail "the journal does not say where and what"

rm "$bad"
service_start
pid=$(main_pid)

printf '[Device dax1.0]\nZone=moveable\n' >"$bad"
systemctl reload daxtierd
await 60 "Status says what was refused" status_has '90-test.conf:2: '
expect_equal "main process after the refusal" "$pid" "$(main_pid)"
expect_equal "State" '{"type":"s","data":"degraded"}' "$(property State)"
expect_equal "the device" online "$(device_state)"
property Problems | grep -q '90-test.conf:2: ' || fail "no problem tells of it"
! busctl call org.daxtier1 /org/daxtier1 org.daxtier1.Manager Reload 2>/tmp/error ||
        fail "Reload() took a bad file"
grep -q '90-test.conf:2: ' /tmp/error || fail "Reload() does not say where: $(cat /tmp/error)"

printf '[Device dax9.9]\n' >"$bad"
systemctl reload daxtierd
await 60 "the absent device is awaited" device_is absent dax9.9
expect_equal "State" '{"type":"s","data":"waiting"}' "$(property State)"
property Problems | grep -q 'waiting for dax9.9: not present' || fail "no problem tells of dax9.9"
expect_equal "the device" online "$(device_state)"
expect_equal "main process" "$pid" "$(main_pid)"
