#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,6.12,7.3 packages=gcc,jq,libc6-dev timeout=300
#
# A program that waits when the policy comes: in every kind of call, stopped, traced, being killed,
# executing. It is placed where it waits, or the reason is told and it is placed later. Its call ends
# as if nothing had been.

# shellcheck disable=SC2317 # item calls these functions
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/policy-lib.sh
source ./policy-lib.sh

# State in /proc/PID/stat: R, S, D, T, …
state_is() {
        local stat
        stat=$(<"/proc/${PID[$1]}/stat")
        stat=${stat##*) }
        [[ $2 == *"${stat%% *}"* ]]
}

# blocked NAME CALL: it has mapped, sleeps in the call, and comes under the policy only now.
blocked() {
        target_map "$1"
        ask "$1" "wait $2" waiting
        await 60 "target $1 sleeps" state_is "$1" SD
        cgroup_enter /daxtest/cheap/a "${PID[$1]}"
}

# woken NAME: it has come back from its call unharmed, and what it writes is on the cheap node.
woken() {
        hear "$1" woken
        expect_policy "$1"
        ask "$1" write written
        expect_copies "$1" "$PAGES $PAGES"
        ask "$1" check ok
        target_end "$1"
}

readonly CALLS=(epoll futex nanosleep read poll sigwait)

in_calls() {
        local call
        cgroup_make /daxtest/cheap/a
        for call in "${CALLS[@]}"; do
                target_start "$call" /daxtest/other "$TARGET" "$FILE"
                blocked "$call" "$call"
        done
        for call in "${CALLS[@]}"; do
                expect_listed "$call" '.state == "placed"'
                expect_policy "$call"
                state_is "$call" S || fail "target $call does not wait any more"
        done
        for call in "${CALLS[@]}"; do
                case $call in
                nanosleep | sigwait) kill -USR1 "${PID[$call]}" ;;
                *) tell "$call" go ;;
                esac
                woken "$call"
        done
}

# It cannot be stopped before its child ends.
in_vfork() {
        cgroup_make /daxtest/cheap/a
        target_start a /daxtest/other "$TARGET" "$FILE"
        blocked a vfork
        expect_listed a '.state != "placed" and (.reason | test("uninterruptibl|vfork"))'
        state_is a D || fail "the parent does not wait any more"
        tell a go
        woken a
}

readonly DISK=$WORK/disk

disk_free() {
        fsfreeze -u "$DISK" 2>/dev/null || :
        umount -l "$DISK" || :
        rm -f "$WORK/disk.img"
}

frozen_disk() {
        cgroup_make /daxtest/cheap/a
        mkdir -p "$DISK"
        truncate -s 16M "$WORK/disk.img"
        mkfs.ext4 -q "$WORK/disk.img"
        mount -o loop "$WORK/disk.img" "$DISK"
        : >"$DISK/file"
        target_start a /daxtest/other "$TARGET" "$FILE"
        target_map a
        ask a "open $DISK/file" opened
        fsfreeze -f "$DISK"
        # Whatever happens, the others go on.
        trap disk_free EXIT
        ask a "wait disk" waiting
        await 60 "it waits uninterruptibly" state_is a D
        cgroup_enter /daxtest/cheap/a "${PID[a]}"
        expect_listed a '.state != "placed" and (.reason | test("uninterruptibl|disk|D state"))'
        has_no_policy a || fail "who has placed it?"
        state_is a D || fail "it does not wait any more"
        fsfreeze -u "$DISK"
        # By itself, once it can be stopped.
        woken a
}

stopped() {
        cgroup_make /daxtest/cheap/a
        target_start a /daxtest/other "$TARGET" "$FILE"
        target_map a
        kill -STOP "${PID[a]}"
        await 60 "it is stopped" state_is a T
        cgroup_enter /daxtest/cheap/a "${PID[a]}"
        expect_listed a '.state == "placed"'
        expect_policy a
        state_is a T || fail "it was woken"
        kill -CONT "${PID[a]}"
        ask a write written
        expect_copies a "$PAGES $PAGES"
        ask a check ok
        target_end a
}

traced() {
        cgroup_make /daxtest/cheap/a
        target_start a /daxtest/other "$TARGET" "$FILE"
        target_map a
        coproc TRACER { exec "$TARGET" trace "${PID[a]}"; }
        read -r -t "$PATIENCE" -u "${TRACER[0]}" REPLY
        expect_equal "the tracer" tracing "$REPLY"
        cgroup_enter /daxtest/cheap/a "${PID[a]}"
        expect_listed a '.state != "placed" and (.reason | test("trace|debug"))'
        grep -q "^TracerPid:.*[1-9]" "/proc/${PID[a]}/status" || fail "its tracer lost it"
        has_no_policy a || fail "who has placed it?"
        ask a check ok
        kill "$TRACER_PID"
        expect_policy a
        ask a write written
        expect_copies a "$PAGES $PAGES"
        target_end a
}

injector_restarts() {
        systemctl show --value --property NRestarts daxtierd-injector
}

killed() {
        local before round
        before=$(injector_restarts)
        for ((round = 0; round < 40; round++)); do
                target_start "a$round" /daxtest/cheap/a "$TARGET" "$FILE"
                tell "a$round" map
                ((round % 2)) || hear "a$round" mapped
                kill -KILL "${PID[a$round]}"
                target_end "a$round" $((128 + 9))
        done
        target_start a /daxtest/cheap/a "$TARGET" "$FILE"
        target_place a
        target_end a
        expect_equal "restarts of the injector" "$before" "$(injector_restarts)"
}

executing() {
        local i
        target_start a /daxtest/cheap/a "$TARGET" "$FILE"
        tell a "exec 60"
        for ((i = 0; i <= 60; i++)); do
                hear a mapped
                hear a written
                hear a ok
        done
        hear a executed
        target_place a
        target_end a
}

policy 50-cheap '/daxtest/cheap/**'
reconcile 1s
policies_start
item "blocked in ${CALLS[*]}" in_calls
item "a parent in vfork()" in_vfork
item "waiting uninterruptibly for a disk" frozen_disk
item "stopped by SIGSTOP" stopped
item "traced by somebody else" traced
item "killed at any moment" killed
item "executing itself again and again" executing
policies_end
