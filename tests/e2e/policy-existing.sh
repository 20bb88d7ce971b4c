#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,6.12,7.3 packages=gcc,jq,libc6-dev timeout=300
#
# Copies made before the policy arrived: they move, under the writers, or it is said why not; only
# they, and only if the policy wants it.

# shellcheck disable=SC2317 # item calls these functions
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/policy-lib.sh
source ./policy-lib.sh

readonly KDAMONDS=/sys/kernel/mm/damon/admin/kdamonds

# written NAME…: they have written all, to DRAM.
written() {
        local name
        for name; do
                target_map "$name"
                ask "$name" write written
                expect_copies "$name" "$PAGES 0"
        done
}

# A neighbour in a cgroup of its own has anonymous memory in DRAM, as cold as can be.
moved() {
        local all cheap
        target_start neighbour /daxtest/neighbour "$TARGET" -
        target_map neighbour "map $PAGES"
        ask neighbour write written
        target_start idle /daxtest/before "$TARGET" "$FILE"
        target_start busy /daxtest/before "$TARGET" "$FILE"
        written idle busy
        ask busy "threads 4" started
        policy 60-before /daxtest/before
        policies_reload
        expect_policy idle
        expect_policy busy
        ends_cheap idle
        ends_cheap busy
        expect_listed idle '.state == "placed" or (.state == "partial" and .reason != "")'
        echo "copies, and those on the cheap node: idle $(copies idle), busy $(copies busy)"
        ask busy join joined
        echo "4 threads that wrote meanwhile: ${REPLY#joined, }"
        ask busy check ok
        ask idle check ok
        # Its mapping may have become one with another beside it.
        read -r all cheap <<<"$(copies neighbour)"
        ((all >= PAGES)) || fail "the neighbour has $all pages of $PAGES"
        expect_equal "the neighbour's pages on the cheap node" 0 "$cheap"
        ask neighbour check ok
        # What a pass left behind would go on moving.
        ! can_move || expect_equal "kdamonds left" 0 "$(cat "$KDAMONDS/nr_kdamonds")"
        target_end busy
        target_end idle
        target_end neighbour
        rm "$POLICIES/60-before.conf"
}

left() {
        target_start a /daxtest/leave "$TARGET" "$FILE"
        target_map a
        ask a "write 0 512" written
        policy 60-leave /daxtest/leave Cow.Existing=leave
        policies_reload
        expect_policy a
        ask a write written
        # Its neighbour's are moved, after which it can be said that its own were not.
        target_start b /daxtest/move "$TARGET" "$FILE"
        written b
        policy 60-move /daxtest/move
        policies_reload
        ends_cheap b
        expect_copies a "$PAGES 512"
        expect_listed a '.state == "partial" and (.reason | test("Existing=leave"))'
        target_end a
        target_end b
        rm "$POLICIES"/60-{leave,move}.conf
}

kdamond_off() {
        [[ $(cat "$KDAMONDS/nr_kdamonds") == 1 ]] || return 0
        echo off >"$KDAMONDS/0/state" || :
        echo 0 >"$KDAMONDS/nr_kdamonds"
}

# Somebody else uses DAMON: theirs stays as it is, and we say that we cannot.
foreign_kdamond() {
        local theirs
        can_move || {
                echo "this kernel has no DAMON in sysfs"
                return 0
        }
        target_start watched /daxtest/watched "$TARGET" "$FILE"
        written watched
        echo 1 >"$KDAMONDS/nr_kdamonds"
        trap kdamond_off EXIT
        echo 1 >"$KDAMONDS/0/contexts/nr_contexts"
        echo vaddr >"$KDAMONDS/0/contexts/0/operations"
        echo 1 >"$KDAMONDS/0/contexts/0/targets/nr_targets"
        echo "${PID[watched]}" >"$KDAMONDS/0/contexts/0/targets/0/pid_target"
        echo on >"$KDAMONDS/0/state"
        theirs=$(cat "$KDAMONDS/0/pid")

        target_start a /daxtest/foreign "$TARGET" "$FILE"
        written a
        policy 60-foreign /daxtest/foreign
        policies_reload
        expect_policy a
        # Something else may move them, or not.
        expect_listed a '.state == "placed" or (.state == "partial" and .reason != "")'
        expect_equal "their kdamond" "1 on $theirs ${PID[watched]}" "$(cat "$KDAMONDS/nr_kdamonds") $(cat "$KDAMONDS/0/state") $(
                cat "$KDAMONDS/0/pid") $(cat "$KDAMONDS/0/contexts/0/targets/0/pid_target")"
        expect_equal "their schemes" 0 "$(cat "$KDAMONDS/0/contexts/0/schemes/nr_schemes")"
        ask a check ok

        # Once they are done it is our turn.
        kdamond_off
        trap - EXIT
        ends_cheap a
        ask a check ok
        target_end a
        target_end watched
        rm "$POLICIES/60-foreign.conf"
}

reconcile 2s
policies_start
item "copies made before the policy" moved
item "Existing=leave" left
item "another one's kdamond" foreign_kdamond
policies_end
