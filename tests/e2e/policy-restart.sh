#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.12 packages=gcc,jq,libc6-dev timeout=300
#
# The daemon is killed at any moment, and stopped: the programs go on, and all are placed by the next.

# shellcheck disable=SC2317 # item calls these functions
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/policy-lib.sh
source ./policy-lib.sh

readonly ROUNDS=8

is_another() {
        local pid
        pid=$(main_pid)
        ((pid != 0 && pid != $1)) && device_is online
}

killed() {
        local round pid name live=()
        target_start busy /daxtest/cheap/a "$TARGET" "$FILE"
        target_place busy
        ask busy "threads 2" started
        target_start churn /daxtest/cheap/a "$TARGET" "$FILE"
        tell churn "churn 6000 200"
        for ((round = 0; round < ROUNDS; round++)); do
                pid=$(main_pid)
                # Old copies to move, and new mappings to place, while it is hit.
                name=t$round
                target_start "$name" /daxtest/cheap/a "$TARGET_STATIC" "$FILE"
                live+=("$name")
                tell "$name" map
                # From at once to a few milliseconds after.
                (($(shuf -i 0-3 -n 1))) || hear "$name" mapped
                [[ $REPLY == mapped* ]] || sleep "0.00$(shuf -i 0-9 -n 1)"
                kill -KILL "$pid"
                [[ $REPLY == mapped* ]] || hear "$name" mapped
                START[$name]=${REPLY#mapped }
                REPLY=
                systemctl reset-failed daxtierd
                systemctl start daxtierd
                await "$PATIENCE" "the daemon is up again" is_another "$pid"
        done
        for name in "${live[@]}"; do
                expect_policy "$name"
                ask "$name" write written
                ends_cheap "$name"
                ask "$name" check ok
                target_end "$name"
        done
        ask busy join joined
        echo "2 threads that wrote meanwhile: ${REPLY#joined, }"
        ends_cheap busy
        ask busy check ok
        target_end busy
        hear churn churned
        target_end churn
        expect_equal "kills that the journal has" "$ROUNDS" "$(journal_count 'code=killed, status=9/KILL')"
}

stopped() {
        target_start a /daxtest/cheap/a "$TARGET" "$FILE"
        target_map a
        expect_policy a
        ask a "write 0 512" written
        systemctl stop daxtierd
        # What has its policy keeps it.
        ask a write written
        expect_copies a "$PAGES $PAGES"
        ask a check ok
        target_start b /daxtest/cheap/a "$TARGET" "$FILE"
        target_map b
        ask b "write 0 10" written
        service_start
        expect_policy b
        ask b write written
        ends_cheap b
        ask b check ok
        expect_listed a '.state == "placed"'
        target_end a
        target_end b
}

policy 50-cheap '/daxtest/cheap/**'
policies_start
item "the daemon is killed" killed
item "the daemon is stopped" stopped
policies_end
