#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,6.12 packages=gcc,jq,libc6-dev timeout=300
#
# [Limits] FastMax=: the coldest of a cgroup's anonymous memory is demoted until what is left on the fast
# tier is at most that, and nobody else's is.

# shellcheck disable=SC2317 # item calls these functions
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/policy-lib.sh
source ./policy-lib.sh

readonly MIB=1048576
readonly DEMOTION=/sys/kernel/mm/numa/demotion_enabled

# anon_on NODE CGROUP: bytes.
anon_on() {
        awk -v node="N$1=" '$1 == "anon" { for (i = 2; i <= NF; i++)
                if (index($i, node) == 1) print substr($i, length(node) + 1) }' "$CGROUPS$2/memory.numa_stat"
}

# anon_start NAME CGROUP PAGES [PROGRAM]: a target that has written so much of its own.
anon_start() {
        target_start "$1" "$2" "${4:-$TARGET}" -
        ask "$1" "map $3" mapped
        ask "$1" write written
}

fast_is_below() {
        (($(anon_on 0 "$1") <= $2 * MIB * 105 / 100))
}

demotion_is() {
        [[ $(cat "$DEMOTION") == "$1" ]]
}

# usage_is CGROUP FILTER: what status has of it.
usage_is() {
        daxtier status --json | jq -e --arg cgroup "$1" \
                "[.cgroups[] | select(.cgroup == \$cgroup) | $2] == [true]" >/dev/null
}

# 256 MiB, of which 64 may stay.
settles() {
        local found neighbour fast cheap
        found=$(cat "$DEMOTION")
        anon_start other /daxtest/other 8192
        neighbour=$(anon_on 0 /daxtest/other)
        policy 60-fast /daxtest/fast Limits.FastMax=64M Limits.MoveRate=2G
        policies_reload
        anon_start a /daxtest/fast 65536
        await "$PATIENCE" "what is on the fast tier is below FastMax=" fast_is_below /daxtest/fast 64
        fast=$(anon_on 0 /daxtest/fast)
        cheap=$(anon_on "$CHEAP" /daxtest/fast)
        echo "$((fast / MIB)) MiB are on the fast tier, $((cheap / MIB)) on the cheap one"
        ((fast + cheap >= 256 * MIB)) || fail "something is missing: $fast and $cheap bytes"
        ((fast >= 48 * MIB)) || fail "far too much was demoted: $fast bytes are left"
        await "$PATIENCE" "status has what was demoted, and by what" usage_is /daxtest/fast \
                ".fast_max == $((64 * MIB)) and .fast_bytes <= $((68 * MIB)) and .cheap_bytes >= $((180 * MIB))
                and .cheap_max == null and .cold_after_usec == null and .engine == \"reclaim\" and .reason == null
                and .demoted_bytes >= $((128 * MIB)) and .promoted_bytes == 0"
        ask a check ok
        # What is accessed does not come back by itself, and nothing goes to and fro.
        fast_is_below /daxtest/fast 64 || fail "it has come back: $(anon_on 0 /daxtest/fast) bytes"
        expect_equal "OOM kills" "oom_kill 0" "$(grep '^oom_kill ' "$CGROUPS/daxtest/fast/memory.events")"
        expect_equal "what the neighbour has on the fast tier" "$neighbour" "$(anon_on 0 /daxtest/other)"
        ask other check ok
        await "$PATIENCE" "demotion is as it was found" demotion_is "$found"
        target_end a
        target_end other
        rm "$POLICIES/60-fast.conf"
}

# One that goes on allocating is held there.
grows() {
        local i
        policy 60-grow /daxtest/grow Limits.FastMax=32M Limits.MoveRate=2G
        policies_reload
        target_start a /daxtest/grow "$TARGET" -
        ask a "map 32768" mapped
        for ((i = 0; i < 4; i++)); do
                ask a "write $((i * 8192)) 8192" written
                await "$PATIENCE" "it is below FastMax= again" fast_is_below /daxtest/grow 32
        done
        ask a check ok
        target_end a
        rm "$POLICIES/60-grow.conf"
}

# In its cgroup is somebody for whom there is no policy: reclaim would not know them apart.
shared() {
        local own
        policy 60-shared /daxtest/shared Match.Exe="$TARGET" Limits.FastMax=8M Limits.MoveRate=2G
        policies_reload
        anon_start stranger /daxtest/shared 8192 "$TARGET_STATIC"
        own=$(anon_on 0 /daxtest/shared)
        anon_start a /daxtest/shared 8192
        # The same program in a cgroup of its own has its turn after that.
        policy 61-alone /daxtest/alone Limits.FastMax=8M Limits.MoveRate=2G
        policies_reload
        anon_start b /daxtest/alone 8192
        await "$PATIENCE" "the other cgroup is below FastMax=" fast_is_below /daxtest/alone 8
        await "$PATIENCE" "status says why not" usage_is /daxtest/shared '.reason | test("has no policy")'
        expect_equal "what of the shared cgroup is on the cheap tier" 0 "$(anon_on "$CHEAP" /daxtest/shared)"
        # Once the stranger has gone it is only its own.
        target_end stranger
        await "$PATIENCE" "the shared cgroup is below FastMax=" fast_is_below /daxtest/shared 8
        ask a check ok
        ask b check ok
        ((own > 0))
        target_end a
        target_end b
        rm "$POLICIES"/6[01]-*.conf
}

policies_start
item "FastMax= is kept, and nobody else pays" settles
item "FastMax= of one that grows" grows
item "a cgroup that is shared with others is left alone" shared
policies_end
