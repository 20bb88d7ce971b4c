# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the end-to-end tests share. They run as root in the lab's guest: a devdax device that
# /etc/daxtierd/daxtierd.conf.d/lab.conf names, the service installed and not running. Exit 0: the
# promise was kept; 77: cannot be tried here, and why; anything else: it was not.
#
# The first failure ends a test. One that says `go_on` reports them all, and ends with `exit "$failed"`.

set -euo pipefail

readonly LAB_CONF=/etc/daxtierd/daxtierd.conf.d/lab.conf
readonly AUTO_ONLINE=/sys/devices/system/memory/auto_online_blocks
# shellcheck disable=SC2034 # used by the tests
readonly TIERS=/run/daxtierd/tiers

DEVICE=$(sed -n 's/^\[Device \(.*\)\]$/\1/p' "$LAB_CONF")
readonly DEVICE
AUTO_ONLINE_FOUND=$(cat "$AUTO_ONLINE")
readonly AUTO_ONLINE_FOUND

failed=0
failure_ends=yes

go_on() {
        failure_ends=no
        set +e +o pipefail
}

fail() {
        echo "FAIL: $*" >&2
        # shellcheck disable=SC2034 # for who sources this
        failed=1
        [[ $failure_ends == yes ]] || return 0
        systemctl status --no-pager --lines=30 daxtierd >&2 || :
        exit 1
}

skip() {
        echo "SKIP: $*" >&2
        exit 77
}

# expect_equal WHAT EXPECTED ACTUAL
expect_equal() {
        [[ $2 == "$3" ]] || fail "$1: expected '$2', is '$3'"
}

# await SECONDS WHAT COMMAND…: until the command succeeds.
await() {
        local seconds=$1 what=$2 end=$((SECONDS + $1))
        shift 2
        until "$@"; do
                ((SECONDS < end)) || {
                        fail "$what: not within $seconds s"
                        return
                }
                sleep 0.1
        done
}

# expect CODE WORDS COMMAND…: COMMAND exits with CODE and says WORDS (a fixed string) somewhere.
expect() {
        local wanted=$1 words=$2 code=0 said
        shift 2
        said=$("$@" 2>&1 </dev/null) || code=$?
        if [[ $code != "$wanted" || $said != *"$words"* ]]; then
                fail "$*: wanted exit code $wanted and \"$words\", got $code and:"$'\n'"$said"
        else
                echo "ok: $*"
        fi
}

# expect_json FILTER COMMAND…: COMMAND's JSON makes the jq FILTER true.
expect_json() {
        local filter=$1 said
        shift
        said=$("$@" 2>/dev/null) || :
        if ! jq -e "$filter" <<<"$said" >/dev/null; then
                fail "$*: not so: $filter, but:"$'\n'"$said"
        else
                echo "ok: $*: $filter"
        fi
}

# property NAME: of the manager, as busctl prints it in JSON.
property() {
        busctl --json=short get-property org.daxtier1 /org/daxtier1 org.daxtier1.Manager "$1"
}

# device_state [NAME]: "online", "absent", …
device_state() {
        property Devices | python3 -c '
import json, sys
for device in json.load(sys.stdin)["data"]:
    if device["name"]["data"] == sys.argv[1]:
        print(device["state"]["data"])
' "${1:-$DEVICE}"
}

device_is() {
        [[ $(device_state "${2:-$DEVICE}" 2>/dev/null) == "$1" ]]
}

driver() {
        basename "$(readlink "/sys/bus/dax/devices/$DEVICE/driver")"
}

# blocks: the memory blocks wholly inside the device, "memory40" each on a line.
blocks() {
        local size start end index
        size=$((16#$(cat /sys/devices/system/memory/block_size_bytes)))
        start=$(($(cat "/sys/bus/dax/devices/$DEVICE/resource")))
        end=$((start + $(cat "/sys/bus/dax/devices/$DEVICE/size")))
        for ((index = (start + size - 1) / size; (index + 1) * size <= end; index++)); do
                echo "memory$index"
        done
}

# blocks_in STATE: how many of the device's blocks are in it.
blocks_in() {
        local block count=0
        for block in $(blocks); do
                [[ $(cat "/sys/devices/system/memory/$block/state" 2>/dev/null) != "$1" ]] ||
                        count=$((count + 1))
        done
        echo "$count"
}

# blocks_here: how many are not offline; while one is tried again it is "going-offline".
blocks_here() {
        echo $(($(blocks_total) - $(blocks_in offline)))
}

blocks_total() {
        blocks | wc -l
}

node() {
        cat "/sys/bus/dax/devices/$DEVICE/target_node"
}

service_start() {
        systemctl start daxtierd
        await 60 "the device goes online" device_is online
}

main_pid() {
        systemctl show --value --property MainPID daxtierd
}

# journal_count TEXT: how many messages of the service since the test began have it.
journal_count() {
        journalctl --quiet --sync
        journalctl --quiet --output cat --unit daxtierd --since "@$TEST_BEGAN" | grep -c -- "$1" || :
}
TEST_BEGAN=$(date +%s)
readonly TEST_BEGAN

# Leaves the guest as it was found: the service stopped, the device devdax, the policy untouched.
guest_restore() {
        local job
        for job in $(jobs -p); do
                kill "$job" 2>/dev/null || :
                wait "$job" 2>/dev/null || :
        done
        systemctl stop daxtierd || :
        systemctl reset-failed daxtierd 2>/dev/null || :
        rm -f /etc/daxtierd/daxtierd.conf.d/90-test*.conf
        if [[ -e /sys/bus/dax/devices/$DEVICE && $(driver) == kmem ]]; then
                daxtier offline "$DEVICE" >/dev/null || echo "cannot offline $DEVICE again" >&2
        fi
        echo "$AUTO_ONLINE_FOUND" >"$AUTO_ONLINE"
}
trap guest_restore EXIT
