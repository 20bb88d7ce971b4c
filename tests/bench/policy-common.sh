# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the measurements of policies share: the measured programs (program.h), a policy with the service
# at work, and the way to print. They need the lab's guest, and use what the end-to-end tests have.
#
# Lines: "name value unit baseline ratio"; 0 0 where there is nothing to compare with. Lines for the plot:
# "# plot NAME SECONDS SHARE SECONDS SHARE …", the share of all that took no longer.

cd ../e2e
# shellcheck source=tests/e2e/anon-lib.sh
source ./anon-lib.sh
cd ../bench

readonly PROGRAM=$WORK/program
# shellcheck disable=SC2034 # used by those who source this
readonly BENCH_FILE=$PMEM/bench BENCH_LARGE=$PMEM/bench-large SLICE=/daxtest/bench

# bench_start: the service at work, with a device online and a policy. The checks of a stop take up to
# 10 ms under emulation, where a PauseMax= of 1 ms would refuse many.
bench_start() {
        [[ -x $PROGRAM ]] || gcc -O2 -static -pthread -o "$PROGRAM" program.c policy-writer.c policy-anon.c policy-timer.c
        [[ -e $BENCH_FILE ]] || "$PROGRAM" make "$BENCH_FILE" 4096
        echo "+memory +cpuset" >"$CGROUPS/cgroup.subtree_control"
        cgroup_make "$SLICE"
        policy 50-bench "$SLICE/**" Limits.PauseMax=100ms
        service_start
        CHEAP=$(node)
        readonly CHEAP
        # The kernel's own use of DAMON keeps all others out.
        [[ ! -e /sys/module/damon_stat/parameters/enabled ]] || echo N >/sys/module/damon_stat/parameters/enabled
}

# bench_print NAME VALUE UNIT [BASELINE]
bench_print() {
        awk -v name="$1" -v value="$2" -v unit="$3" -v base="${4:-0}" 'BEGIN {
                print name, value, unit, base, base + 0 ? sprintf("%.4g", value / base) : 0 }'
}

# median NUMBER…
median() {
        printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# quantile FILE PART: of a file of times in ns, in us.
quantile() {
        sort -n "$1" | awk -v part="$2" '{ v[NR] = $1 } END { i = int(NR * part); if (i < NR * part) i++
                printf "%.1f\n", v[i < 1 ? 1 : i] / 1000 }'
}

# plot NAME FILE: of a file of times in ns.
plot() {
        [[ ${PLOT:-} ]] || return 0
        sort -n "$2" | awk -v name="$1" '{ v[NR] = $1 } END {
                printf "# plot %s", name
                for (i = 0; i <= 100; i++) {
                        n = int(NR * i / 100)
                        printf " %.9f %.2f", v[n < 1 ? 1 : n] / 1e9, i / 100
                }
                print "" }'
}

# The metrics as they are now; metric takes one of them, the sum of all that begin so.
metrics_take() {
        METRICS=$(daxtier metrics)
}

metric() {
        awk -v name="$1" 'index($1, name) == 1 { sum += $2 } END { printf "%.0f\n", sum }' <<<"$METRICS"
}

# metric_quantile NAME QUANTILE: in us
metric_quantile() {
        awk -v name="daxtier_$1_seconds_quantile{quantile=\"$2\"}" '$1 == name { printf "%.1f\n", $2 * 1e6 }' <<<"$METRICS"
}

# metric_plot NAME METRIC: of a histogram.
metric_plot() {
        [[ ${PLOT:-} ]] || return 0
        awk -v name="$1" -v metric="daxtier_$2_seconds" -v max="$(metric_quantile "$2" 1)" '
                index($1, metric "_bucket{le=\"") == 1 {
                        split($1, part, "\"")
                        if (part[2] == "+Inf") { all = $2 } else { le[++n] = part[2]; seen[n] = $2 }
                }
                END {
                        printf "# plot %s", name
                        for (i = 1; i <= n && le[i] < max / 1e6; i++)
                                if (seen[i] || seen[i + 1]) printf " %s %.4f", le[i], seen[i] / all
                        printf " %.9f 1\n", max / 1e6
                }' <<<"$METRICS"
}

# usage UNIT: what all its processes took of the processors so far, in us.
usage() {
        awk '$1 == "usage_usec" { print $2 }' "$CGROUPS/system.slice/$1.service/cpu.stat"
}

# rest SECONDS: sets idle_ms to what the service took of a processor in so many seconds, for a minute;
# looks to how many processes it looked at.
# shellcheck disable=SC2034 # used by those who source this
rest() {
        local before after looks_before
        metrics_take
        looks_before=$(metric daxtier_scans_total)
        before=$(usage daxtierd)
        sleep "$1"
        after=$(usage daxtierd)
        metrics_take
        looks=$(($(metric daxtier_scans_total) - looks_before))
        idle_ms=$(((after - before) * 60 / $1 / 1000))
}

# resident UNIT: of its main process, in KiB.
resident() {
        awk '/^VmRSS/ { print $2 }' "/proc/$(systemctl show --value --property MainPID "$1")/status"
}

# Kept as they are: the end-to-end tests' own policies.
bench_restore() {
        rm -f "$POLICIES"/5[0-9]-bench*.conf
        policies_restore
}
trap bench_restore EXIT
