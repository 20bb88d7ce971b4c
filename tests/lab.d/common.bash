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

# step TITLE LOG COMMAND…: run a long step with its output in LOG, saying so, and how long it took.
# COMMAND runs in a background subshell, so that `set -e` holds inside it whatever the caller does.
step() {
        local title=$1 log=$2 started=$SECONDS pid
        shift 2
        say "$title …"
        mkdir -p "$(dirname "$log")"
        (
                set -euo pipefail
                trap - EXIT
                "$@"
        ) >"$log" 2>&1 </dev/null &
        pid=$!
        if ! wait "$pid"; then
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

# cache_prune KIND NAME PATH: of the entries of this kind and name, keep PATH and the two used last.
cache_prune() {
        local kind=$1 name=$2 keep=$3 entry fd
        while read -r entry; do
                exec {fd}>"$LAB_CACHE/lock/$kind-${entry##*/}"
                if flock --nonblock "$fd"; then
                        rm -rf "$entry"
                fi
                exec {fd}>&-
        done < <(find "$LAB_CACHE/$kind" -mindepth 1 -maxdepth 1 -regextype posix-extended \
                -regex ".*/$name-[0-9a-f]{16}" ! -path "$keep" -printf '%T@ %p\n' |
                sort -rn | tail -n +3 | cut -d' ' -f2-)
}

command_clean() {
        (($# == 0)) || wrong_usage "clean takes no argument"
        if [[ -d $LAB_CACHE ]]; then
                find "$LAB_CACHE" -mindepth 1 -maxdepth 1 \
                        \( -name kernel -o -name root -o -name disk -o -name chroot -o -name package \
                        -o -name log -o -name lock -o -name accel -o -name run \) -exec rm -rf {} +
        fi
}
