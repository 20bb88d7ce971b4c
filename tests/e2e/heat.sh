#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.12,7.3 packages=gcc,jq,libc6-dev timeout=500
#
# [Anon] ColdAfter=: what a program does not read goes to the cheap node, what it reads stays in DRAM and
# comes back there; a neighbour's memory stays where it is. DAMON is given back, and is never taken from who
# uses it; from damon_stat only with Damon=take.

# shellcheck disable=SC2317 # item and await call these functions
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/anon-lib.sh
source ./anon-lib.sh

readonly KDAMONDS=/sys/kernel/mm/damon/admin/kdamonds
readonly DAMON_STAT=/sys/module/damon_stat/parameters/enabled
readonly HEAT=$WORK/heat
# MiB of the heap, and of what is read of it.
readonly HEAP=96 HOT=32

# part NAME FROM TO NODE: which share of these MiB is on the node, in whole per cent.
part() {
        ask "$1" "count $2 $3 $4" counted
        PART=$((${REPLY#counted } * 100 / (($3 - $2) * 256)))
}

part_is() {
        part "$1" "$2" "$3" "$4"
        ((PART >= $5))
}

# expect_part NAME FROM TO NODE PERCENT: at last. How soon a busy machine shows it nobody knows.
expect_part() {
        await 150 "$5 % of MiB $2 to $3 of $1 on node $4" part_is "$@"
}

# heat_start NAME CGROUP: has a heap, and reads the first part of it.
heat_start() {
        target_start "$1" "$2" "$HEAT"
        ask "$1" "map $HEAP" mapped
        ask "$1" "rest 100" rests
        ask "$1" "hot 0 $HOT" hot
}

heat_policy() {
        policy 60-heat /daxtest/heat Anon.ColdAfter=3s Anon.ColdTier=cheap Anon.HotTier=fast Limits.MoveRate=1G
        policies_reload
}

given_back() {
        [[ $(cat "$KDAMONDS/nr_kdamonds") == 0 ]]
}

cold_and_hot() {
        heat_start neighbour /daxtest/neighbour
        heat_start a /daxtest/heat
        heat_policy
        expect_part a "$HOT" "$HEAP" "$CHEAP" 99
        expect_part a 0 "$HOT" 0 97
        part neighbour 0 "$HEAP" 0
        expect_equal "per cent of the neighbour in DRAM" 100 "$PART"
        expect_row a '.state == "placed" and (.reason // "") == ""'

        # What was cold is read now, and what was hot no longer.
        ask a "hot $HOT $HEAP" hot
        expect_part a "$HOT" "$HEAP" 0 97
        expect_part a 0 "$HOT" "$CHEAP" 97
        part neighbour 0 "$HEAP" 0
        expect_equal "per cent of the neighbour in DRAM" 100 "$PART"
        ask a check right
        ask neighbour check right

        rm "$POLICIES/60-heat.conf"
        policies_reload
        await "$PATIENCE" "DAMON is given back" given_back
        target_end a
        target_end neighbour
}

# The next start turns off what a killed one left, and goes on with its own.
killed() {
        local pid
        heat_start a /daxtest/heat
        heat_policy
        expect_part a "$HOT" "$HEAP" "$CHEAP" 99
        pid=$(main_pid)
        kill -KILL "$pid"
        expect_equal "the kdamond of the one that was killed" on "$(cat "$KDAMONDS/0/state")"
        # shellcheck disable=SC2016 # expanded there
        await "$PATIENCE" "the service is there again" bash -c '[[ $(systemctl show --value --property MainPID daxtierd) != @(0|'"$pid"') ]]'
        ask a "hot $HOT $HEAP" hot
        expect_part a "$HOT" "$HEAP" 0 97
        ask a check right
        systemctl stop daxtierd
        expect_equal "kdamonds after the end" 0 "$(cat "$KDAMONDS/nr_kdamonds")"
        service_start
        target_end a
        rm "$POLICIES/60-heat.conf"
        policies_reload
}

kdamond_off() {
        echo off >"$KDAMONDS/0/state" || :
        echo 0 >"$KDAMONDS/nr_kdamonds"
}

# Somebody else watches a process: theirs stays as it is, and it is said whose DAMON is.
foreign() {
        local theirs
        await "$PATIENCE" "DAMON is free" given_back
        heat_start a /daxtest/heat
        echo 1 >"$KDAMONDS/nr_kdamonds"
        trap kdamond_off EXIT
        echo 1 >"$KDAMONDS/0/contexts/nr_contexts"
        echo vaddr >"$KDAMONDS/0/contexts/0/operations"
        echo 1 >"$KDAMONDS/0/contexts/0/targets/nr_targets"
        echo "${PID[a]}" >"$KDAMONDS/0/contexts/0/targets/0/pid_target"
        echo on >"$KDAMONDS/0/state"
        theirs=$(cat "$KDAMONDS/0/pid")
        heat_policy
        expect_row a '(.reason // "") | test("kernel thread '"$theirs"'")'
        expect_equal "their kdamond" "1 on $theirs" "$(cat "$KDAMONDS/nr_kdamonds" "$KDAMONDS/0/state" "$KDAMONDS/0/pid" | paste -sd' ')"
        part a 0 "$HEAP" 0
        expect_equal "per cent in DRAM meanwhile" 100 "$PART"

        # Once they are done it is our turn.
        kdamond_off
        trap - EXIT
        expect_part a "$HOT" "$HEAP" "$CHEAP" 99
        target_end a
        rm "$POLICIES/60-heat.conf"
        policies_reload
        await "$PATIENCE" "DAMON is given back" given_back
}

take() {
        printf '[Daemon]\nDamon=%s\n' "$1" >/etc/daxtierd/daxtierd.conf.d/90-test-damon.conf
        policies_reload
}

stat_is() {
        [[ $(cat "$DAMON_STAT") == "$1" ]]
}

# The kernel's own user of DAMON.
damon_stat() {
        [[ -e $DAMON_STAT ]] || {
                echo "this kernel has no damon_stat"
                return 0
        }
        echo Y >"$DAMON_STAT"
        heat_start a /daxtest/heat
        heat_policy
        expect_row a '(.reason // "") | test("damon_stat")'
        expect_equal damon_stat Y "$(cat "$DAMON_STAT")"
        take take
        expect_part a "$HOT" "$HEAP" "$CHEAP" 99
        expect_equal "damon_stat meanwhile" N "$(cat "$DAMON_STAT")"
        rm "$POLICIES/60-heat.conf"
        policies_reload
        await "$PATIENCE" "damon_stat is on again" stat_is Y
        take leave
        echo N >"$DAMON_STAT"
        target_end a
}

gcc -O2 -pthread -o "$HEAT" target/heat.c
policies_start
item "cold memory goes, hot memory stays and comes back" cold_and_hot
item "another one's kdamond" foreign
item "damon_stat" damon_stat
item "the service is killed" killed
policies_end
