#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,6.12,7.3 timeout=240
#
# Restart, kill -9, reload and stop while a program uses the node: what it holds stays as it is, and
# nothing is onlined twice.

cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/lib.sh
source ./lib.sh

# A program with 64 MiB on the node, which checks all of it at each line it is told.
program_start() {
        coproc PROGRAM {
                exec python3 - "$(node)" 3<&0 <<'END'
import ctypes, mmap, os, sys
libc = ctypes.CDLL(None, use_errno=True)
size, node = 64 << 20, int(sys.argv[1])
memory = mmap.mmap(-1, size)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
mask = ctypes.c_ulong(1 << node)
if libc.syscall(237, ctypes.c_void_p(address), ctypes.c_ulong(size), 2, ctypes.byref(mask),
                ctypes.c_ulong(64), 0) != 0:
    sys.exit("mbind: " + os.strerror(ctypes.get_errno()))
for page in range(0, size, 4096):
    memory[page:page + 8] = page.to_bytes(8, "little")
print("ready", flush=True)
for line in os.fdopen(3):
    bad = sum(memory[page:page + 8] != page.to_bytes(8, "little")
              for page in range(0, size, 4096))
    here = sum(int(word.split("=")[1]) for vma in open("/proc/self/numa_maps")
               for word in vma.split() if word.startswith(f"N{node}="))
    print("ok" if bad == 0 and here * 4096 >= size else f"bad={bad} pages_here={here}", flush=True)
END
        }
        read -r -t 60 line <&"${PROGRAM[0]}" || fail "the program did not start"
        expect_equal "the program" ready "$line"
}

program_check() {
        local line
        echo check >&"${PROGRAM[1]}"
        read -r -t 60 line <&"${PROGRAM[0]}" || fail "the program is gone after $1"
        expect_equal "its memory after $1" ok "$line"
        expect_equal "blocks online after $1" "$(blocks_total)" "$(blocks_in online)"
        expect_equal "the kernel's policy after $1" "$AUTO_ONLINE_FOUND" "$(cat "$AUTO_ONLINE")"
        expect_equal "devices onlined after $1" 1 "$(journal_count 'all memory is online.*done now')"
}

service_start
program_start
program_check "the start"

systemctl restart daxtierd
await 60 "adopted after a restart" device_is online
program_check "a restart"

systemctl reload daxtierd
await 60 "still online after a reload" device_is online
program_check "a reload"

pid=$(main_pid)
kill -9 "$pid"
killed() {
        [[ $(main_pid) != 0 && $(main_pid) != "$pid" ]]
}
await 60 "started again after kill -9" killed
await 60 "adopted after kill -9" device_is online
program_check "kill -9"

systemctl stop daxtierd
program_check "a stop"
await 60 "adopted twice" test "$(journal_count 'all memory is online.*found so')" = 2

# What a killed job leaves of the kernel's policy is put back at the next start.
if [[ $AUTO_ONLINE_FOUND != online_movable ]]; then
        echo "$AUTO_ONLINE_FOUND online_movable" >/run/daxtierd/auto-online
        echo online_movable >"$AUTO_ONLINE"
        systemctl start daxtierd
        expect_equal "the policy that a killed job left" "$AUTO_ONLINE_FOUND" "$(cat "$AUTO_ONLINE")"
fi
kill "$PROGRAM_PID"
