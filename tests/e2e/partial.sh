#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,6.12,7.3 timeout=300
#
# A block with a page that cannot move stays online: it is named with the reason, the others go, the
# device stays with kmem, and the rest is tried again until it goes. Online in between brings all
# back.

cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/lib.sh
source ./lib.sh

# A page of the node in a pipe, given by vmsplice(): nobody can migrate it while it is there.
pin_start() {
        rm -f /run/daxtier-test-pinned
        python3 - "$(node)" <<'END' &
import ctypes, mmap, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
memory = mmap.mmap(-1, 4096)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
mask = ctypes.c_ulong(1 << int(sys.argv[1]))
if libc.syscall(237, ctypes.c_void_p(address), ctypes.c_ulong(4096), 2, ctypes.byref(mask),
                ctypes.c_ulong(64), 0) != 0:
    sys.exit("mbind: " + os.strerror(ctypes.get_errno()))
memory[0:4] = b"here"
reader, writer = os.pipe()
iovec = Iovec(address, 4096)
if libc.vmsplice(writer, ctypes.byref(iovec), ctypes.c_ulong(1), 0) != 4096:
    sys.exit("vmsplice: " + os.strerror(ctypes.get_errno()))
open("/run/daxtier-test-pinned", "w").close()
signal.pause()
END
        pinner=$!
        await 60 "a page is pinned" test -e /run/daxtier-test-pinned
        rm /run/daxtier-test-pinned
}

service_start
pin_start

rc=0
daxtier offline --json "$DEVICE" >/tmp/offline.json || rc=$?
((rc != 0)) || fail "offline says that it worked"
expect_equal "blocks that stayed" 1 "$(blocks_here)"
expect_equal "driver" kmem "$(driver)"
stuck=$(for block in $(blocks); do
        [[ $(cat "/sys/devices/system/memory/$block/state") == offline ]] || echo "$block"
done)
grep -q "$stuck" /tmp/offline.json || fail "$stuck is not in the answer: $(cat /tmp/offline.json)"
expect_equal "state" partial "$(device_state)"
property Devices | grep -q "$stuck: offline: .*busy" || fail "the reason does not name $stuck"
property Problems | grep -q "$stuck" || fail "no problem names $stuck"
kill -0 "$pinner" || fail "the program was harmed"

daxtier online "$DEVICE" >/dev/null
expect_equal "blocks online again" "$(blocks_total)" "$(blocks_in online)"
expect_equal "state when asked back" online "$(device_state)"

daxtier offline "$DEVICE" >/dev/null || :
expect_equal "blocks that stayed the second time" 1 "$(blocks_here)"
kill "$pinner"
wait "$pinner" 2>/dev/null || :
await 90 "the rest goes once it can" device_is offline
expect_equal "driver" device_dax "$(driver)"
expect_equal "how often success was told" 1 "$(journal_count 'offline on request, left so')"
