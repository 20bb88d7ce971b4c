#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.12 packages=gcc,jq,libc6-dev timeout=400
#
# Much of everything: threads, mappings, mappings a second, processes. All are placed, nobody is harmed,
# and the daemon answers meanwhile.

# shellcheck disable=SC2317 # item calls these functions
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/policy-lib.sh
source ./policy-lib.sh

# 64 threads write to all of the mapping while it gets its policy.
writers() {
        target_start a /daxtest/other "$TARGET" "$FILE"
        target_map a
        ask a "threads 64" started
        cgroup_make /daxtest/cheap/a
        cgroup_enter /daxtest/cheap/a "${PID[a]}"
        expect_listed a '.state != "skipped" and .state != "failed"'
        expect_policy a
        ends_cheap a
        ask a join joined
        echo "64 threads: ${REPLY#joined, }"
        ask a check ok
        target_end a
}

# with_policy PID…: how many mappings of FILE have the cheap node's.
with_policy() {
        local pid
        for pid; do
                cat "/proc/$pid/numa_maps" 2>/dev/null
        done | grep -cE "^[0-9a-f]+ (prefer|prefer=[a-z]+|prefer \(many\)):$CHEAP .*$FILE" || :
}

policies_are() {
        local wanted=$1
        shift
        [[ $(with_policy "$@") == "$wanted" ]]
}

mappings() {
        target_start a /daxtest/cheap/a "$TARGET" "$FILE"
        ask a "many 5000" mapped
        await 120 "5,000 mappings have the policy" policies_are 5000 "${PID[a]}"
        ask a "many write" written
        ask a "many check" ok
        expect_equal "copies on the cheap node" 5000 "$(grep " file=$FILE" "/proc/${PID[a]}/numa_maps" | grep -c "N$CHEAP=1 ")"
        expect_equal "mappings that daxtier lists as placed" 5000 "$(daxtier list --pid "${PID[a]}" --json |
                jq '[.mappings[] | select(.state == "placed")] | length')"
        target_end a
}

# Gone before anybody can do anything about them: nothing is harmed, and nothing piles up.
churn() {
        local pid before after
        target_start a /daxtest/cheap/a "$TARGET" "$FILE"
        target_start b /daxtest/cheap/a "$TARGET" "$FILE"
        tell a "churn 4000 1000"
        # Who maps once is placed all the same.
        target_place b
        daxtier status >/dev/null
        hear a churned
        echo "$REPLY"
        pid=$(main_pid)
        before=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")
        ask a "churn 4000 1000" churned
        after=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")
        ((after < before + 2048)) || fail "the daemon grew from $before to $after KiB"
        expect_equal "the daemon's process" "$pid" "$(main_pid)"
        target_place a
        target_end a
        target_end b
}

tree() {
        local pids
        target_start a /daxtest/cheap/a "$TARGET" "$FILE"
        target_place a
        ask a "tree 500" grown
        mapfile -t pids <"$CGROUPS/daxtest/cheap/a/cgroup.procs"
        expect_equal "processes" 501 "${#pids[@]}"
        # One that each inherited, one that each made.
        await 120 "1001 mappings have the policy" policies_are 1001 "${pids[@]}"
        expect_equal "processes listed as placed" 501 "$(daxtier list --cgroup /daxtest/cheap --json |
                jq '[.mappings[] | select(.state == "placed").pid] | unique | length')"
        ask a go felled
        ask a check ok
        target_end a
}

policy 50-cheap '/daxtest/cheap/**' Limits.MoveRate=1G
reconcile 2s
policies_start
item "64 threads that write" writers
item "5,000 mappings" mappings
item "1,000 mappings a second that come and go" churn
item "a tree of 500 processes" tree
policies_end
