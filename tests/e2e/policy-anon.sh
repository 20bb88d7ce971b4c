#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,7.3 packages=gcc,jq,libc6-dev timeout=300
#
# [Anon] Tier=: all anonymous memory of a program that nobody changed, but for the main stack, is on the
# cheap node, whatever it was got by, and in every thread, child and program of it. What a program wants
# by itself, CheapMax= and the end of a policy hold.

# shellcheck disable=SC2317 # item calls these functions
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/anon-lib.sh
source ./anon-lib.sh

oom_kills() {
        awk '/^oom_kill / { print $2 }' /proc/vmstat
}

# 8 MiB in all the ways there are, from the first moment on.
starts_after() {
        target_start a /daxtest/anon/a "$1" "$FILE"
        ask a "grow 8192" grown
        expect_threads a
        expect_anon a 2048
        await "$PATIENCE" "the main stack stays in DRAM" stack_is_fast a
        fresh_is a all
        ask a "grow 8192" grown
        anon_is a 4096 || fail "of memory that is new: $(anon a)"
        ask a right right
        expect_row a '.state == "placed" and (.reason // "") == "" and .comm == "'"${1##*/}"'" and .tier == "cheap"
                and .cgroup == "/daxtest/anon/a" and (.policy_file | endswith("/50-anon.conf"))'
        await "$PATIENCE" "its bytes are those of numa_maps" row_is_right a
        target_end a
}

# stack_policy NAME: of the main thread's stack, the hottest memory of all.
stack_policy() {
        awk '/ stack/ { print $2 }' "/proc/${PID[$1]}/numa_maps"
}

stack_is_fast() {
        [[ $(stack_policy "$1") =~ ^prefer(=[a-z]+)?:0$ ]]
}

dynamic_program() {
        starts_after "$TARGET"
}

static_program() {
        starts_after "$TARGET_STATIC"
}

# It has 8 threads that go on allocating, which every look at it finds at something else.
ran_before() {
        local cheap
        target_start a /daxtest/before "$TARGET" "$FILE"
        ask a "grow 16384" grown
        ask a "workers 8" working
        read -r _ cheap < <(anon a)
        expect_equal "pages on the cheap node without a policy" 0 "$cheap"
        fresh_is a none each

        policy 60-before /daxtest/before Anon.Tier=cheap
        policies_reload
        expect_threads a
        fresh_is a all each
        expect_anon a 4096
        ask a "workers 4" working
        fresh_is a all each
        ask a rest rested
        ask a right right
        anon_is a 4096 || fail "in the end: $(anon a)"
        expect_row a '.state == "placed" and .moved_bytes >= 4096 * 4096'
        target_end a
        rm "$POLICIES/60-before.conf"
}

# Children, theirs, and what these execute: nobody had to look at them.
inherited() {
        target_start a /daxtest/anon/a "$TARGET" "$FILE"
        expect_threads a
        fresh_is a all family 8
        ask a fork forked
        PID[a]=${REPLY#forked }
        fresh_is a all
        ask a exec ready
        fresh_is a all
        ask a "grow 1024" grown
        anon_is a 256 || fail "of the program that it executed: $(anon a)"
        ask a right right
        expect_row a '.state == "placed"'
        ask a exit "child 0"
        fresh_is a all
        target_end a
}

# The calls that are made in it would be its end.
filtered() {
        target_start a /daxtest/filtered "$TARGET" "$FILE"
        ask a "grow 1024" grown
        ask a seccomp filtered
        policy 60-filtered /daxtest/filtered Anon.Tier=cheap
        policies_reload
        expect_threads a
        expect_anon a 256
        fresh_is a all
        expect_row a '.state == "placed"'
        ask a right right
        target_end a
        rm "$POLICIES/60-filtered.conf"
}

# As numactl does it: for itself, and then for what it executes.
own_policy() {
        local pages cheap
        target_start a /daxtest/own "$TARGET" "$FILE"
        ask a "prefer 0" preferred
        ask a exec ready
        ask a "grow 1024" grown
        target_start b /daxtest/own "$TARGET" "$FILE"
        policy 60-own /daxtest/own Anon.Tier=cheap
        policies_reload
        expect_row a '.state == "skipped" and (.reason | test("own"))'
        expect_threads b
        # One that had ours, and changes its mind.
        ask b "prefer 0" preferred
        ask b "grow 1024" grown
        expect_row b '.state == "skipped" and (.reason | test("own"))'
        read -r pages cheap < <(anon a)
        expect_equal "its pages on the cheap node, of $pages" 0 "$cheap"
        rm "$POLICIES/60-own.conf"
        policies_reload
        await "$PATIENCE" "neither is listed" eval 'lists_none a && lists_none b'
        threads_are a prefer:0 || fail "its own policy became $(threads a)"
        threads_are b prefer:0 || fail "its own policy became $(threads b)"
        fresh_is a none
        target_end a
        target_end b
}

policy_goes() {
        local before
        policy 60-goes /daxtest/goes Anon.Tier=cheap
        policies_reload
        target_start a /daxtest/goes "$TARGET" "$FILE"
        ask a "workers 4" working
        ask a "grow 4096" grown
        expect_threads a
        expect_anon a 1024
        fresh_is a all each
        rm "$POLICIES/60-goes.conf"
        policies_reload
        await "$PATIENCE" "every thread has its default again" threads_are a default
        fresh_is a none each
        ask a rest rested
        await "$PATIENCE" "it is not listed" lists_none a
        read -r _ before < <(anon a)
        ((before >= 1024)) || fail "what was there did not stay: $(anon a)"
        ask a right right
        target_end a
}

# Two programs of one cgroup. The second finds no room any more; both find some once one has ended.
cheap_max() {
        local before pages cheap
        before=$(oom_kills)
        policy 60-max /daxtest/max Anon.Tier=cheap Limits.CheapMax=16M
        policies_reload
        target_start a /daxtest/max "$TARGET" "$FILE"
        target_start b /daxtest/max "$TARGET" "$FILE"
        expect_threads a
        expect_threads b
        ask b "grow 2048" grown
        anon_is b 512 || fail "below CheapMax=: $(anon b)"
        ask a "grow 32768" grown
        expect_row a '.state != "placed" and (.reason | test("CheapMax"))'
        await "$PATIENCE" "no thread of a prefers the cheap node" threads_are a default
        await "$PATIENCE" "no thread of b prefers the cheap node" threads_are b default
        fresh_is a none
        fresh_is b none
        read -r pages cheap < <(anon a)
        ((pages >= 8192)) || fail "it has $pages pages"
        echo "CheapMax= is 16 MiB: $((cheap / 256)) of $((pages / 256)) MiB are on the cheap node"
        ask a right right
        target_end a
        expect_threads b
        fresh_is b all
        ask b right right
        target_end b
        expect_equal "OOM kills" "$before" "$(oom_kills)"
        rm "$POLICIES/60-max.conf"
}

# The copies of a file go where [Cow] says, whatever is the threads' policy.
beside_copies() {
        local name
        policy 60-fast /daxtest/fast Anon.Tier=cheap Cow.Tier=fast
        policy 60-slow /daxtest/slow Anon.Tier=default Cow.Tier=cheap
        policies_reload
        target_start a /daxtest/fast "$TARGET" "$FILE"
        target_map a
        expect_threads a
        expect_listed a '.state == "placed" and .tier == "fast"'
        ask a write written
        expect_copies a "$PAGES 0"
        ask a "grow 1024" grown
        expect_anon a 256
        expect_copies a "$PAGES 0"
        target_start b /daxtest/slow "$TARGET" "$FILE"
        target_place b
        fresh_is b none
        threads_are b default || fail "nobody wanted a policy for its threads: $(threads b)"
        for name in a b; do
                ask "$name" check ok
                ask "$name" right right
                target_end "$name"
        done
        rm "$POLICIES"/60-{fast,slow}.conf
}

injections() {
        daxtier metrics | awk '/^daxtier_injections_total/ { sum += $2 } END { printf "%d\n", sum }'
}

# However often it maps and unmaps: nobody stops it for that.
never_for_a_mapping() {
        local before after
        target_start a /daxtest/anon/a "$TARGET" "$FILE"
        ask a "grow 1024" grown
        expect_threads a
        expect_anon a 256
        expect_row a '.state == "placed"'
        before=$(injections)
        ((before > 0)) || fail "no injection is counted"
        ask a "spin 5000" spun
        echo "$REPLY"
        fresh_is a all
        after=$(injections)
        ((after - before < 20)) || fail "5,000 mappings made $((after - before)) calls in the program"
        target_end a
}

# What the policy gave is the service's own also for one that was started after the file had gone.
policy_goes_meanwhile() {
        target_start a /daxtest/goes "$TARGET" "$FILE"
        ask a "workers 4" working
        policy 60-goes /daxtest/goes Anon.Tier=cheap
        policies_reload
        expect_threads a
        systemctl stop daxtierd
        threads_are_cheap a || fail "the stop took the policy off: $(threads a)"
        rm "$POLICIES/60-goes.conf"
        service_start
        await "$PATIENCE" "every thread has its default again" threads_are a default
        ask a rest rested
        ask a right right
        target_end a
}

policy 50-anon '/daxtest/anon/**' Anon.Tier=cheap
reconcile 1s
policies_start
item "a program that starts after the policy" dynamic_program
item "a static program" static_program
item "a program that ran before, with 8 threads" ran_before
item "children, and programs that they execute" inherited
item "a filter that kills who sets a policy" filtered
item "a program with a policy of its own" own_policy
item "a policy that goes" policy_goes
item "a policy that goes while the service is stopped" policy_goes_meanwhile
item "CheapMax=" cheap_max
item "copies of files beside it" beside_copies
item "5,000 mappings" never_for_a_mapping
policies_end
