# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# `tests/lab test`: unit tests here, end-to-end tests in guests, and the lab's own. A test is named
#     unit/NAME   what `meson test` runs, with UBSan, in the build chroot
#     lab/NAME    the lab itself (selftest.bash)
#     NAME        tests/e2e/NAME.sh, on each kernel it names
# An end-to-end test says in its first comment what it wants, all of it optional:
#     # lab: kernels=6.1,6.12,7.3 packages=a,b fresh=yes fs=xfs mem=2G cpus=2 swap=512M timeout=120
#     # lab: allow-dmesg=REGEX
# (several such lines add up; REGEX has no blanks). Tests that want the same machine share one boot,
# one after the other, unless they say fresh=yes. Exit status 77 is a skip; the last line of output
# says what is missing.

TEST_DIR=
TEST_KERNELS=()
TEST_SLOTS=1
E2E_FILES=()

# test_record RESULT NAME WHERE SECONDS REASON: print and note one result.
test_record() {
        local result=$1 name=$2 where=$3 seconds=$4 reason=$5
        case $result in
        pass) printf 'ok %s (%s) %s s\n' "$name" "$where" "$seconds" ;;
        skip) printf 'skip %s (%s): %s\n' "$name" "$where" "$reason" ;;
        *) printf 'not ok %s (%s) %s s: %s\n' "$name" "$where" "$seconds" "$reason" ;;
        esac
        printf '%s %s %s\n' "$result" "$where" "$name" >>"$TEST_DIR/results"
}

# test_show LOG: a failing test's output, indented.
test_show() {
        tail -n 60 "$1" | sed 's/^/    /'
        echo "    (the whole log is $1)"
}

# e2e_header FILE: fills the E2E array with what a test asks for.
e2e_header() {
        local file=$1 words word
        # shellcheck disable=SC2054 # the kernels are one value
        E2E=([kernels]=6.1,6.12,7.3 [packages]='' [fresh]=no [fs]=$OPT_FS [mem]=$OPT_MEM [cpus]=$OPT_CPUS
                [sockets]=$OPT_SOCKETS [swap]=$OPT_SWAP [timeout]=120 [allow-dmesg]='')
        while read -r -a words; do
                for word in "${words[@]}"; do
                        [[ $word == *=* && ${E2E[${word%%=*}]+x} ]] ||
                                die "tests/e2e/${file##*/}: '# lab:' does not know '$word'"
                        E2E[${word%%=*}]=${word#*=}
                done
        done < <(sed -n '/^#/!q; s/^# lab: //p' "$file")
}

# e2e_find: fill E2E_FILES with every *.sh but what cannot be executed, which others source; and see
# that all their headers can be read.
e2e_find() {
        local file kernel
        local -A E2E
        for file in "$LAB_TREE"/tests/e2e/*.sh; do
                [[ -e $file ]] || continue
                if [[ -x $file ]]; then
                        e2e_header "$file"
                        for kernel in ${E2E[kernels]//,/ }; do
                                [[ " ${LAB_KERNELS[*]} " == *" $kernel "* ]] ||
                                        die "tests/e2e/${file##*/}: there is no kernel '$kernel'"
                        done
                        E2E_FILES+=("$file")
                elif [[ $(head -c 2 "$file") == '#!' ]]; then
                        die "tests/e2e/${file##*/} begins with #! but is not executable"
                fi
        done
}

# e2e_packages SUITE: the packages that all end-to-end tests on that suite want. One image has them
# all, whatever tests are selected.
e2e_packages() {
        local suite=$1 file kernel
        local -A E2E
        for file in "${E2E_FILES[@]}"; do
                e2e_header "$file"
                for kernel in ${E2E[kernels]//,/ }; do
                        [[ $(kernel_suite "$kernel") != "$suite" ]] || printf '%s\n' "${E2E[packages]//,/$'\n'}"
                done
        done | { grep . || :; } | sort -u
}

# e2e_plan NAME…: one file in $TEST_DIR/plan per guest to boot, with a line for each test in it.
e2e_plan() {
        local file name kernel group number=0
        local -A E2E
        mkdir "$TEST_DIR/plan"
        for file in "${E2E_FILES[@]}"; do
                name=$(basename "$file" .sh)
                test_selected "$name" "$@" || continue
                e2e_header "$file"
                for kernel in ${E2E[kernels]//,/ }; do
                        [[ " ${TEST_KERNELS[*]} " == *" $kernel "* ]] || continue
                        group="kernel=$kernel,fs=${E2E[fs]},mem=${E2E[mem]},cpus=${E2E[cpus]},sockets=${E2E[sockets]},swap=${E2E[swap]}"
                        if [[ ${E2E[fresh]} == yes ]]; then
                                number=$((number + 1))
                                group+=",fresh=$number"
                        fi
                        printf '%s %s %s\n' "$name" "${E2E[timeout]}" "${E2E[allow-dmesg]}" >>"$TEST_DIR/plan/$group"
                        printf '%s %s\n' "$kernel" "$name" >>"$TEST_DIR/planned"
                done
        done
}

# test_selected NAME PATTERN…: is it among those asked for?
test_selected() {
        local name=$1 pattern
        shift
        (($#)) || return 0
        for pattern; do
                # shellcheck disable=SC2053 # a pattern indeed
                [[ $name != $pattern && $name != ${pattern%.sh} && $name != "$pattern"/* ]] || return 0
        done
        return 1
}

# e2e_guests GROUP: run a plan's tests, in as many boots as that takes.
e2e_guests() {
        local group=$1 kernel kernel_dir image boot=0 name timeout allow log before
        local -A want=()
        while IFS='=' read -r name allow; do
                want[$name]=$allow
        done < <(tr ',' '\n' <<<"$group")
        kernel=${want[kernel]}
        OPT_FS=${want[fs]} OPT_MEM=${want[mem]} OPT_CPUS=${want[cpus]}
        OPT_SOCKETS=${want[sockets]} OPT_SWAP=${want[swap]}
        kernel_dir=$(readlink "$TEST_DIR/made/kernel-$kernel")
        image=$(readlink "$TEST_DIR/made/image-$kernel")

        cp "$TEST_DIR/plan/$group" "$TEST_DIR/plan/$group.left"
        while [[ -s $TEST_DIR/plan/$group.left ]]; do
                boot=$((boot + 1))
                log=$TEST_DIR/$group,boot=$boot
                before=$(wc -l <"$TEST_DIR/plan/$group.left")
                mkdir "$log"
                # In a subshell of its own, as each boot has its folder and way out.
                background e2e_boot "$kernel" "$kernel_dir" "$image" "$log" "$TEST_DIR/plan/$group.left"
                finished "$REPLY" || :
                while read -r name timeout allow; do
                        if ! grep -qx "$name" "$log/done"; then
                                printf '%s %s %s\n' "$name" "$timeout" "$allow"
                        fi
                done <"$TEST_DIR/plan/$group.left" >"$log/left"
                mv "$log/left" "$TEST_DIR/plan/$group.left"
                if (($(wc -l <"$TEST_DIR/plan/$group.left") == before)); then
                        # Not one test further: no point in another boot.
                        while read -r name _; do
                                test_record fail "$name" "$kernel" 0 'the guest did not come to it'
                        done <"$TEST_DIR/plan/$group.left"
                        test_show "$log/console"
                        break
                fi
        done
}

# e2e_boot KERNEL KERNEL_DIR IMAGE LOG PLAN: one boot. Tests that got a result are named in LOG/done.
e2e_boot() {
        local kernel=$1 kernel_dir=$2 image=$3 log=$4 plan=$5 name timeout allow args=() current reason
        : >"$log/done"
        while read -r name timeout allow; do
                args+=("$name" "$timeout" "$allow")
        done <"$plan"
        machine_queue
        machine_prepare
        machine_job mode=run script=/run/lab/e2e "args=$(printf '%q ' "$DMESG_BAD" "${args[@]}")"
        machine_boot "$kernel_dir" "$image" "$LAB_TREE/tests/e2e"
        e2e_follow "$kernel" "$log"
        kill -KILL "$MACHINE_PID" 2>/dev/null || :
        tr -d '\r' <"$MACHINE_DIR/console" >"$log/console"
        cp "$MACHINE_DIR/kmsg" "$MACHINE_DIR/err" "$MACHINE_DIR/status" "$log/"
        e2e_split "$log"
        while read -r name; do
                if [[ -e $log/$name.failed ]]; then
                        test_show "$log/$name.log" | sed "1i\\    $name ($kernel):"
                fi
        done <"$log/done"

        # The test that was under way when the guest went down, or stood still.
        current=$(cat "$log/current" 2>/dev/null) || :
        if [[ $current ]]; then
                reason='the guest died'
                [[ ! -e $log/hung ]] || reason='the guest hung'
                test_record fail "$current" "$kernel" 0 "$reason"
                grep -aE "$DMESG_BAD" "$log/console" | head -n 20 | sed 's/^/    /' || :
                [[ ! -e $log/$current.log ]] || test_show "$log/$current.log"
                echo "    (its console is $log/console)"
                echo "$current" >>"$log/done"
        elif ! grep -q '^ready$' "$log/status"; then
                reason=$(sed -n 's/^failed //p' "$log/status")
                echo "lab: the guest ($kernel) did not come up${reason:+: }$reason" >&2
        fi
}

# e2e_follow KERNEL LOG: record results as the guest reports them. Returns when it has gone, or is silent for longer than the test under way may take.
e2e_follow() {
        local kernel=$1 log=$2 limit=$BOOT_TIMEOUT what name result seconds reason rc
        exec {reports}< <(exec tail -s 0.1 -c +1 -f "$MACHINE_DIR/out" 2>/dev/null)
        MACHINE_TAILS+=($!)
        {
                while machine_alive; do
                        sleep 0.3
                done
                echo gone >>"$MACHINE_DIR/out"
        } &
        MACHINE_TAILS+=($!)
        while :; do
                rc=0
                read -r -t "$limit" -u "$reports" what name result seconds reason || rc=$?
                if ((rc > 128)); then
                        : >"$log/hung"
                        break
                elif ((rc)); then
                        break
                fi
                case $what in
                begin)
                        echo "$name" >"$log/current"
                        limit=$((result + 120))
                        ;;
                end)
                        : >"$log/current"
                        limit=200
                        test_record "$result" "$name" "$kernel" "$seconds" "$reason"
                        [[ $result != fail ]] || : >"$log/$name.failed"
                        echo "$name" >>"$log/done"
                        ;;
                gone) break ;;
                dirty) say "$kernel: a fresh boot is needed: $name $result $seconds $reason" ;;
                esac
        done
        exec {reports}<&-
}

# e2e_split LOG: cut the guest's log into one file per test.
e2e_split() {
        awk -v dir="$1" '/^=== / { file = dir "/" $2 ".log"; printf "" >file; next } file { print >file }' "$1/err"
}

# unit_tests: build with UBSan and run what `meson test` knows, in the build chroot. (Not ASan: its runtime
# has to come before the preload shim, and its own mappings are in the way of the tests of mappings.)
unit_tests() {
        local suite log=$TEST_DIR/unit name result seconds started=$SECONDS
        suite=$(kernel_suite 6.12)
        mkdir -p "$log/root"
        chroot_get "$suite"
        tar -C "$log/root" --numeric-owner -xf "$REPLY"
        mkdir -p "$log/root/build/src"
        package_files | (cd "$LAB_TREE" && tar -c --null -T -) | tar -C "$log/root/build/src" --no-same-owner -x
        # shellcheck disable=SC2016 # for the inner shell
        if ! in_root "$log/root" sh -ec 'cd /build/src
                meson setup /build/out -Dauto_features=enabled -Db_sanitize=undefined -Db_lundef=false
                meson compile -C /build/out' >"$log/build.log" 2>&1 </dev/null; then
                test_record fail unit/build here "$((SECONDS - started))" 'it does not build'
                test_show "$log/build.log"
        else
                in_root "$log/root" meson test -C /build/out --no-rebuild --print-errorlogs \
                        >"$log/test.log" 2>&1 </dev/null || : >"$log/failed"
                unit_results "$log/root/build/out/meson-logs/testlog.json" >"$log/results"
                while read -r result seconds name; do
                        test_selected "unit/$name" "$@" || continue
                        test_record "$result" "unit/$name" here "$seconds" "see $log/test.log"
                done <"$log/results"
                if [[ -e $log/failed ]]; then
                        grep -q '^fail' "$log/results" ||
                                test_record fail unit/run here "$((SECONDS - started))" 'meson test failed'
                        test_show "$log/test.log"
                fi
        fi
        rm -rf "$log/root"
}

# unit_results JSON: a line "RESULT SECONDS NAME" for each of meson's tests.
unit_results() {
        jq -r '[(if .result == "OK" or .result == "EXPECTEDFAIL" then "pass" elif .result == "SKIP" then "skip"
                else "fail" end), (.duration * 10 | round / 10 | tostring), (.name | gsub(" "; ""))] | join(" ")' "$1"
}

# test_prepare KERNEL…: make everything these kernels' guests are made of. All guests of one run test
# the same packages, even if the tree is edited meanwhile: what was made is noted in $TEST_DIR/made.
test_prepare() {
        local kernel packages
        mapfile -t packages < <(e2e_packages "$(kernel_suite "$1")")
        image_get "$(kernel_suite "$1")" "${packages[@]}"
        for kernel; do
                ln -s "$REPLY" "$TEST_DIR/made/image-$kernel"
        done
        for kernel; do
                kernel_get "$kernel"
                ln -s "$REPLY" "$TEST_DIR/made/kernel-$kernel"
        done
}

# test_pool COMMAND…: run it beside others, as many as there are processors and memory for.
# test_drain waits for them all, and fails if one of them did.
TEST_POOL=()
TEST_POOL_FAILED=
test_pool() {
        while ((${#TEST_POOL[@]} >= TEST_SLOTS)); do
                test_reap
        done
        background "$@"
        TEST_POOL+=("$REPLY")
}

test_reap() {
        local id entry left=()
        wait -n -p id "${TEST_POOL[@]}" || TEST_POOL_FAILED=1
        for entry in "${TEST_POOL[@]}"; do
                [[ $entry == "$id" ]] || left+=("$entry")
        done
        TEST_POOL=("${left[@]}")
        left=()
        for entry in "${RUNNING[@]}"; do
                [[ $entry == "$id" ]] || left+=("$entry")
        done
        RUNNING=("${left[@]}")
}

test_drain() {
        local failed
        while ((${#TEST_POOL[@]})); do
                test_reap
        done
        failed=$TEST_POOL_FAILED
        TEST_POOL_FAILED=
        [[ ! $failed ]]
}

command_test() {
        local kernel kernels group name passed failed skipped suite made
        options_parse "$@"
        set -- "${OPT_REST[@]}"
        TEST_KERNELS=("${OPT_KERNELS[@]}")
        ((${#TEST_KERNELS[@]})) || TEST_KERNELS=("${LAB_KERNELS[@]}")
        e2e_find
        test_names_exist "$@"
        host_setup
        host_need git jq
        test_dir
        e2e_plan "$@"

        TEST_SLOTS=$(($(awk '/^MemAvailable/ { print $2 }' /proc/meminfo) / 1024 / 1024 / 6))
        ((TEST_SLOTS <= $(nproc))) || TEST_SLOTS=$(nproc)
        ((TEST_SLOTS >= 1)) || TEST_SLOTS=1

        for suite in bookworm trixie; do
                mapfile -t kernels < <(for kernel in "${TEST_KERNELS[@]}"; do
                        [[ $(kernel_suite "$kernel") != "$suite" ]] || echo "$kernel"
                done)
                ((${#kernels[@]} == 0)) || test_pool test_prepare "${kernels[@]}"
        done
        test_drain || exit "$EXIT_LAB"
        for made in "$TEST_DIR"/made/*; do
                cache_hold "$(readlink "$made")"
        done

        for group in "$TEST_DIR"/plan/*; do
                [[ ! -e $group ]] || test_pool e2e_guests "${group##*/}"
        done
        if part_selected unit "$@"; then
                echo 'here unit' >>"$TEST_DIR/planned"
                test_pool unit_tests "$@"
        fi
        for name in "${SELFTESTS[@]}"; do
                if test_selected "lab/$name" "$@"; then
                        echo "lab lab/$name" >>"$TEST_DIR/planned"
                        test_pool selftest "$name"
                fi
        done
        test_drain || say "a part of the tests did not run to its end"

        test_missing
        passed=$(grep -c '^pass' "$TEST_DIR/results") || :
        failed=$(grep -c '^fail' "$TEST_DIR/results") || :
        skipped=$(grep -c '^skip' "$TEST_DIR/results") || :
        ((failed == 0)) || say "logs are in $TEST_DIR"
        echo "$passed passed, $failed failed, $skipped skipped"
        ((failed == 0 && passed > 0))
}

# test_dir: a folder for this run's logs; the last few are kept.
test_dir() {
        local old
        mkdir -p "$LAB_CACHE/log"
        while read -r old; do
                rm -rf "$old"
        done < <(find "$LAB_CACHE/log" -mindepth 1 -maxdepth 1 -name 'test.*' -mmin +60 -printf '%T@ %p\n' |
                sort -rn | tail -n +4 | cut -d' ' -f2-)
        TEST_DIR=$(mktemp -d "$LAB_CACHE/log/test.XXXXXX")
        : >"$TEST_DIR/results"
        : >"$TEST_DIR/planned"
        mkdir "$TEST_DIR/made"
}

# part_selected PART PATTERN…: may PART/* be among those asked for?
part_selected() {
        local part=$1 pattern
        shift
        (($#)) || return 0
        for pattern; do
                [[ $pattern != "$part" && $pattern != "$part"/* ]] || return 0
        done
        return 1
}

# test_names_exist PATTERN…: a name that selects nothing is a mistake.
test_names_exist() {
        local pattern file found
        for pattern; do
                found=
                if part_selected unit "$pattern" || part_selected lab "$pattern"; then
                        found=1
                fi
                for file in "${E2E_FILES[@]}"; do
                        if test_selected "$(basename "$file" .sh)" "$pattern"; then
                                found=1
                        fi
                done
                [[ $found ]] || wrong_usage "there is no test '$pattern'"
        done
}

# test_missing: what was planned and has no result has failed.
test_missing() {
        local where name
        while read -r where name; do
                grep -qE "^[a-z]+ $where $name(/|\$)" "$TEST_DIR/results" ||
                        test_record fail "$name" "$where" 0 'it has no result'
        done <"$TEST_DIR/planned"
}
