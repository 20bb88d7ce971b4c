#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,6.12,7.3 timeout=180
#
# Offline on request stays offline until asked; OfflineOnStop= takes it offline on stop, and without
# it stopping changes nothing. Only root may change anything.

cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/lib.sh
source ./lib.sh

# A reload looks at every device anew: when it is done, nothing more will be done.
settled() {
        systemctl reload daxtierd
        property State >/dev/null
}

service_start
if id nobody >/dev/null; then
        ! setpriv --reuid=nobody --clear-groups busctl call org.daxtier1 /org/daxtier1 \
                org.daxtier1.Manager Offline sb "$DEVICE" false 2>/tmp/error ||
                fail "nobody may take a device offline"
        grep -q 'Access denied' /tmp/error || fail "the refusal does not say why: $(cat /tmp/error)"
        setpriv --reuid=nobody --clear-groups busctl get-property org.daxtier1 /org/daxtier1 \
                org.daxtier1.Manager State >/dev/null || fail "nobody may not read the state"
fi

daxtier offline --dry-run "$DEVICE" >/dev/null
expect_equal "blocks after a dry run" "$(blocks_total)" "$(blocks_in online)"

daxtier offline "$DEVICE" >/dev/null
expect_equal "state" offline "$(device_state)"
expect_equal "driver" device_dax "$(driver)"
settled
expect_equal "state after a reload" offline "$(device_state)"
expect_equal "driver after a reload" device_dax "$(driver)"
! grep -q "^Nodes=.*$(node)" <(sed -n '/Tier cheap/,/Tier fast/p' "$TIERS") ||
        fail "the node is still published"

daxtier online "$DEVICE" >/dev/null
expect_equal "state when asked again" online "$(device_state)"

systemctl stop daxtierd
expect_equal "blocks after a plain stop" "$(blocks_total)" "$(blocks_in online)"
[[ -s $TIERS ]] || fail "the tiers are gone with the service, the nodes are not"

printf '[Device %s]\nOfflineOnStop=yes\n' "$DEVICE" >/etc/daxtierd/daxtierd.conf.d/90-test.conf
service_start
systemctl stop daxtierd
expect_equal "driver after a stop with OfflineOnStop=yes" device_dax "$(driver)"
expect_equal "how it stopped" success "$(systemctl show --value --property Result daxtierd)"
! grep -q "^Nodes=.*$(node)" <(sed -n '/Tier cheap/,/Tier fast/p' "$TIERS") ||
        fail "the node is still published after the stop"
