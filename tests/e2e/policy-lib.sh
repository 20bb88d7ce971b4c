# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the policy tests share: targets (target/target.h) in cgroups below /daxtest, policy files for
# these, what numa_maps and daxtier say of a target's mapping.
#
# Such a test is a list of items, each a function in a subshell of its own. One that fails does not keep
# the others from running; the test ends with policies_end.

# shellcheck source=tests/e2e/lib.sh
source ./lib.sh

readonly POLICIES=/etc/daxtierd/policy.d
readonly CGROUPS=/sys/fs/cgroup
readonly WORK=/run/daxtest
readonly TARGET=$WORK/target
# shellcheck disable=SC2034 # used by the tests
readonly TARGET_STATIC=$WORK/target-static
readonly PMEM=/mnt/pmem
readonly FILE=$PMEM/file
# What FILE has, unless a test says otherwise: 4 MiB.
readonly PAGES=1024
# Nothing here takes that long unless it fails.
readonly PATIENCE=90

declare -A PID JOB IN OUT START
mkdir -p "$POLICIES" "$WORK"

# targets_build: once in a boot.
targets_build() {
        [[ ! -x $TARGET_STATIC ]] || return 0
        local part jobs=() parts=(target target-anon target-wait target-many target-other)
        for part in "${parts[@]}"; do
                gcc -pthread -c -o "$WORK/$part.o" "target/$part.c" &
                jobs+=($!)
        done
        for part in "${jobs[@]}"; do
                wait "$part"
        done
        parts=("${parts[@]/#/$WORK/}")
        gcc -pthread -o "$TARGET" "${parts[@]/%/.o}"
        gcc -pthread -static -o "$TARGET_STATIC" "${parts[@]/%/.o}"
}

# policies_start: builds what is needed, makes FILE, and starts the service, with a device online.
policies_start() {
        targets_build
        "$TARGET" make "$FILE" "$PAGES"
        echo "+memory +cpuset" >"$CGROUPS/cgroup.subtree_control"
        cgroup_make /daxtest
        service_start
        CHEAP=$(node)
        readonly CHEAP
        # The kernel's own use of DAMON keeps all others out.
        [[ ! -e /sys/module/damon_stat/parameters/enabled ]] || echo N >/sys/module/damon_stat/parameters/enabled
}

# reconcile TIME: how often all processes are looked at, events or not. Long: events do it all. Short: what
# no event tells of is found soon.
reconcile() {
        printf '[Daemon]\nReconcileSec=%s\n' "$1" >/etc/daxtierd/daxtierd.conf.d/90-test-reconcile.conf
}

policies_reload() {
        systemctl reload daxtierd
}

# policy NAME CGROUP [SECTION.KEY=VALUE…]: a policy file. If no PauseMax= is given a program may be
# stopped for a second: under emulation the checks of a stop alone take longer than the default.
policy() {
        local name=$1 setting section=Match
        {
                printf '[Match]\nCgroup=%s\n' "$2"
                [[ $* == *Limits.PauseMax=* ]] || set -- "$@" Limits.PauseMax=1s
                for setting in "${@:3}"; do
                        if [[ ${setting%%.*} != "$section" ]]; then
                                section=${setting%%.*}
                                echo "[$section]"
                        fi
                        echo "${setting#*.}"
                done
        } >"$POLICIES/$name.conf.new"
        mv "$POLICIES/$name.conf.new" "$POLICIES/$name.conf"
}

# cgroup_make PATH: with the controllers that it may need.
cgroup_make() {
        local made='' level
        local -a levels
        IFS=/ read -r -a levels <<<"${1#/}"
        for level in "${levels[@]}"; do
                # The controllers of what is below; one that has processes allows none.
                [[ ! $made ]] || echo "+memory +cpuset" >"$CGROUPS$made/cgroup.subtree_control"
                made+=/$level
                mkdir -p "$CGROUPS$made"
        done
}

cgroup_enter() {
        echo "$2" >"$CGROUPS$1/cgroup.procs"
}

# cgroups_clear: ends every target, and removes its cgroup.
cgroups_clear() {
        local cgroup path=$CGROUPS/daxtest
        [[ -d $path ]] || return 0
        find "$path" -mindepth 1 -name cgroup.freeze -exec sh -c 'echo 0 >"$1"' sh {} \;
        echo 1 >"$path/cgroup.kill"
        await 60 "the targets are gone" grep -qx 'populated 0' "$path/cgroup.events"
        while read -r cgroup; do
                rmdir "$cgroup"
        done < <(find "$path" -mindepth 1 -depth -type d)
}

# target_start NAME CGROUP COMMAND…: as one of the cgroup, which is made if need be. "-": it is where
# COMMAND puts it.
target_start() {
        local name=$1 cgroup=$2 pipe=$WORK/$BASHPID.$1 fd
        shift 2
        [[ $cgroup == - ]] || [[ -d $CGROUPS$cgroup ]] || cgroup_make "$cgroup"
        rm -f "$pipe".*
        mkfifo "$pipe.in" "$pipe.out"
        (
                [[ $cgroup == - ]] || cgroup_enter "$cgroup" "$BASHPID"
                exec "$@"
        ) <"$pipe.in" >"$pipe.out" &
        JOB[$name]=$!
        exec {fd}>"$pipe.in"
        IN[$name]=$fd
        exec {fd}<"$pipe.out"
        OUT[$name]=$fd
        rm "$pipe".*
        hear "$name" ready
        PID[$name]=${REPLY#ready }
}

# hear NAME WORDS: the target's next line begins so. It is in REPLY.
hear() {
        REPLY='nothing'
        read -r -t "$PATIENCE" -u "${OUT[$1]}" REPLY || :
        [[ $REPLY == "$2"* ]] || fail "target $1: expected '$2', heard '$REPLY'"
}

tell() {
        echo "$2" >&"${IN[$1]}"
}

# ask NAME COMMAND WORDS
ask() {
        tell "$1" "$2"
        hear "$1" "$3"
}

# target_map NAME [COMMAND]: from now on has_policy and so on mean that mapping.
target_map() {
        ask "$1" "${2:-map}" mapped
        START[$1]=${REPLY#mapped }
}

# target_end NAME [STATUS]: it was not harmed, and ends as it should.
target_end() {
        local rc=0
        [[ ${2:-0} != 0 ]] || tell "$1" exit
        wait "${JOB[$1]}" || rc=$?
        expect_equal "how target $1 ended" "${2:-0}" "$rc"
}

# numa NAME [PAGES]: the mapping's lines in numa_maps. (A policy for a part of it splits it.)
numa() {
        local start=${START[$1]} end
        printf -v end %08x "$((16#$start + ${2:-$PAGES} * 4096))"
        # Equally long as they are, the addresses compare as texts.
        awk -v start="x$start" -v end="x$end" '"x" $1 >= start && "x" $1 < end' "/proc/${PID[$1]}/numa_maps"
}

# has_policy NAME: all of it, for the cheap node.
has_policy() {
        local lines
        lines=$(numa "$1") && [[ $lines ]] &&
                ! grep -qvE "^[0-9a-f]+ (prefer|prefer=[a-z]+|prefer \(many\)|bind|bind=[a-z]+):$CHEAP " <<<"$lines"
}

has_no_policy() {
        local lines
        lines=$(numa "$@") && [[ $lines ]] && ! grep -qvE '^[0-9a-f]+ default( |$)' <<<"$lines"
}

# copies NAME [PAGES]: "COPIES ON_CHEAP", in pages.
copies() {
        numa "$@" | awk -v node="N$CHEAP" '
                { for (i = 2; i <= NF; i++) { split($i, field, "="); sum[field[1]] += field[2] } }
                END { printf "%d %d\n", sum["anon"], sum[node] }'
}

expect_copies() {
        expect_equal "copies of $1, and those on the cheap node" "$2" "$(copies "$1")"
}

copies_are() {
        [[ $(copies "$1") == "$2" ]]
}

# listed NAME FILTER: what daxtier lists of the target's mapping makes the jq FILTER true for all of it.
listed() {
        daxtier list --pid "${PID[$1]}" --json 2>/dev/null |
                jq -e --argjson start "$((16#${START[$1]}))" --argjson size "$((PAGES * 4096))" \
                        "[.mappings[] | select(.start < \$start + \$size and .end > \$start)] |
                        length > 0 and all($2)" >/dev/null
}

# expect_listed NAME FILTER: at last.
expect_listed() {
        local end=$((SECONDS + PATIENCE))
        until listed "$@"; do
                ((SECONDS < end)) || fail "daxtier does not list $1 as $2 but: $(daxtier list --pid "${PID[$1]}" --json 2>&1)"
                sleep 0.2
        done
}

expect_policy() {
        await "$PATIENCE" "target $1 has the policy" has_policy "$1"
}

# target_place NAME [N]: maps, gets its policy, writes, and all copies are on the cheap node.
target_place() {
        target_map "$1"
        expect_policy "$1"
        ask "$1" write written
        expect_copies "$1" "$PAGES $PAGES"
        ask "$1" check ok
}

# can_move: can the kernel move copies that exist, other than by reclaim?
can_move() {
        [[ -e /sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds ]]
}

is_partial() {
        copies_are "$1" "$PAGES $PAGES" || listed "$1" '.state == "partial" and .reason != ""'
}

# lists_none NAME: no policy is for the target.
lists_none() {
        daxtier list --pid "${PID[$1]}" --json 2>/dev/null | jq -e '.mappings == []' >/dev/null
}

# ends_cheap NAME: all copies are on the cheap node in the end, or it is told why not where the kernel
# can hardly move them.
ends_cheap() {
        if can_move; then
                await "$PATIENCE" "all copies of $1 are on the cheap node" copies_are "$1" "$PAGES $PAGES"
        else
                await "$PATIENCE" "all copies of $1 are on the cheap node, or it is said why not" \
                        is_partial "$1"
        fi
}

# item WORDS FUNCTION
item() {
        local rc started=${EPOCHREALTIME/./}
        set +e
        (
                set -e
                "$2"
        )
        rc=$?
        set -e
        started=$(((${EPOCHREALTIME/./} - started) / 1000))
        if ((rc == 0)); then
                echo "ok: $1 ($started ms)"
        else
                echo "FAILED: $1 ($started ms)"
                failed=1
        fi
        cgroups_clear
}

# policies_end: the daemon and the injector have lived until now, and end in order.
policies_end() {
        expect_equal "restarts of the injector" 0 "$(systemctl show --value --property NRestarts daxtierd-injector)"
        systemctl stop daxtierd
        expect_equal "how the daemon ended" success "$(systemctl show --value --property Result daxtierd)"
        exit "$failed"
}

policies_restore() {
        cgroups_clear || :
        rmdir "$CGROUPS/daxtest" 2>/dev/null || :
        guest_restore
}
trap policies_restore EXIT
