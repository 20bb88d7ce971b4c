#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The measurements, one after the other: lines of "name value unit baseline ratio".
#
#       run.sh [--plot] [PART…]
#
# --plot: also lines that begin with "#", for report.py. A part that fails does not keep the others from
# running, but fails the whole.
set -euo pipefail

cd "$(dirname "$(readlink -f "$0")")"
parts=(fault-cost preload-cost policy-miss policy-latency policy-move policy-idle policy-harm
    anon-place anon-mover anon-heat anon-fastmax anon-redis)
failed=0

if [[ ${1:-} == --plot ]]; then
    export PLOT=1
    shift
    echo "# machine $(uname -r), $(systemd-detect-virt || :), $(nproc) processors"
fi
(($# == 0)) || parts=("$@")

echo "name value unit baseline ratio"
for part in "${parts[@]}"; do
    began=$SECONDS
    "./$part" || {
        echo "run.sh: $part failed" >&2
        failed=1
    }
    echo "run.sh: $part: $((SECONDS - began)) s" >&2
done
exit "$failed"
