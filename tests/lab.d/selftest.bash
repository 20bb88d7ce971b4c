# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The lab's own tests: that a run's status, output and end are reported as they were.

# shellcheck disable=SC2034 # for test.bash
readonly SELFTESTS=(twins panic poweroff timeout warning)

# selftest NAME: run one and record its result.
selftest() {
        local name=$1 started=$SECONDS problem log=$TEST_DIR/lab-$1
        mkdir "$log"
        problem=$("selftest_$name" "$log" 2>"$log/trouble") || problem=${problem:-"$(tail -n 1 "$log/trouble")"}
        if [[ $problem ]]; then
                test_record fail "lab/$name" lab "$((SECONDS - started))" "$problem"
                tail -n 20 "$log"/*.err "$log"/*.out | sed 's/^/    /'
        else
                test_record pass "lab/$name" lab "$((SECONDS - started))" ''
        fi
}

# lab_run LOG NAME ARG…: `lab run` the script selftest/NAME.sh on an image that is there. Sets RC.
lab_run() {
        local log=$1 name=$2 kernel=${TEST_KERNELS[0]} package packages=()
        shift 2
        [[ " ${TEST_KERNELS[*]} " != *' 6.12 '* ]] || kernel=6.12
        while read -r package; do
                packages+=(--package "$package")
        done < <(e2e_packages "$(kernel_suite "$kernel")")
        RC=0
        "$LAB_SELF" run --kernel "$kernel" "${packages[@]}" "${RUN_OPTIONS[@]}" "$LAB_PARTS/selftest/$name.sh" "$@" \
                >"$log.out" 2>"$log.err" </dev/null || RC=$?
        echo "$RC" >"$log.status"
}

# expect_end LOG WANTED SENTENCE: print what is wrong with how a run ended.
expect_end() {
        local log=$1 wanted=$2 sentence=$3
        if [[ $(<"$log.status") != "$wanted" ]]; then
                echo "exit status $(<"$log.status"), not $wanted"
        elif ! grep -q "$sentence" "$log.err"; then
                echo "standard error does not say '$sentence'"
        fi
}

# Two at once: each has its own machine, arguments, output (exact bytes, both streams) and status. A
# kernel message that is allowed fails neither.
selftest_twins() {
        local log=$1 RUN_OPTIONS=(--allow-dmesg 'expected .* message') twin id ids=() bytes
        for twin in 1 2; do
                # Not one after the other, whatever else runs here.
                LAB_GUESTS=99 lab_run "$log/$twin" twin "$twin" "a b  'c' \"d\" \$e *" "" &
                ids+=($!)
        done
        for id in "${ids[@]}"; do
                wait "$id" || :
        done
        # shellcheck disable=SC2059 # escapes are the point
        bytes=$(printf 'twin %s\n<%s><%s>\n\r\n\001\377\n' 1 "a b  'c' \"d\" \$e *" '' | od -An -c)
        for twin in 1 2; do
                expect_end "$log/$twin" "4$twin" "^complaint $twin\$"
                [[ $(od -An -c "$log/$twin.out") == "${bytes/t   w   i   n       1/t   w   i   n       $twin}" ]] ||
                        echo "the output of twin $twin is not what it wrote"
        done
}

selftest_panic() {
        local RUN_OPTIONS=()
        lab_run "$1/run" panic
        expect_end "$1/run" "$EXIT_DIED" 'Kernel panic'
}

selftest_poweroff() {
        local RUN_OPTIONS=()
        lab_run "$1/run" poweroff
        expect_end "$1/run" "$EXIT_DIED" 'went down before the script was done'
}

selftest_timeout() {
        local RUN_OPTIONS=(--timeout 3)
        lab_run "$1/run" timeout
        expect_end "$1/run" "$EXIT_TIMEOUT" 'not done after 3 s'
        grep -q '^before$' "$1/run.out" || echo "the output before the timeout is lost"
}

selftest_warning() {
        local RUN_OPTIONS=()
        lab_run "$1/run" warning
        expect_end "$1/run" "$EXIT_WARNED" 'WARNING: CPU: 0'
}
