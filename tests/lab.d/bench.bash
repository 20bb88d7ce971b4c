# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# `tests/lab bench`: the measurements of tests/bench in a guest, and what the documents show of them.

# All of them, on a machine that has other things to do.
readonly BENCH_TIMEOUT=2400

command_bench() {
        local arg args=() write='' part
        for arg; do
                if [[ $arg == --write ]]; then
                        write=1
                else
                        args+=("$arg")
                fi
        done
        # shellcheck disable=SC2034 # an option, for other parts
        OPT_TIMEOUT=$BENCH_TIMEOUT
        options_parse "${args[@]}"
        for part in "${OPT_REST[@]}"; do
                [[ $part != */* && $part != *.* && -x $LAB_PARTS/../bench/$part ]] || wrong_usage "there is no tests/bench/$part to run"
        done
        if [[ $write ]]; then
                ((${#OPT_REST[@]} == 0)) || wrong_usage "--write takes all parts, as its table has them all"
                bench_write
        else
                # With the folders beside it: it uses what the end-to-end tests have.
                machine_script . bench/run.sh "${OPT_REST[@]}"
        fi
}

# bench_write: run it, and if it passed put its lines and what is made of them under docs/.
bench_write() {
        local lines writer fd rc=0 kernel docs
        options_one_kernel
        kernel=$REPLY
        docs=$(readlink -f "$LAB_PARTS/../../docs")
        host_need python3
        mkdir -p "$LAB_CACHE/log" "$docs/benchmarks"
        lines=$LAB_CACHE/log/bench-$kernel.txt
        exec {fd}> >(exec tee "$lines" | grep --line-buffered -v '^#')
        writer=$!
        background machine_script . bench/run.sh --plot >&"$fd"
        exec {fd}>&-
        finished "$REPLY" || rc=$?
        wait "$writer" || :
        if ((rc != 0)); then
                say "it failed: $docs stays as it is; the lines are in $lines"
                exit "$rc"
        fi
        cp "$lines" "$docs/benchmarks/$kernel.txt"
        "$LAB_PARTS/../bench/report.py" "$docs"
        say "written: $docs/benchmarks.md, $docs/benchmarks.svg"
}
