#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Its twin must not see any of this.
printf 'twin %s\n<%s><%s>\n\r\n\001\377\n' "$1" "$2" "$3"
echo "complaint $1" >&2
echo "$1" >/mnt/pmem/mine
echo 'WARNING: expected test message' >/dev/kmsg
sleep 5
[ "$(cat /mnt/pmem/mine)" = "$1" ] || exit 1
exit $((40 + $1))
