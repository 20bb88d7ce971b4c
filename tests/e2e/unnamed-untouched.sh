#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,6.12,7.3 timeout=120
#
# A device that the configuration does not name is never touched: what it holds is still there.

cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/lib.sh
source ./lib.sh

conf=$(cat "$LAB_CONF")
trap 'echo "$conf" >"$LAB_CONF"; guest_restore' EXIT

# Eight bytes a page through a mapping: a device-dax cannot be written.
content() {
        python3 - "$1" "/dev/$DEVICE" <<'END'
import mmap, os, sys
fd = os.open(sys.argv[2], os.O_RDWR)
with mmap.mmap(fd, 4 << 20, mmap.MAP_SHARED) as memory:
    for page in range(0, 4 << 20, 4096):
        if sys.argv[1] == "write":
            memory[page:page + 8] = page.to_bytes(8, "little")
        elif memory[page:page + 8] != page.to_bytes(8, "little"):
            sys.exit(f"page {page:#x} was changed")
END
}

content write
echo '[Device dax77.7]' >"$LAB_CONF"
systemctl start daxtierd
expect_equal "driver of the device that is not named" device_dax "$(driver)"
content check

printf '[Device %s]\nOnline=no\n' "$DEVICE" >"$LAB_CONF"
systemctl reload daxtierd
await 60 "the device is known" device_is idle
expect_equal "driver of a device with Online=no" device_dax "$(driver)"
content check
expect_equal "the kernel's policy" "$AUTO_ONLINE_FOUND" "$(cat "$AUTO_ONLINE")"
