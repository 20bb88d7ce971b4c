#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,6.12,7.3 packages=gcc,jq,libc6-dev timeout=300
#
# [Limits]: CheapMax, MoveRate, PauseMax.

# shellcheck disable=SC2317 # item calls these functions
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/policy-lib.sh
source ./policy-lib.sh

# Two mappings of 4 MiB are what it may have. The third, whoever of the cgroup has it, is left to the
# kernel, and so is what the others write from now on.
cheap_max() {
        local name
        policy 60-max /daxtest/max Limits.CheapMax=8M
        policies_reload
        for name in a b c; do
                target_start "$name" /daxtest/max "$TARGET" "$FILE"
        done
        target_place a
        target_place b
        target_map c
        expect_listed c '.state != "placed" and (.reason | test("CheapMax"))'
        ask c write written
        local copied cheap
        read -r copied cheap < <(copies c)
        expect_equal "copies of c" "$PAGES" "$copied"
        expect_equal "its pages on the cheap node, beyond CheapMax=" 0 "$cheap"
        ask c check ok
        expect_copies a "$PAGES $PAGES"
        expect_listed a '.reason | test("CheapMax")'
        # Where there is room again it is given.
        target_end a
        target_end b
        ask c unmap unmapped
        target_map c
        expect_listed c '.state == "placed"'
        ask c write written
        expect_copies c "$PAGES $PAGES"
        target_end c
        rm "$POLICIES/60-max.conf"
}

moved_bytes() {
        daxtier metrics | awk '/^daxtier_moved_bytes_total/ { sum += $2 } END { printf "%d\n", sum }'
}

# 16 MiB at 4 MiB/s: at no time is more moved than 4 MiB/s from the beginning would be, and a second's
# worth.
move_rate() {
        local began elapsed before moved cheap
        target_start a /daxtest/rate "$TARGET" "$PMEM/large"
        target_map a
        ask a write written
        policy 60-rate /daxtest/rate Limits.MoveRate=4M
        before=$(moved_bytes)
        began=${EPOCHREALTIME/./}
        policies_reload
        while :; do
                read -r _ cheap < <(copies a 4096)
                elapsed=$((${EPOCHREALTIME/./} - began))
                ((cheap * 4096 <= (4 << 20) * (elapsed + 1000000) / 1000000)) ||
                        fail "$((cheap * 4)) KiB were moved in $((elapsed / 1000)) ms"
                ((cheap < 4096)) || break
                ((elapsed < 60000000)) || break
                sleep 0.1
        done
        if can_move; then
                expect_equal "pages moved" 4096 "$cheap"
                await "$PATIENCE" "metrics have what was moved" metrics_have_moved "$before" $((16 << 20))
                moved=$(($(moved_bytes) - before))
                ((moved <= 17 << 20)) || fail "metrics say that $moved bytes were moved"
        fi
        echo "$((cheap * 4)) KiB in $((elapsed / 1000)) ms"
        ask a check ok
        target_end a
        rm "$POLICIES/60-rate.conf"
}

metrics_have_moved() {
        (($(moved_bytes) - $1 >= $2))
}

refused_pauses() {
        daxtier metrics | awk '$1 == "daxtier_pause_refused_total" { print $2 }'
}

more_refused() {
        (($(refused_pauses) > $1))
}

# No target can be stopped for so short a time.
pause_max() {
        local before
        before=$(refused_pauses)
        policy 60-pause /daxtest/pause Limits.PauseMax=1us
        policies_reload
        target_start a /daxtest/pause "$TARGET" "$FILE"
        target_map a
        expect_listed a '.state != "placed" and (.reason | test("PauseMax"))'
        await "$PATIENCE" "a refused pause is counted" more_refused "${before:-0}"
        has_no_policy a || fail "it was stopped for longer than it may be"
        ask a write written
        ask a check ok
        target_end a
        rm "$POLICIES/60-pause.conf"
}

policies_start
"$TARGET" make "$PMEM/large" 4096
item "CheapMax=" cheap_max
item "MoveRate=" move_rate
item "PauseMax=" pause_max
policies_end
