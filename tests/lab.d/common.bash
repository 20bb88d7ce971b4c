# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What every part uses: messages, and the cache.

# Exit statuses; `usage` in tests/lab documents them.
# shellcheck disable=SC2034 # used by the other parts
readonly EXIT_USAGE=2 EXIT_WARNED=123 EXIT_TIMEOUT=124 EXIT_LAB=125 EXIT_DIED=126

say() {
        printf 'lab: %s\n' "$*" >&2
}

die() {
        say "$*"
        exit "$EXIT_LAB"
}

wrong_usage() {
        say "$*"
        say "try 'tests/lab --help'"
        exit "$EXIT_USAGE"
}

hash_text() {
        sha256sum | cut -c1-16
}

# What a shell of ours has running and must not leave behind: process groups.
RUNNING=()
AT_EXIT=()

# on_exit COMMAND: have it run when this shell ends, in whatever way.
on_exit() {
        AT_EXIT+=("$1")
        trap leave EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM HUP
}

leave() {
        local command group
        trap - EXIT
        for group in "${RUNNING[@]}"; do
                kill -TERM -- "-$group" 2>/dev/null || :
        done
        for command in "${AT_EXIT[@]}"; do
                "$command"
        done
}

# background COMMAND…: run it in a subshell and process group of its own. Sets REPLY to its id, and
# forgets nothing: it is ended with us. `set -e` holds in it whatever the caller does.
background() {
        on_exit :
        set -m
        # shellcheck disable=SC2030,SC2031 # the subshell has its own
        (
                set +m
                set -euo pipefail
                RUNNING=() AT_EXIT=()
                on_exit :
                "$@"
        ) </dev/null &
        REPLY=$!
        set +m
        # shellcheck disable=SC2031
        RUNNING+=("$REPLY")
}

# finished ID: wait for what `background` started, and return its status.
finished() {
        local id=$1 entry left=() rc=0
        wait "$id" || rc=$?
        for entry in "${RUNNING[@]}"; do
                [[ $entry == "$id" ]] || left+=("$entry")
        done
        RUNNING=("${left[@]}")
        return "$rc"
}

# step TITLE LOG COMMAND…: run a long step with its output in LOG, saying so, and how long it took.
step() {
        local title=$1 log=$2 started=$SECONDS
        shift 2
        say "$title …"
        mkdir -p "$(dirname "$log")"
        background "$@" >"$log" 2>&1
        if ! finished "$REPLY"; then
                tail -n 40 "$log" | sed 's/^/    /' >&2
                die "$title: failed; the whole log is $log"
        fi
        say "$title: $((SECONDS - started)) s"
}

# cache_get KIND NAME KEY TITLE BUILDER [ARG…]: sets REPLY to the path of the cache entry that
# BUILDER makes (`BUILDER PATH ARG…`) from the inputs described by KEY. An entry is built once, under
# a lock, beside its place and then renamed. Whoever uses an entry holds its lock shared until exit,
# and pruning takes only entries that nobody holds.
cache_get() {
        local kind=$1 name=$2 key=$3 title=$4 builder=$5 path lock fd
        shift 5
        path=$LAB_CACHE/$kind/$name-$(printf '%s\n' "$kind" "$name" "$key" "$(declare -f "$builder")" "$@" | hash_text)
        lock=$LAB_CACHE/lock/$kind-${path##*/}
        mkdir -p "$LAB_CACHE/$kind" "$LAB_CACHE/lock"
        exec {fd}>"$lock"
        flock --shared "$fd"
        if [[ ! -e $path ]]; then
                flock --unlock "$fd"
                flock "$fd"
                if [[ ! -e $path ]]; then
                        rm -rf "$path.new"
                        step "$title" "$LAB_CACHE/log/$kind-$name.log" "$builder" "$path.new" "$@"
                        mv "$path.new" "$path"
                        cache_prune "$kind" "$name" "$path"
                fi
                flock --shared "$fd"
        fi
        touch "$path"
        REPLY=$path
}

# cache_hold PATH: keep an entry from being pruned until this shell ends.
cache_hold() {
        local path=$1 kind fd
        kind=$(basename "$(dirname "$path")")
        exec {fd}>"$LAB_CACHE/lock/$kind-${path##*/}"
        flock --shared "$fd"
        [[ -e $path ]] || die "$path was removed meanwhile"
}

# cache_prune KIND NAME PATH: of the entries of this kind and name, keep PATH and the eight used last
# (several trees may share the cache), and nothing that is half made.
cache_prune() {
        local kind=$1 name=$2 keep=$3 entry lock fd
        while read -r entry; do
                lock=${entry##*/}
                exec {fd}>"$LAB_CACHE/lock/$kind-${lock%%.new*}"
                if flock --nonblock "$fd"; then
                        rm -rf "$entry"
                fi
                exec {fd}>&-
        done < <(
                find "$LAB_CACHE/$kind" -mindepth 1 -maxdepth 1 -name "$name-*.new*"
                find "$LAB_CACHE/$kind" -mindepth 1 -maxdepth 1 -regextype posix-extended \
                        -regex ".*/$name-[0-9a-f]{16}" ! -path "$keep" -printf '%T@ %p\n' |
                        sort -rn | tail -n +9 | cut -d' ' -f2-
        )
}

command_clean() {
        (($# == 0)) || wrong_usage "clean takes no argument"
        if [[ -d $LAB_CACHE ]]; then
                find "$LAB_CACHE" -mindepth 1 -maxdepth 1 \
                        \( -name kernel -o -name root -o -name disk -o -name chroot -o -name package \
                        -o -name log -o -name lock -o -name accel -o -name run \) -exec rm -rf {} +
        fi
}
