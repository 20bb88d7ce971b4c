# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes half of the pages of a file through numpy's own copy-on-write map, and checks every byte.

Usage: numpy-cow.py FILE. Says "ready PID" once it has written, waits for a line on its standard
input, then says "content RESULT": "same" if the map equals a shadow copy that was written likewise.
"""
import os
import sys

import numpy

PAGE = 4096

path = sys.argv[1]
shadow = numpy.fromfile(path, dtype=numpy.uint8).reshape(-1, PAGE)
data = numpy.memmap(path, dtype=numpy.uint8, mode="c").reshape(-1, PAGE)

random = numpy.random.default_rng(1)
pages = random.permutation(len(data))[: len(data) // 2]
columns = random.integers(0, PAGE, len(pages))
values = random.integers(0, 256, len(pages), dtype=numpy.uint8)
data[pages, columns] = values
shadow[pages, columns] = values

print("ready", os.getpid(), flush=True)
sys.stdin.readline()
print("content", "same" if numpy.array_equal(data, shadow) else "DIFFERS", flush=True)
