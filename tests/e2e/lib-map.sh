#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# libdaxtier as a program uses it, by ctypes and without the daemon: copies of a DAX file go to the cheap node, content and
# file stay right, queries tell the truth, and what cannot be done is refused with its own errno.
#
# The kernel shows a node's HMAT numbers only until the node first goes offline: hence a fresh machine.
# lab: kernels=6.1,6.12,7.3 packages=python3 timeout=180 fresh=yes
set -euo pipefail

[ "$(findmnt -no FSTYPE,OPTIONS /mnt/pmem | grep -c dax)" = 1 ] || {
    echo "lib-map: /mnt/pmem is no DAX filesystem" >&2
    exit 77
}
exec python3 lib-map.py
