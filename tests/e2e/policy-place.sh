#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,6.12,7.3 packages=gcc,jq,libc6-dev timeout=300
#
# A program that nobody changed maps a DAX file in a cgroup that a policy names: its copies are made on
# the cheap node. Which policy is in force, for whom, and what becomes of it when that changes.

# shellcheck disable=SC2317 # item calls these functions
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/policy-lib.sh
source ./policy-lib.sh

dynamic_program() {
        target_start a /daxtest/cheap/a "$TARGET" "$FILE"
        target_place a
        expect_listed a '.state == "placed" and (.reason // "") == "" and .comm == "target" and .dax == true
                and .cgroup == "/daxtest/cheap/a" and .file == "/mnt/pmem/file" and .tier == "cheap"
                and (.policy_file | endswith("/50-cheap.conf"))'
        expect_equal "bytes that daxtier lists" "4194304 4194304 0" "$(daxtier list --pid "${PID[a]}" --json |
                jq -r '.mappings | map([.cow_bytes, .cow_cheap_bytes, .cow_fast_bytes]) | transpose | map(add) | join(" ")')"
        target_end a
}

static_program() {
        target_start a /daxtest/cheap/a "$TARGET_STATIC" "$FILE"
        target_place a
        target_end a
}

systemd_unit() {
        local unit=daxtest-unit-$RANDOM
        policy 50-unit "/daxtest.slice/daxtest-unit.slice/**"
        policies_reload
        target_start a - systemd-run --quiet --pipe --collect --unit="$unit" --slice=daxtest-unit.slice "$TARGET" "$FILE"
        target_place a
        expect_listed a ".state == \"placed\" and .cgroup == \"/daxtest.slice/daxtest-unit.slice/$unit.service\""
        target_end a
        rm "$POLICIES/50-unit.conf"
}

# The write comes before anybody could have done anything.
written_at_once() {
        local name
        for name in a b c d; do
                target_start "$name" /daxtest/cheap/a "$TARGET" "$FILE"
        done
        for name in a b c d; do
                tell "$name" $'map\nwrite'
        done
        for name in a b c d; do
                hear "$name" mapped
                START[$name]=${REPLY#mapped }
                hear "$name" written
        done
        for name in a b c d; do
                ends_cheap "$name"
                ask "$name" check ok
                target_end "$name"
        done
}

child_process() {
        target_start a /daxtest/cheap/a "$TARGET" "$FILE"
        target_map a
        expect_policy a
        ask a "write 0 512" written
        ask a fork forked
        PID[a]=${REPLY#forked }
        ask a write written
        expect_copies a "$PAGES $PAGES"
        ask a check ok
        ask a unmap unmapped
        target_place a
        expect_listed a '.state == "placed"'
        ask a exit "child 0"
        ask a check ok
        target_end a
}

executed_program() {
        target_start a /daxtest/cheap/a "$TARGET" "$FILE"
        target_place a
        ask a exec ready
        target_place a
        target_end a
}

made_writable() {
        target_start a /daxtest/cheap/a "$TARGET" "$FILE"
        target_map a mapro
        ask a protect protected
        expect_policy a
        ask a write written
        expect_copies a "$PAGES $PAGES"
        ask a check ok
        target_end a
}

# There was nothing to watch when the policy came, and the cgroup comes and goes.
late_cgroup() {
        local round
        for round in 1 2; do
                [[ ! -e $CGROUPS/daxtest/late ]] || fail "/daxtest/late is there"
                target_start a /daxtest/late/deep/er "$TARGET" "$FILE"
                target_place a
                target_end a
                rmdir "$CGROUPS"/daxtest/late{/deep/er,/deep,}
        done
        expect_equal "the round" 2 "$round"
}

policy_comes_and_goes() {
        target_start a /daxtest/drop "$TARGET" "$FILE"
        target_map a
        target_start b /daxtest/cheap/b "$TARGET" "$FILE"
        target_place b
        has_no_policy a || fail "a policy that nobody asked for: $(numa a)"
        lists_none a || fail "listed without a policy"

        policy 60-drop /daxtest/drop
        policies_reload
        expect_policy a
        expect_listed a '(.policy_file | endswith("/60-drop.conf")) and .state == "placed"'
        ask a write written
        expect_copies a "$PAGES $PAGES"

        rm "$POLICIES/60-drop.conf"
        policies_reload
        await "$PATIENCE" "the policy is not listed any more" lists_none a
        ask a check ok
        target_end a
        # What is mapped now is left alone. The other's is placed after it.
        target_start a /daxtest/drop "$TARGET" "$FILE"
        target_map a
        ask b unmap unmapped
        target_place b
        has_no_policy a || fail "placed by a policy that has gone: $(numa a)"
        target_end a
        target_end b
}

bad_file() {
        local rc=0 said
        printf '[Match]\nCgroup=/daxtest/bad\n[Cow]\nTeir=cheap\n' >"$POLICIES/40-bad.conf"
        said=$(daxtier policy reload 2>&1) || rc=$?
        expect_equal "exit status of a reload with a bad file ($said)" 1 "$rc"
        [[ $said == *40-bad.conf:4:*Tier* ]] || fail "it does not say what is wrong: $said"
        [[ $(systemctl show --value --property StatusText daxtierd) == *40-bad.conf:4* ]] || fail "its status does not say it"
        target_start a /daxtest/cheap/a "$TARGET" "$FILE"
        target_place a
        target_end a
        rm "$POLICIES/40-bad.conf"
        daxtier policy reload
        [[ $(systemctl show --value --property StatusText daxtierd) != *40-bad* ]] || fail "its status says it for ever"
}

# Which of several policies is a process's? The first whose whole [Match] fits.
first_match() {
        local name
        policy 10-static /daxtest/match/** "Match.Exe=$TARGET_STATIC" Cow.Tier=default
        policy 20-nobody /daxtest/match/** Match.User=nobody Cow.Tier=fast
        policy 30-all /daxtest/match/**
        policy 40-never /daxtest/match/** Cow.Tier=default
        policies_reload
        target_start hands-off /daxtest/match "$TARGET_STATIC" "$FILE"
        target_start nobody /daxtest/match setpriv --reuid=nobody --clear-groups "$TARGET" "$FILE"
        target_start all /daxtest/match "$TARGET" "$FILE"
        for name in hands-off nobody all; do
                target_map "$name"
        done
        expect_policy all
        expect_listed all '(.policy_file | endswith("/30-all.conf")) and .state == "placed"'
        expect_listed nobody '(.policy_file | endswith("/20-nobody.conf")) and .tier == "fast"'
        ! has_policy nobody || fail "nobody's copies go to the cheap node"
        has_no_policy hands-off || fail "Tier=default touched it: $(numa hands-off)"
        for name in hands-off nobody all; do
                ask "$name" write written
        done
        expect_copies hands-off "$PAGES 0"
        expect_copies nobody "$PAGES 0"
        expect_copies all "$PAGES $PAGES"
        daxtier policy show --json | jq -e '[.policies[].file | select(contains("/policy.d/")) | split("/")[-1]] |
                index("10-static.conf") < index("30-all.conf")' >/dev/null || fail "policy show: $(daxtier policy show --json)"
        for name in hands-off nobody all; do
                target_end "$name"
        done
        rm "$POLICIES"/{10-static,20-nobody,30-all,40-never}.conf
}

own_policy() {
        target_start a /daxtest/other "$TARGET" "$FILE"
        target_map a
        ask a "own 0" owned
        cgroup_make /daxtest/cheap/a
        cgroup_enter /daxtest/cheap/a "${PID[a]}"
        expect_listed a '.state == "skipped" and (.reason | test("policy"))'
        ! has_policy a || fail "the program's own policy was replaced"
        ask a write written
        expect_copies a "$PAGES 0"
        ask a check ok
        target_end a
}

deleted_file() {
        "$TARGET" make "$PMEM/gone" "$PAGES"
        target_start a /daxtest/cheap/a "$TARGET" "$PMEM/gone"
        target_start b /daxtest/other "$TARGET" "$PMEM/gone"
        target_map b
        target_map a
        ask b unlink unlinked
        cgroup_enter /daxtest/cheap/a "${PID[b]}"
        expect_policy a
        expect_listed b '.state == "placed" and (.file | startswith("/mnt/pmem/gone"))'
        expect_policy b
        ask b write written
        expect_copies b "$PAGES $PAGES"
        ask b check ok
        target_end a
        target_end b
}

odd_file_name() {
        local file=$PMEM/$'two\nlines \\012'
        "$TARGET" make "$file" "$PAGES"
        target_start a /daxtest/cheap/a "$TARGET" "$file"
        target_place a
        expect_listed a '.state == "placed" and .file == "/mnt/pmem/two\nlines \\012"'
        target_end a
        rm "$file"
}

# No event tells of that: the next look at all processes finds it.
moved_in_later() {
        target_start a /daxtest/other "$TARGET" "$FILE"
        target_map a
        cgroup_make /daxtest/cheap/a
        cgroup_enter /daxtest/cheap/a "${PID[a]}"
        expect_listed a '.state == "placed"'
        expect_policy a
        ask a write written
        expect_copies a "$PAGES $PAGES"
        target_end a
}

# Not of a DAX file, shared, or executable code: no business of a policy with File=dax.
other_mappings() {
        "$TARGET" make "$WORK/file" "$PAGES"
        target_start a /daxtest/cheap/a "$TARGET" "$WORK/file"
        target_map a
        target_start b /daxtest/cheap/a "$TARGET" "$FILE"
        target_place b
        has_no_policy a || fail "a mapping of no DAX file was placed"
        ! grep -E ' (prefer|bind)' "/proc/${PID[a]}/numa_maps" || fail "some mapping was placed"
        target_end a
        target_end b
        rm "$WORK/file"
}

policy 50-cheap '/daxtest/cheap/**'
policy 50-late '/daxtest/late/**'
reconcile 1h
policies_start
item "a dynamic program" dynamic_program
item "a static program" static_program
item "a program in a systemd unit" systemd_unit
item "a program that writes at once" written_at_once
item "a child process" child_process
item "a program that executes another" executed_program
item "a mapping made writable" made_writable
item "a cgroup that appears later" late_cgroup
item "a policy that comes and goes" policy_comes_and_goes
item "a bad policy file" bad_file
item "the first match" first_match
item "a file name with a newline" odd_file_name
item "mappings that the policy does not mean" other_mappings
reconcile 1s
policies_reload
item "a process that is moved in later" moved_in_later
item "a mapping with a policy of its own" own_policy
item "a deleted file" deleted_file
policies_end
