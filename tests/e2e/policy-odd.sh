#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,6.12,7.3 packages=gcc,jq,libc6-dev timeout=400
#
# What cannot be placed, at all or now: 32-bit and x32 programs, a frozen cgroup, a cpuset without the
# node, a node that is full or goes offline. The reason is told, content is right, nobody is killed.

# shellcheck disable=SC2317 # item calls these functions
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/policy-lib.sh
source ./policy-lib.sh

# other_abi FLAG: refused before the program is touched, with the reason.
other_abi() {
        local program=$WORK/target$1
        gcc "$1" -O1 -nostdlib -static -ffreestanding -fno-stack-protector -fno-pie -no-pie \
                "-DTARGET_FILE=\"$FILE\"" -o "$program" target/target-32.c
        cgroup_make /daxtest/cheap/a
        coproc ODD { cgroup_enter /daxtest/cheap/a "$BASHPID" && exec "$program"; }
        # bash forgets them as soon as the program is gone.
        exec {from}<&"${ODD[0]}" {to}>&"${ODD[1]}"
        PID[a]=$ODD_PID
        REPLY=
        read -r -t "$PATIENCE" -u "$from" REPLY || :
        [[ $REPLY == mapped ]] || return 77
        START[a]=$(awk -v file="file=$FILE" '$3 == file || $4 == file { print $1 }' "/proc/${PID[a]}/numa_maps")
        [[ ${START[a]} ]] || fail "it has no mapping: $(cat "/proc/${PID[a]}/numa_maps")"
        expect_listed a ".state != \"placed\" and (.reason | test(\"$2\"))"
        has_no_policy a 4 || fail "who has placed it: $(numa a 4)"
        echo >&"$to"
        wait "${PID[a]}" || fail "it was harmed: exit status $?"
}

bits_32() {
        other_abi -m32 32-bit
}

# Debian's kernels run these only if told so on their command line, as the lab does.
x32() {
        other_abi -mx32 x32
}

frozen_cgroup() {
        target_start a /daxtest/frozen "$TARGET" "$FILE"
        target_map a
        echo 1 >"$CGROUPS/daxtest/frozen/cgroup.freeze"
        await 60 "the cgroup is frozen" grep -qx 'frozen 1' "$CGROUPS/daxtest/frozen/cgroup.events"
        policy 60-frozen /daxtest/frozen
        policies_reload
        expect_listed a '.state != "placed" and (.reason | test("froz|freez"))'
        has_no_policy a || fail "who has placed it?"
        grep -qx 'frozen 1' "$CGROUPS/daxtest/frozen/cgroup.events" || fail "it was thawed"
        echo 0 >"$CGROUPS/daxtest/frozen/cgroup.freeze"
        expect_policy a
        ask a write written
        expect_copies a "$PAGES $PAGES"
        ask a check ok
        target_end a
        rm "$POLICIES/60-frozen.conf"
}

cpuset_without_node() {
        cgroup_make /daxtest/cheap/cpuset
        echo 0 >"$CGROUPS/daxtest/cheap/cpuset/cpuset.mems"
        target_start a /daxtest/cheap/cpuset "$TARGET" "$FILE"
        target_map a
        expect_listed a '.state != "placed" and (.reason | test("cpuset"))'
        ask a write written
        expect_copies a "$PAGES 0"
        ask a check ok
        # As its reason says, that can be mended.
        echo "0,$CHEAP" >"$CGROUPS/daxtest/cheap/cpuset/cpuset.mems"
        ask a unmap unmapped
        target_place a
        target_end a
}

oom_kills() {
        awk '/^oom_kill / { print $2 }' /proc/vmstat
}

# Next to nothing is left on the node for the 16 MiB of copies.
full_node() {
        local before copied cheap
        before=$(oom_kills)
        target_start a /daxtest/cheap/a "$TARGET" "$PMEM/large"
        target_map a
        expect_policy a
        coproc FILLER { exec "$TARGET" fill "$CHEAP"; }
        read -r -t 120 -u "${FILLER[0]}" REPLY
        [[ $REPLY == filled* ]] || fail "the node was not filled: '$REPLY'"
        echo "$REPLY of node $CHEAP"
        ask a write written
        read -r copied cheap < <(copies a 4096)
        expect_equal "copies" 4096 "$copied"
        ((cheap < 4096)) || fail "the node was not full"
        ask a check ok
        expect_listed a '.state == "partial" and .reason != "" and .cow_fast_bytes > 0'
        ask a check ok
        # A new mapping is treated no worse.
        ask a unmap unmapped
        target_map a
        ask a write written
        ask a check ok
        expect_equal "OOM kills" "$before" "$(oom_kills)"
        kill "$FILLER_PID"
        wait "$FILLER_PID" 2>/dev/null || :
        # Now there is room.
        ask a unmap unmapped
        target_map a
        expect_policy a
        ask a write written
        [[ $(copies a 4096) == "4096 4096" ]] || fail "there is room again, but: $(copies a 4096)"
        target_end a
}

node_goes() {
        target_start a /daxtest/cheap/a "$TARGET" "$FILE"
        target_map a
        expect_policy a
        ask a "write 0 512" written
        expect_copies a "512 512"
        ask a "fork" forked
        daxtier offline "$DEVICE"
        expect_copies a "512 0"
        ask a check ok
        ask a write written
        ask a check ok
        ask a exit "child 0"
        expect_listed a '.state != "placed" and .reason != ""'
        ask a check ok
        ask a write written
        expect_copies a "$PAGES 0"
        daxtier online "$DEVICE"
        device_is online || fail "the device does not come back"
        # What is mapped now, and what was.
        target_start b /daxtest/cheap/a "$TARGET" "$FILE"
        target_place b
        expect_policy a
        ends_cheap a
        ask a check ok
        target_end a
        target_end b
}

policy 50-cheap '/daxtest/cheap/**'
policies_start
"$TARGET" make "$PMEM/large" 4096
item "a 32-bit program" bits_32
item "an x32 program" x32
item "a frozen cgroup" frozen_cgroup
item "a cpuset without the node" cpuset_without_node
item "a node that is full" full_node
item "a node that goes and comes back" node_goes
policies_end
