#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program that knows nothing of us: injector-target.py FILE. Maps FILE privately, prints
"PID:ADDRESS", and waits in epoll_wait(). At each byte on its standard input it writes to every page,
checks all it has, and prints "ok"."""
import ctypes
import mmap
import os
import select
import sys

with open(sys.argv[1], "rb") as file:
    memory = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    content = file.read()
print(f"{os.getpid()}:{ctypes.addressof(ctypes.c_char.from_buffer(memory)):#x}", flush=True)

waiting = select.epoll()
waiting.register(0, select.EPOLLIN)
expected = bytearray(content)
while waiting.poll() and os.read(0, 1):
    for page in range(0, len(memory), mmap.PAGESIZE):
        memory[page:page + 8] = expected[page:page + 8] = page.to_bytes(8, "little")
    with open(sys.argv[1], "rb") as file:
        whole = memory[:] == expected and file.read() == content
    print("ok" if whole else "bad", flush=True)
