# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares `daxtier query PID --json` (standard input) with what numa_maps said of one file.

Usage: compare-query.py FILE COW_BYTES CHEAP_BYTES FAST_BYTES
"""
import json
import sys

path = sys.argv[1]
expected = dict(zip(("cow_bytes", "cow_cheap_bytes", "cow_fast_bytes"), map(int, sys.argv[2:5])))
mappings = [m for m in json.load(sys.stdin)["mappings"] if m["file"] == path]
found = {key: sum(m[key] for m in mappings) for key in expected}
if found != expected or any(m["kind"] != "dax" for m in mappings):
    sys.exit(f"demo: daxtier query and numa_maps disagree about {path}: {found}, not {expected}")
