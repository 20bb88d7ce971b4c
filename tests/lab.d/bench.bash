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
                bench_write "${OPT_REST[@]}"
        else
                # With the folders beside it: it uses what the end-to-end tests have.
                machine_script . bench/run.sh "${OPT_REST[@]}"
        fi
}

# lines_merge NEW OLD: OLD, with the lines of NEW in the place of those that say the same of another run.
lines_merge() {
        awk 'function key() { return $1 == "#" ? $2 " " ($2 == "machine" ? "" : $3) : $1 }
                NR == FNR { new[key()] = $0; if (FNR > 2) order[++n] = key(); next }
                key() in new { if (!shown[key()]++) print new[key()]; next }
                { print }
                END { for (i = 1; i <= n; i++) if (!shown[order[i]]++) print new[order[i]] }' "$1" "$2"
}

# bench_write [PART…]: run it, and if it passed put its lines and what is made of them under docs/. With parts
# the lines of the others stay as they are.
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
        background machine_script . bench/run.sh --plot "$@" >&"$fd"
        exec {fd}>&-
        finished "$REPLY" || rc=$?
        wait "$writer" || :
        if ((rc != 0)); then
                say "it failed: $docs stays as it is; the lines are in $lines"
                exit "$rc"
        fi
        if (($# > 0)) && [[ -e $docs/benchmarks/$kernel.txt ]]; then
                lines_merge "$lines" "$docs/benchmarks/$kernel.txt" >"$lines.merged"
                lines=$lines.merged
        fi
        cp "$lines" "$docs/benchmarks/$kernel.txt"
        "$LAB_PARTS/../bench/report.py" "$docs"
        say "written: $docs/benchmarks.md, $docs/benchmarks.svg"
}
