# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Source me. A test says what it expects, goes on after a failure, and ends with `exit "$failed"`.

# shellcheck disable=SC2034 # read by who sources this
failed=0

# fail WORDS…
fail() {
        echo "FAIL: $*"
        failed=1
}

# await SECONDS COMMAND…: until COMMAND succeeds.
await() {
        local end=$((SECONDS + $1))
        shift
        until "$@"; do
                ((SECONDS < end)) || { fail "$*: not in time"; return; }
                sleep 0.1
        done
}

# expect CODE WORDS COMMAND…: COMMAND exits with CODE and says WORDS (a fixed string) somewhere.
expect() {
        local wanted=$1 words=$2 code=0 said
        shift 2
        said=$("$@" 2>&1 </dev/null) || code=$?
        if [[ $code != "$wanted" || $said != *"$words"* ]]; then
                fail "$*: wanted exit code $wanted and \"$words\", got $code and:"$'\n'"$said"
        else
                echo "ok: $*"
        fi
}

# expect_json FILTER COMMAND…: COMMAND's JSON makes the jq FILTER true.
expect_json() {
        local filter=$1 said
        shift
        said=$("$@" 2>/dev/null)
        if ! jq -e "$filter" <<<"$said" >/dev/null; then
                fail "$*: not so: $filter, but:"$'\n'"$said"
        else
                echo "ok: $*: $filter"
        fi
}
