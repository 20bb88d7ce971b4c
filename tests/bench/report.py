#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the documents' table and plot of what `tests/lab bench --write` printed.

Usage: report.py DOCS. Reads DOCS/benchmarks/KERNEL.txt, one for each kernel that was measured, and
writes DOCS/benchmarks.md and DOCS/benchmarks.svg.
"""

import math
import sys
from pathlib import Path

# What a part is called, what it shows, and how its names begin.
SECTIONS = [
    ('Writing at once',
     '''A static program that knows nothing of daxtierd maps 256 MiB of a DAX file and writes to every
page at once, so that nobody can have been there before. *At once* is what was in DRAM when the last
page was written and they were counted; *ever* is what was moved from there since, and what is left. The baseline is the
same program without a policy; medians of five by turns. *policy-after* is how long these waited for
their policy: the program maps as soon as it runs.''',
     ('written-at-once',)),
    ('From mmap() to the policy',
     '''Fresh mappings, one after the other, each awaited, with rests of up to 50 ms between. As the
service counts it, and (*seen*) as the program itself saw it, which looks every 50 us. The baseline is a
program that reads the mappings of all processes every 5 s, until it has found such a mapping; what it
would then do about it comes on top.''',
     ('place-',)),
    ('How long a program is stopped',
     '''*target-pause* is from the stop of a thread until it is let go again, in the run above; its baseline
is a bare `PTRACE_SEIZE`, `PTRACE_INTERRUPT`, `PTRACE_DETACH` of such a program in the same run, also from
the stop on; *bare-stop-and-detach* is that from the request on. *inject* is from the injector's own
10,000 calls in a mixed set of programs, beside a bare stop of the same. An emulated processor makes
the checks of a stop dear: they read /proc.''',
     ('target-pause', 'bare-stop', 'inject-stop', 'inject-ask', 'inject-spinning')),
    ('Harm',
     '''10,000 calls in a mixed set of programs that take any end of a wait but the one they asked for as
harm; and the service killed with SIGKILL at random moments, from its first steps to full work, while
programs map, write, wait and check what they read.''',
     ('inject-', 'kill-')),
    ('Moving copies that exist',
     '''64 MiB of copies in DRAM get a policy while their program goes on writing to all of them. *slow*
is one thread that rests 1 ms after 64 pages, *hot* two threads that never rest. The gap is the longest
time between two writes of a thread; its baseline the same program as long without a policy.''',
     ('move-',)),
    ('Moving anonymous memory',
     '''The mover by itself, on memory of an idle program that moves between DRAM and the cheap node in small
pages; *huge*: in huge ones. *cpu* is the mover's processor time for each GiB at three sizes; its baseline
one raw `move_pages()` call for the same pages. The longest call is held against `PauseMax=`, calls that
took longer against all calls. *rate* is what was moved in 5 s, in MB/s, held against the rate that it was
told; *max* is without one: what this machine can do.''',
     ('anon-mover-',)),
    ('At rest, and for each event',
     '''1,000 sleeping processes of 100 mappings each, all with copies; the baseline is the service with
nothing to watch. *event-ignored* is the service's processor time for a mapping that is heard of and is
none of its business; the baseline is what the `mmap()` and `munmap()` take that make it.''',
     ('crowd-', 'idle-', 'event-', 'map-cost-')),
    ('Anonymous memory, from the first page on',
     '''Under `[Anon] Tier=cheap`. A program starts, maps 256 MiB and writes to it at once: *at once*, *ever*
and *at the end* as above. *map* is a program that maps, touches and unmaps a page 10,000 times a second, if
it can: what one takes of its processor (*watched*: under a policy for copies alone), how many it made, the
calls that were made in it, and the service's processor time for each. *idle* is the service while a program has a large heap and does nothing. The
baseline is the same without a policy; of *map-calls* the mappings.''',
     ('anon-started', 'anon-map', 'anon-idle')),
    ('Cold and hot memory',
     '''One half of a 1 GiB heap is read again and again, the other left alone, all of it in DRAM at first; then it
comes under `ColdAfter=10s`. After three times that: which share of the cold half is on the cheap node, which of
the hot half still in DRAM, and which of the watched pages moved more than once. The baseline is the kernel's
demotion alone: the same program without a policy, whose cgroup is asked to reclaim half of the heap.''',
     ('heat-',)),
    ('A limit in DRAM',
     '''A program in a cgroup with `FastMax=128M` writes to 512 MiB at once. *on-fast* is what it has in DRAM once
it has settled, and *most-once-settled* the most in 5 s after that, held against the limit. *hot-on-fast* is
what stays in DRAM of 64 MiB that a program reads again and again, if the policy comes once it has 512. The
baseline of that, and of the time, is the kernel's demotion alone: one request to `memory.reclaim` for what
is too much. *neighbour* is a program in another cgroup, without a policy.''',
     ('anon-fastmax',)),
    ("Redis' fork",
     '''Debian's Redis with 400 MB of data saves them in a fork (`BGSAVE`) while clients write. *rdb-last-cow-size*
is Redis' own count of what the fork had to itself; *copied* by how much its cgroup's anonymous memory grew
meanwhile, at most; *after* is all of it once the save is over, and *listed* what `daxtier list` says of the
server then. The baseline is the same without a policy; of *listed-cheap* what the cgroup has. A digest of all keys
and values that is not as before would be wrong.''',
     ('anon-redis',)),
    ('The library and the shim',
     'Held against the same by hand.',
     ('',)),
]

CURVES = [
    ('bare-stop', 'bare stop of a program, to its resume', '#8c959f'),
    ('target-pause', 'stop to resume, with the call', '#2f6fb0'),
    ('place-latency', 'mmap() to the policy', '#bc5a00'),
    ('polled-latency', 'mmap() to a poller, every 5 s', '#6e40aa'),
]

HEAD = '''<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->
# Benchmarks

What `sudo tests/lab bench --write` saw (`--kernel` for another kernel than 6.12); it wrote this page,
the plot, and the lines that they are made of, which are in `benchmarks/`. The machine is
[the lab's](lab.md): under emulation (*qemu*) no tier is slower than another, everything is some ten times
as slow as on metal, and only ratios within a run say anything. The policies have `PauseMax=100ms`, as
the checks of a stop take up to 10 ms there.

{machines}

![How many of all took no longer: mmap() to the policy, a 5 s poller, stop to resume, a bare stop](benchmarks.svg)

A cell is the value, and in parentheses the baseline and value / baseline.
'''


def read(path):
    """A kernel's measurements: its machine, its lines by name, its curves by name."""
    machine, lines, curves = '', {}, {}
    for text in path.read_text().splitlines():
        words = text.split()
        if text.startswith('# machine '):
            machine = text.removeprefix('# machine ')
        elif text.startswith('# plot '):
            numbers = [float(word) for word in words[3:]]
            curves[words[2]] = list(zip(numbers[::2], numbers[1::2]))
        elif len(words) == 5 and words[0] != 'name':
            lines[words[0]] = words[1:]
    return machine, lines, curves


def cell(line):
    if not line:
        return ''
    value, unit, baseline, ratio = line
    text = f'{value} {unit}'
    return text if float(ratio) == 0 else f'{text} ({baseline}; {ratio})'


def table(names, kernels, runs):
    yield '| | ' + ' | '.join(kernels) + ' |'
    yield '|---' * (len(kernels) + 1) + '|'
    for name in names:
        yield f'| {name} | ' + ' | '.join(cell(lines.get(name)) for _, lines, _ in runs) + ' |'


def page(kernels, runs):
    machines = '\n'.join(f'- {kernel}: {machine}' for kernel, (machine, _, _) in zip(kernels, runs))
    out = [HEAD.format(machines=machines)]
    left = list(dict.fromkeys(name for _, lines, _ in runs for name in lines))
    for title, text, prefixes in SECTIONS:
        names = [name for name in left if name.startswith(prefixes)]
        left = [name for name in left if name not in names]
        if names:
            out += [f'## {title}\n', text + '\n', *table(names, kernels, runs), '']
    return '\n'.join(out)


LEFT, WIDTH, HEIGHT, GAP = 60, 700, 200, 70
FROM, TO = -5.5, 1.0  # powers of ten seconds


def x_of(seconds):
    return LEFT + WIDTH * (min(max(math.log10(seconds), FROM), TO) - FROM) / (TO - FROM)


def panel(kernel, curves, top):
    """One kernel's curves, and the axes."""
    bottom = top + HEIGHT
    yield f'<text class="head" x="{LEFT}" y="{top - 12}">{kernel}</text>'
    for power, label in zip(range(-5, 2), ('10 us', '100 us', '1 ms', '10 ms', '100 ms', '1 s', '10 s')):
        x = x_of(10.0 ** power)
        yield f'<path class="grid" d="M{x:.1f} {top}V{bottom}"/>'
        yield f'<text class="soft mid" x="{x:.1f}" y="{bottom + 18}">{label}</text>'
    for percent in (0, 50, 99):
        y = bottom - HEIGHT * percent / 100
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{LEFT + WIDTH}"/>'
        yield f'<text class="soft end" x="{LEFT - 8}" y="{y + 5:.1f}">{percent} %</text>'
    for name, _, colour in CURVES:
        points = ' '.join(f'{x_of(max(seconds, 1e-9)):.1f},{bottom - HEIGHT * share:.1f}'
                          for seconds, share in curves.get(name, []))
        yield f'<polyline class="curve" stroke="{colour}" points="{points}"/>'


def plot(kernels, runs):
    height = 60 + len(kernels) * (HEIGHT + GAP)
    out = [f'''<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 {height}" width="800" height="{height}" role="img"
     aria-labelledby="title" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif">
<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->
<title id="title">How many of all took no longer than a time, on a logarithmic scale</title>
<style>
    .card {{ fill: #ffffff }}
    .grid {{ stroke: #d0d7de; fill: none }}
    .curve {{ fill: none; stroke-width: 2.5; stroke-linejoin: round }}
    text {{ fill: #24292f; font-size: 14px }}
    .head {{ font-size: 17px; font-weight: bold }}
    .soft {{ fill: #57606a; font-size: 13px }}
    .mid {{ text-anchor: middle }}
    .end {{ text-anchor: end }}
</style>
<rect class="card" width="800" height="{height}"/>''']
    for i, (_, label, colour) in enumerate(CURVES):
        x, y = LEFT + 350 * (i % 2), 18 + 22 * (i // 2)
        out.append(f'<path class="curve" stroke="{colour}" d="M{x} {y - 5}h28"/>'
                   f'<text x="{x + 36}" y="{y}">{label}</text>')
    for i, (kernel, (_, _, curves)) in enumerate(zip(kernels, runs)):
        out += panel(kernel, curves, 80 + i * (HEIGHT + GAP))
    return '\n'.join(out) + '\n</svg>\n'


def main():
    docs = Path(sys.argv[1])
    paths = sorted(docs.glob('benchmarks/*.txt'), key=lambda path: [int(n) for n in path.stem.split('.')])
    kernels = [path.stem for path in paths]
    runs = [read(path) for path in paths]
    if not runs:
        sys.exit('report.py: there is nothing to report')
    (docs / 'benchmarks.md').write_text(page(kernels, runs))
    (docs / 'benchmarks.svg').write_text(plot(kernels, runs))


if __name__ == '__main__':
    main()
