#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.12 packages=gcc,jq,libc6-dev timeout=300
#
# The mover by itself, on anonymous memory between two real nodes: under writers, small pages and huge
# ones, and with pages that are pinned.

# shellcheck disable=SC2317 # item calls these functions
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/policy-lib.sh
source ./policy-lib.sh

readonly DRIVE=/usr/local/lib/daxtierd-unit/mover-drive
readonly HUGE=/sys/kernel/mm/transparent_hugepage/enabled

# drive ARGUMENT…: sets the array SAID to what mover-drive prints.
drive() {
        local line word
        line=$("$DRIVE" "$@") || fail "mover-drive $*"
        echo "$line"
        declare -gA SAID=([reason]=${line##*reason=})
        for word in ${line%%reason=*}; do
                SAID[${word%%=*}]=${word#*=}
        done
}

# anonymous NAME: pages of its anonymous memory, and those of them on the cheap node.
anonymous() {
        awk -v node="N$CHEAP" '/ (file|stack)/ { next }
                { for (i = 2; i <= NF; i++) { split($i, field, "="); sum[field[1]] += field[2] } }
                END { printf "%d %d\n", sum["anon"], sum[node] }' "/proc/${PID[$1]}/numa_maps"
}

huge_kib() {
        awk '/^AnonHugePages/ { print $2 }' "/proc/${PID[$1]}/smaps_rollup"
}

huge_pages() {
        echo "$1" >"$HUGE"
}

# The writers go on while it moves there and back; nothing they wrote is lost.
under_writers() {
        local all cheap
        huge_pages never
        target_start a /daxtest/writers "$TARGET" -
        target_map a "map 4096"
        ask a write written
        ask a "threads 2" started
        drive move "${PID[a]}" "$CHEAP" max 100000000
        expect_equal "the error of the move" 0 "${SAID[error]}"
        ((SAID[moved] >= 16 << 20)) || fail "only ${SAID[moved]} bytes were moved"
        expect_equal "bytes that are left" 0 "${SAID[left]}"
        read -r all cheap < <(anonymous a)
        ((cheap >= 4096)) || fail "only $cheap of $all pages are on the cheap node"
        drive move "${PID[a]}" 0 max 100000000
        read -r all cheap < <(anonymous a)
        ((cheap < 64)) || fail "$cheap of $all pages are still on the cheap node"
        ask a join joined
        ask a check ok
        target_end a
}

# They stay whole, and count as what they are.
huge_ones() {
        local huge all cheap
        huge_pages always
        target_start a /daxtest/huge "$TARGET" -
        target_map a "map 8192"
        ask a write written
        huge=$(huge_kib a)
        ((huge >= 16 << 10)) || fail "the kernel made only $huge KiB of huge pages"
        # No call is as short as this, so each is for one huge page, or for 32 small ones.
        drive move "${PID[a]}" "$CHEAP" max 1
        expect_equal "the error of the move" 0 "${SAID[error]}"
        ((SAID[moved] >= 32 << 20)) || fail "only ${SAID[moved]} bytes were moved"
        expect_equal "KiB in huge pages" "$huge" "$(huge_kib a)"
        read -r all cheap < <(anonymous a)
        ((cheap >= 8192)) || fail "only $cheap of $all pages are on the cheap node"
        ((SAID[calls] <= 100)) || fail "${SAID[calls]} calls: huge pages were moved in parts"
        ask a check ok
        target_end a
}

pinned_ones() {
        huge_pages never
        gcc -o "$WORK/pin" target/pin.c
        target_start a /daxtest/pinned "$WORK/pin"
        drive move "${PID[a]}" "$CHEAP" max max
        expect_equal "the error of the move" -11 "${SAID[error]}"
        expect_equal "bytes that are left" $((4 * 4096)) "${SAID[left]}"
        ((SAID[moved] >= 60 * 4096)) || fail "only ${SAID[moved]} bytes were moved"
        [[ ${SAID[reason]} == "16 KiB would not move"*pinned* ]] || fail "the reason is: ${SAID[reason]}"
        ask a release released
        drive move "${PID[a]}" "$CHEAP" max max
        expect_equal "the error of the move" 0 "${SAID[error]}"
        # And what it has touched meanwhile.
        ((SAID[moved] >= 4 * 4096)) || fail "only ${SAID[moved]} bytes were moved"
        target_end a
}

HUGE_FOUND=$(sed 's/.*\[\(.*\)\].*/\1/' "$HUGE")
policies_start
item "anonymous memory, under writers" under_writers
item "huge pages" huge_ones
item "pinned pages" pinned_ones
huge_pages "$HUGE_FOUND"
policies_end
