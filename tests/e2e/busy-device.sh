#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.12 timeout=120
#
# A device that a process uses is not taken from it, whether it has it open or only mapped. The
# process is named, and once it has ended the device is taken without being asked.

cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/lib.sh
source ./lib.sh

# hold open|map: holds the device until killed.
hold() {
        python3 - "$1" "/dev/$DEVICE" <<'END' &
import mmap, os, signal, sys
fd = os.open(sys.argv[2], os.O_RDWR)
if sys.argv[1] == "map":
    memory = mmap.mmap(fd, 2 << 20, mmap.MAP_SHARED)
    os.close(fd)
    memory[0] = 42
open("/run/daxtier-test-held", "w").close()
signal.pause()
END
        holder=$!
        await 60 "the device is held" test -e /run/daxtier-test-held
        rm /run/daxtier-test-held
}

for how in open map; do
        hold "$how"
        systemctl start daxtierd
        await 60 "the refusal is known" device_is failed
        property Devices | grep -q "pid $holder: uses /dev/$DEVICE" || fail "pid $holder is not named"
        expect_equal "driver while $how" device_dax "$(driver)"
        kill -0 "$holder" || fail "the process was harmed"

        rc=0
        daxtier online "$DEVICE" >/tmp/online.out 2>&1 || rc=$?
        ((rc != 0)) || fail "daxtier online says that it worked"
        grep -q "$holder" /tmp/online.out ||
                fail "daxtier online does not name the process: $(cat /tmp/online.out)"
        expect_equal "the kernel's policy" "$AUTO_ONLINE_FOUND" "$(cat "$AUTO_ONLINE")"

        kill "$holder"
        wait "$holder" 2>/dev/null || :
        await 60 "the device is taken when it is free" device_is online
        expect_equal "blocks online" "$(blocks_total)" "$(blocks_in online)"
        daxtier offline "$DEVICE" >/dev/null
        systemctl stop daxtierd
done
