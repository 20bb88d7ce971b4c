#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The main job on unmodified programs, each run plainly and under `daxtier run`: how many bytes its
# writes copied, where the kernel put the copies (numa_maps' own count), and whether content is right.
# Fails unless every copy is in DRAM without daxtier and on pmem with it.
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/e2e/lib.sh
source "$here/../lib.sh"

# Bytes copied of file $2 by process $1, and of these on the node set $3: "COPIED ON_NODES".
copies_of() {
    awk -v file="file=$2" -v nodes=",$3," '
        $3 == file {
            for (i = 4; i <= NF; i++) {
                split($i, field, "=")
                if (field[1] == "anon")
                    copied += field[2]
                else if (field[1] ~ /^N[0-9]+$/ && index(nodes, "," substr(field[1], 2) ","))
                    on += field[2]
            }
        }
        END { printf "%d %d\n", copied * 4096, on * 4096 }' "/proc/$1/numa_maps"
}

# The nodes of tier $1, as the daemon published them.
nodes_of() {
    awk -v section="[Tier $1]" '
        /^\[/ { here = $0 == section }
        here && sub(/^Nodes=/, "") { print }' /run/daxtierd/tiers
}

mib() {
    awk -v bytes="$1" 'BEGIN { printf "%.1f MiB", bytes / 1048576 }'
}

# measure NAME FILE WANTED HOW COMMAND…: runs COMMAND, which says "ready PID" and later "content X".
measure() {
    local name=$1 file=$2 wanted=$3 how=$4 sum line pid query copied on_pmem on_dram content share verdict
    shift 4
    sum=$(sha256sum <"$file")

    coproc PROGRAM { exec "$@" 2>/tmp/demo.err; }
    # bash forgets the descriptors as soon as the program is gone: keep our own.
    exec {from}<&"${PROGRAM[0]}" {to}>&"${PROGRAM[1]}"
    read -r -u "$from" line pid || fail "$name stopped early: $(cat /tmp/demo.err)"
    [ "$line" = ready ] || fail "$name said '$line'"

    read -r copied on_pmem < <(copies_of "$pid" "$file" "$cheap")
    read -r _ on_dram < <(copies_of "$pid" "$file" "$fast")
    query=$(daxtier query "$pid" --json)

    echo >&"$to"
    read -r -u "$from" line content || fail "$name stopped early: $(cat /tmp/demo.err)"
    exec {from}<&- {to}>&-
    wait "$PROGRAM_PID" || fail "$name failed: $(cat /tmp/demo.err)"

    verdict=right
    [ "$content" = "$wanted" ] || verdict="WRONG ($content)"
    [ "$sum" = "$(sha256sum <"$file")" ] || verdict="FILE CHANGED"
    share=$((copied > 0 ? on_pmem * 100 / copied : 0))
    printf '%-28s %-12s %11s %11s %11s %6s  %s\n' "$name" "$how" "$(mib "$copied")" \
        "$(mib "$on_dram")" "$(mib "$on_pmem")" "$share %" "$verdict"

    # What daxtier says of the same mappings must be what the kernel says.
    python3 "$here/compare-query.py" "$file" "$copied" "$on_pmem" "$on_dram" <<<"$query" || failed=1
    [ "$copied" -gt 0 ] && [ "$verdict" = right ] || failed=1
    if [ "$how" = plain ]; then
        [ "$on_dram" -eq "$copied" ] || failed=1
    else
        [ "$on_pmem" -eq "$copied" ] && [ "$on_dram" -eq 0 ] || failed=1
    fi
}

[ "$(findmnt -no FSTYPE,OPTIONS /mnt/pmem | grep -c dax)" = 1 ] || fail "/mnt/pmem is no DAX filesystem"
service_start
cheap=$(nodes_of cheap)
fast=$(nodes_of fast)

numbers=/mnt/pmem/numbers.bin
dump=/mnt/pmem/emacs.pdmp
head -c 256M /dev/urandom >"$numbers"
# Which package has it, and whether its name carries a fingerprint, differs between releases.
cp "$(dpkg -L emacs-nox emacs-bin-common | grep '\.pdmp$')" "$dump"

emacs=(emacs -Q --batch -l "$here/emacs-work.el")
# What Emacs computes with its own dump, untouched by us, is what it must compute every time.
reference=$("${emacs[@]}" 2>/dev/null < <(echo) | sed -n 's/^content //p')
[ -n "$reference" ] || fail "Emacs did not finish on its own dump"
emacs+=("--dump-file=$dump")
numpy=(/usr/bin/python3 "$here/numpy-cow.py" "$numbers")

printf 'Kernel %s, tiers: fast = node %s, cheap = node %s\n\n' "$(uname -r)" "$fast" "$cheap"
printf '%-28s %-12s %11s %11s %11s %6s  %s\n' program run copied "in DRAM" "on pmem" share content
measure "numpy memmap(mode='c')" "$numbers" same plain "${numpy[@]}"
measure "numpy memmap(mode='c')" "$numbers" same daxtier daxtier run -- "${numpy[@]}"
measure "Emacs, its portable dump" "$dump" "$reference" plain "${emacs[@]}"
measure "Emacs, its portable dump" "$dump" "$reference" daxtier daxtier run -- "${emacs[@]}"

rm -f "$numbers" "$dump"
exit "$failed"
