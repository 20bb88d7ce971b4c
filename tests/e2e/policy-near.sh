#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.12 packages=gcc,jq,libc6-dev sockets=2 timeout=300
#
# Two sockets, each with a cheap node of its own: a program that is bound to the processors of one has
# its copies there, another where it runs; who names nodes has these.

# shellcheck disable=SC2317 # item calls these functions
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/policy-lib.sh
source ./policy-lib.sh

readonly NODES=/sys/devices/system/node

# The second socket's NVDIMM is brought up as the lab brings up the first one's.
second_device() {
        local chardev=/sys/bus/dax/devices/dax2.0
        [[ -e $chardev ]] || ndctl create-namespace -f -e namespace2.0 -m devdax >/dev/null
        await 60 "the second device is there" test -c /dev/dax2.0
        printf '[Device dax2.0]\nOnline=yes\n' >/etc/daxtierd/daxtierd.conf.d/90-test-second.conf
}

# cpu_of NODE: one of its processors, or of those of its initiator.
cpu_of() {
        local node=$1
        [[ $(<"$NODES/node$node/cpulist") ]] ||
                node=$(basename "$(echo "$NODES/node$node/access1/initiators"/node*)" | tr -dc 0-9)
        cut -d, -f1 "$NODES/node$node/cpulist" | cut -d- -f1
}

# bound NODE: a program on the processors next to that cheap node.
bound() {
        CHEAP=$1
        target_start a /daxtest/near/a taskset -c "$(cpu_of "$CHEAP")" "$TARGET" "$FILE"
        target_place a
        expect_listed a '.state == "placed"'
        target_end a
}

bound_to_first() {
        bound "$FIRST"
}

bound_to_second() {
        bound "$SECOND"
}

# Its policy has both, and where its copies are is the kernel's choice: on none of the fast nodes.
anywhere() {
        # As the kernel writes a list.
        CHEAP=$FIRST,$SECOND
        ((SECOND != FIRST + 1)) || CHEAP=$FIRST-$SECOND
        target_start a /daxtest/near/a "$TARGET" "$FILE"
        target_map a
        expect_policy a
        ask a write written
        expect_listed a '.state == "placed" and .cow_cheap_bytes == .cow_bytes and .cow_bytes > 0'
        target_end a
}

# The other socket's, because the policy says so.
explicit_list() {
        policy 60-list "/daxtest/list/**" "Cow.Tier=node:$SECOND"
        policies_reload
        CHEAP=$SECOND
        target_start a /daxtest/list/a taskset -c "$(cpu_of "$FIRST")" "$TARGET" "$FILE"
        target_place a
        target_end a
        rm "$POLICIES/60-list.conf"
        policies_reload
}

# What was made before the policy moves there, too.
existing() {
        target_start a /daxtest/later/a taskset -c "$(cpu_of "$SECOND")" "$TARGET" "$FILE"
        target_map a
        ask a write written
        policy 60-later "/daxtest/later/**"
        policies_reload
        CHEAP=$SECOND
        ends_cheap a
        ask a check ok
        target_end a
        rm "$POLICIES/60-later.conf"
        policies_reload
}

near_restore() {
        policies_restore
        daxtier offline dax2.0 >/dev/null || echo "cannot offline dax2.0 again" >&2
}
trap near_restore EXIT

[[ -e /sys/bus/nd/devices/region2 ]] || skip "a machine of two sockets is needed (--sockets 2)"

second_device
policy 50-near "/daxtest/near/**"
targets_build
"$TARGET" make "$FILE" "$PAGES"
echo "+memory +cpuset" >"$CGROUPS/cgroup.subtree_control"
cgroup_make /daxtest
service_start
await 60 "the second device goes online" device_is online dax2.0
FIRST=$(node)
SECOND=$(</sys/bus/dax/devices/dax2.0/target_node)
readonly FIRST SECOND

item "bound to the first socket" bound_to_first
item "bound to the second socket" bound_to_second
item "bound to none" anywhere
item "nodes that are named" explicit_list
item "copies from before" existing
policies_end
