#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# daxtier without the daemon: what it shows, what it does, what it refuses and with which exit code.
#
# lab: kernels=6.1,6.12,7.3 packages=jq,busybox-static timeout=300
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/lib.sh
source ./lib.sh
go_on

[[ $(systemctl is-active daxtierd) == inactive ]] || { echo "daxtierd is running"; exit 1; }
dax=$(daxtier devices --json | jq -r '[.devices[] | select(.mode == "devdax")][0].chardev')
[[ $dax == dax* ]] || { echo "no devdax device: $(daxtier devices)"; exit 1; }
device=".devices[] | select(.chardev == \"$dax\")"

daxtier devices
daxtier nodes

# What there is, with daxctl's own numbers
theirs=$(daxctl list -d "$dax" | jq -c 'if type == "array" then .[0] else . end | [.chardev, .size, .target_node, .align, .mode]')
expect_json "[$device | [.chardev, .size, .target_node, .align, .mode]] == [$theirs]" daxtier devices --json
expect_json "$device | .state == null and .online_memblocks == null" daxtier devices --json
expect_json '[.nodes[] | select(.cpu)] | length == 1' daxtier nodes --json
expect_json '.nodes[] | select(.cpu) | .tier == "fast" and .perf_source == "hmat"' daxtier nodes --json
expect 3 "systemctl start daxtierd" daxtier status
expect_json '.daemon.running == false and .daemon.state == null' daxtier status --json
expect_json '.tiers[] | select(.name == "cheap") | .nodes == null and .total_bytes == 0' daxtier status --json

# A dry run changes nothing
state() {
        readlink "/sys/bus/dax/devices/$dax/driver"
        cat /sys/devices/system/memory/auto_online_blocks /sys/devices/system/node/online
        daxctl list -d "$dax"
}
before=$(state)
expect 0 would daxtier online "$dax" --dry-run
expect_json '(.steps | length) > 0 and ([.steps[].result] | all(. == "would" or . == "already"))' daxtier online "$dax" --dry-run --json
[[ $before == "$(state)" ]] || fail "--dry-run changed something: $(state)"

# Bad input, and the unprivileged
expect 1 "This machine has $dax" daxtier online dax9.9
expect 1 "This machine has $dax" daxtier offline dax9.9
expect 4 "sudo" runuser -u nobody -- daxtier online "$dax"
expect 4 "sudo" runuser -u nobody -- daxtier offline "$dax"
expect 4 "sudo" runuser -u nobody -- daxtier query 1
exec {held}<>"/dev/$dax"
expect 2 "in use" daxtier online "$dax"
exec {held}<&-
expect 2 "no NUMA node" daxtier run -- true
expect 2 "cheap-tier" daxtier doctor

# Online: every block movable, and the kernel's own policy as it was
policy=$(cat /sys/devices/system/memory/auto_online_blocks)
daxtier online "$dax" || fail "online: exit code $?"
[[ $policy == "$(cat /sys/devices/system/memory/auto_online_blocks)" ]] || fail "auto_online_blocks changed"
expect_json "$device | .mode == \"system-ram\" and .movable and .total_memblocks > 0 and .online_memblocks == .total_memblocks" daxtier devices --json
node=$(daxtier devices --json | jq "$device.target_node")
expect_json ".nodes[] | select(.node == $node) | .tier == \"cheap\" and .dax and (.cpu | not) and .total_bytes > 0" daxtier nodes --json
# What the kernel tells of the node. A node that was away once in this boot comes back without.
latency=$(cat "/sys/devices/system/node/node$node/access1/initiators/read_latency" 2>/dev/null || echo null)
expect_json ".nodes[] | select(.node == $node) | .read_latency_ns == $latency" daxtier nodes --json
expect_json ".tiers[] | select(.name == \"cheap\") | .nodes == \"$node\" and .total_bytes > 0" daxtier status --json
expect_json '[.steps[].result] | all(. == "already" or . == "done")' daxtier online "$dax" --json
expect 0 "" daxtier doctor

# A program, and what query says of it
head -c 8M /dev/urandom >/mnt/pmem/numbers
program='
import ctypes, mmap, os, sys
map = mmap.mmap(os.open("/mnt/pmem/numbers", os.O_RDWR), 0, flags=mmap.MAP_PRIVATE)
for page in range(0, 4 << 20, 4096):
    map[page] = 1
print(os.getpid(), ctypes.addressof(ctypes.c_char.from_buffer(map)), flush=True)
sys.stdin.read()'
coproc RUN { exec daxtier run -- python3 -c "$program"; }
read -r pid address <&"${RUN[0]}" || fail "daxtier run failed"
expect_json ".kind == \"dax\" and (.shared | not) and .cow_bytes == 4194304 and .cow_cheap_bytes == 4194304 and
        .cow_fast_bytes == 0 and .page_cache_bytes == 0 and .policy_node == $node and .end - .start == 8388608" \
        daxtier query "$pid" "$address" --json
expect_json '[.mappings[] | select(.file == "/mnt/pmem/numbers").cow_cheap_bytes] == [4194304]' daxtier query "$pid" --json
expect_json '([.mappings[] | select(.kind == "anon")] | length) > 0' daxtier query "$pid" --json --all
expect 0 /mnt/pmem/numbers daxtier query "$pid"
eval "exec ${RUN[1]}>&-"
wait "$RUN_PID" || fail "the program failed"

expect 2 "statically linked" daxtier run -- /bin/busybox true
expect 2 "set-uid" runuser -u nobody -- daxtier run -- passwd --help
expect 0 "" daxtier run -- passwd --help
expect 127 nosuchprogram daxtier run -- nosuchprogram
rm /mnt/pmem/numbers

# Offline again
expect 0 would daxtier offline "$dax" --dry-run
expect_json "$device | .mode == \"system-ram\"" daxtier devices --json
expect 0 "done" daxtier offline "$dax"
expect_json "$device | .mode == \"devdax\"" daxtier devices --json
expect 0 "done" daxtier online "$dax" --zone=normal
expect_json "$device | .mode == \"system-ram\" and (.movable | not)" daxtier devices --json

exit "$failed"
