# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What tests and measurements of anonymous memory share: where it is, what policy the threads have, the
# row that daxtier lists for all of it.

# shellcheck source=tests/e2e/policy-lib.sh
source ./policy-lib.sh

# So many pages are new whenever fresh_is asks.
readonly FRESH=64

# anon NAME: "PAGES ON_CHEAP", of its private memory without a file.
anon() {
        awk -v node="N$CHEAP" '
                / file=/ || / stack/ { next }
                { for (i = 2; i <= NF; i++) { split($i, field, "="); sum[field[1]] += field[2] } }
                END { printf "%d %d\n", sum["anon"], sum[node] }' "/proc/${PID[$1]}/numa_maps"
}

# anon_is NAME PAGES: at least so many, and all of them on the cheap node.
anon_is() {
        local pages cheap
        read -r pages cheap < <(anon "$1") && ((pages >= $2 && cheap == pages))
}

expect_anon() {
        await "$PATIENCE" "all anonymous memory of $1 is on the cheap node" anon_is "$@"
}

# threads NAME: the policies of its threads, each once. The first mapping is the program's, which has none.
threads() {
        local file line
        for file in "/proc/${PID[$1]}"/task/*/numa_maps; do
                # One that has just ended has no line.
                ! read -r line 2>/dev/null <"$file" || sed -E 's/^[0-9a-f]+ ([^ ]+( \(many\)[^ ]*)?).*/\1/' <<<"$line"
        done | sort -u
}

threads_are_cheap() {
        [[ $(threads "$1") =~ ^(prefer|prefer=[a-z]+|prefer\ \(many\)):$CHEAP$ ]]
}

threads_are() {
        [[ $(threads "$1") == "$2" ]]
}

expect_threads() {
        await "$PATIENCE" "every thread of $1 prefers the cheap node" threads_are_cheap "$1"
}

# fresh_is NAME SHARE [COMMAND]: "all" or "none" of what is mapped now is on the cheap node, at once.
fresh_is() {
        local pages there
        ask "$1" "${3:-fresh} $CHEAP $FRESH ${4:-}" fresh
        read -r _ pages there <<<"$REPLY"
        [[ $2 == none ]] || ((there == pages)) || fail "$1 (${3:-fresh}): $there of $pages new pages are on the cheap node"
        [[ $2 == all ]] || ((there == 0)) || fail "$1 (${3:-fresh}): $there new pages are on the cheap node"
}

# row NAME FILTER: there is one row for all of it, of which the jq FILTER is true.
row() {
        daxtier list --pid "${PID[$1]}" --json 2>/dev/null |
                jq -e "[.mappings[] | select(.kind == \"anon\")] | length == 1 and all($2)" >/dev/null
}

# expect_row NAME FILTER: at last.
expect_row() {
        local end=$((SECONDS + PATIENCE))
        until row "$@"; do
                ((SECONDS < end)) || fail "daxtier does not list $1 as $2 but: $(daxtier list --pid "${PID[$1]}" --json 2>&1)"
                sleep 0.2
        done
}

# row_is_right NAME: its bytes are those of numa_maps, both read while nothing moves.
row_is_right() {
        local pages cheap
        read -r pages cheap < <(anon "$1")
        row "$1" ".cow_bytes == $((pages * 4096)) and .cow_cheap_bytes == $((cheap * 4096)) and
                .cow_cheap_bytes + .cow_fast_bytes == .cow_bytes"
}
