#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1 packages=gcc,jq,libc6-dev timeout=300
#
# [Anon] ColdAfter= on a kernel whose DAMON moves nothing: what of a heap nobody reads goes to the cheap tier
# all the same, and what is read stays.

# shellcheck disable=SC2317 # item calls these functions
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/policy-lib.sh
source ./policy-lib.sh

readonly HEAT=$WORK/heat
readonly MIB_PAGES=256

# on NAME FROM TO NODE: so many pages of these MiB.
on() {
        ask "$1" "count $2 $3 $4" counted
        REPLY=${REPLY#counted }
}

cold_is_cheap() {
        on "$1" "$2" "$3" "$CHEAP"
        ((REPLY >= ($3 - $2) * MIB_PAGES * 95 / 100))
}

# Half of it is read again and again; and then the other half.
half_idle() {
        target_start a /daxtest/cold "$HEAT"
        ask a "map 128 small" mapped
        ask a "hot 0 64" hot
        policy 60-cold /daxtest/cold Anon.ColdAfter=3s Limits.MoveRate=1G
        policies_reload
        await $((2 * PATIENCE)) "the idle half is on the cheap tier" cold_is_cheap a 64 128
        on a 0 64 0
        echo "$REPLY of $((64 * MIB_PAGES)) hot pages are on the fast tier"
        ((REPLY >= 64 * MIB_PAGES * 90 / 100)) || fail "of the half that is read only $REPLY pages are on the fast tier"
        # What is idle from now on goes, too, and what has gone stays: there is no HotTier= here.
        ask a "hot 64 128" hot
        await $((2 * PATIENCE)) "the half that has become idle is on the cheap tier" cold_is_cheap a 0 64
        ask a check right
        tell a exit
        rm "$POLICIES/60-cold.conf"
}

gcc -O2 -pthread -static -o "$HEAT" target/heat.c
policies_start
item "what is idle goes to the cheap tier" half_idle
policies_end
