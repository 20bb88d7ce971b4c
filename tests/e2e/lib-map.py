# SPDX-License-Identifier: LGPL-2.1-or-later
"""See lib-map.sh."""

import errno
import hashlib
import mmap as flags
import os
import random
import subprocess
import sys

import daxtier
from daxtier import DIRECT, PAGE, STRICT

PAGES = 512
LENGTH = PAGES * PAGE
RW = flags.PROT_READ | flags.PROT_WRITE
MAP_SHARED_VALIDATE, MAP_SYNC = 0x03, 0x80000
FILE, CACHED, DEVICE = '/mnt/pmem/lib-map', '/var/tmp/lib-map', '/dev/dax1.0'


def check(condition, what):
    if not condition:
        sys.exit(f'lib-map: {what}')


def equal(found, wanted, what):
    check(found == wanted, f'{what}: {found!r}, not {wanted!r}')


def refused(error, what, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except daxtier.Refused as reason:
        equal(errno.errorcode[reason.errno], errno.errorcode[error], what)
    else:
        sys.exit(f'lib-map: {what}: not refused')


def make_file(path):
    """Returns a read-only descriptor and the content."""
    content = random.Random(path).randbytes(LENGTH)
    with open(path, 'wb') as file:
        file.write(content)
        os.fsync(file.fileno())
    return os.open(path, os.O_RDONLY), content


def digest(path):
    with open(path, 'rb') as file:
        return hashlib.sha256(file.read()).hexdigest()


def attribute(path):
    with open(path) as file:
        return int(file.read(), 0)


def without_a_tier(handle, fd):
    """The device is not online yet."""
    refused(errno.ENXIO, 'no cheap node', handle.map, fd, LENGTH)
    refused(errno.ENXIO, 'no such node', handle.map, fd, LENGTH, 'node:9')

    address = handle.map(fd, LENGTH, 'default')
    daxtier.view(address, LENGTH)[0] = b'x'
    equal(daxtier.numa_maps(address)[1].get('N0'), 1, 'copies of the default tier')
    handle.unmap(address, LENGTH)


def device_dax(handle):
    device = os.open(DEVICE, os.O_RDWR)
    refused(errno.EOPNOTSUPP, 'device-dax', handle.map, device, 2 << 20)

    address = daxtier.mmap(2 << 20, RW, flags.MAP_SHARED, device)
    daxtier.view(address, PAGE)[0] = b'x'
    answer = handle.query(address)
    equal(answer['kind'], daxtier.DEVICE_DAX, 'kind of a device-dax')
    equal(answer['shared'], 1, 'a device-dax is shared')
    equal(answer['page_cache_bytes'], 0, 'a device-dax and the page cache')
    equal(answer['backing_node'], attribute('/sys/bus/dax/devices/dax1.0/target_node'),
          'node of a device-dax')
    daxtier._libc.munmap(daxtier.ctypes.c_void_p(address), daxtier.ctypes.c_size_t(2 << 20))
    os.close(device)


def copies_go_to_the_cheap_node(handle, fd, content, cheap):
    """All of them, with the right content, and the file stays as it is."""
    before = digest(FILE)
    address = handle.map(fd, LENGTH, flags=DIRECT)
    memory, shadow = daxtier.view(address, LENGTH), bytearray(content)
    equal(memory.raw, content, 'content before a write')

    for page in range(0, PAGES, 2):
        at = page * PAGE + page
        memory[at] = shadow[at:at + 1] = bytes([page % 251])
    check(memory.raw == bytes(shadow), 'content differs from the shadow copy')

    policy, counts = daxtier.numa_maps(address)
    equal(policy, f'prefer:{cheap}', 'policy')
    equal(counts.get('anon'), PAGES // 2, 'copies')
    equal(counts.get(f'N{cheap}'), PAGES // 2, 'copies on the cheap node')
    equal(digest(FILE), before, 'the file')
    return address


def queries(handle, dax, fd, cached_fd, cheap):
    answer = handle.query(dax + 5 * PAGE)
    half = LENGTH // 2
    region = attribute('/sys/block/pmem0/device/../target_node')
    wanted = {'start': dax, 'end': dax + LENGTH, 'file': FILE.encode(), 'kind': daxtier.DAX,
              'shared': 0, 'sync': 0, 'backing_node': region, 'policy_nodes': cheap.encode(),
              'page_cache_bytes': 0, 'cow_bytes': half, 'cow_cheap_bytes': half,
              'cow_fast_bytes': 0}
    for name, value in wanted.items():
        equal(answer[name], value, f'{name} of a private DAX mapping, half copied')
    if not os.path.exists(f'/sys/devices/system/node/node{region}'):
        equal(answer['read_latency_ns'], None, 'latency of a node that is not online')

    shared_fd = os.open(FILE, os.O_RDWR)
    shared = daxtier.mmap(LENGTH, RW, MAP_SHARED_VALIDATE | MAP_SYNC, shared_fd)
    answer = handle.query(shared)
    for name, value in {'kind': daxtier.DAX, 'shared': 1, 'sync': 1, 'cow_bytes': 0,
                        'policy_nodes': None, 'page_cache_bytes': 0}.items():
        equal(answer[name], value, f'{name} of a shared MAP_SYNC mapping')

    os.posix_fadvise(cached_fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.pread(cached_fd, LENGTH, 0)
    cached = handle.map(cached_fd, LENGTH)
    daxtier.view(cached, LENGTH)[0] = b'x'
    answer = handle.query(cached)
    for name, value in {'kind': daxtier.PAGE_CACHE, 'backing_node': None,
                        'page_cache_bytes': LENGTH, 'cow_bytes': PAGE, 'cow_cheap_bytes': PAGE,
                        'policy_nodes': cheap.encode()}.items():
        equal(answer[name], value, f'{name} of a page-cache file')

    anonymous = daxtier.mmap(LENGTH, RW, flags.MAP_PRIVATE | flags.MAP_ANONYMOUS)
    handle.place(anonymous, LENGTH, 'cheap')
    daxtier.view(anonymous, LENGTH)[0:LENGTH] = b'x' * LENGTH
    answer = handle.query(anonymous)
    for name, value in {'kind': daxtier.ANON, 'file': None, 'cow_bytes': LENGTH,
                        'cow_cheap_bytes': LENGTH, 'policy_nodes': cheap.encode(),
                        'backing_node': None}.items():
        equal(answer[name], value, f'{name} of anonymous memory with a policy of its own')
    hmat = f'/sys/devices/system/node/node{cheap}/access1/initiators'
    for name, file in {'read_latency_ns': 'read_latency', 'write_latency_ns': 'write_latency',
                       'read_bandwidth_mib': 'read_bandwidth',
                       'write_bandwidth_mib': 'write_bandwidth'}.items():
        equal(answer[name], attribute(f'{hmat}/{file}'), f'{name} of memory on the cheap node')


def inheritance(handle, fd, cheap):
    """A child's copies, and copies of copies, go where the parent's go."""
    address = handle.map(fd, LENGTH)
    memory = daxtier.view(address, LENGTH)
    memory[0] = b'p'
    child = os.fork()
    if child == 0:
        memory[0] = memory[PAGE] = b'c'
        counts = daxtier.numa_maps(address)[1]
        os._exit(0 if counts.get(f'N{cheap}') == 2 and memory[0] == b'c' else 1)
    equal(os.waitpid(child, 0)[1], 0, 'copies of a child')
    equal(memory[0], b'p', 'the parent after its child wrote')


def bad_input(handle, fd, cached_fd):
    refused(errno.EMEDIUMTYPE, 'DIRECT and the page cache', handle.map, cached_fd, LENGTH,
            flags=DIRECT)

    sparse = os.open('/mnt/pmem/lib-map-sparse', os.O_RDWR | os.O_CREAT)
    os.ftruncate(sparse, 64 << 30)
    refused(errno.ENOSPC, 'STRICT without the room', handle.map, sparse, 64 << 30, flags=STRICT)
    address = handle.map(sparse, 64 << 30)
    handle.unmap(address, 64 << 30)
    os.unlink('/mnt/pmem/lib-map-sparse')

    # The same handle's library in a process that the cpuset keeps off the cheap node.
    confined = subprocess.run(['systemd-run', '--quiet', '--wait', '--pipe', '--property',
                               'AllowedMemoryNodes=0', '--working-directory', os.getcwd(),
                               sys.executable, __file__, 'confined'])
    equal(confined.returncode, 0, 'a process that its cpuset keeps off the cheap node')


def huge_pages(handle):
    """mmap() rounds the length up to the huge page, mbind() and munmap() do not: nothing may stay."""
    with open('/proc/sys/vm/nr_hugepages', 'w') as file:
        file.write('2')
    fd = os.memfd_create('lib-map', os.MFD_HUGETLB)
    os.ftruncate(fd, 4 << 20)
    with open('/proc/self/maps') as maps:
        before = maps.read().count('memfd:lib-map')
    try:
        handle.map(fd, PAGE)
    except daxtier.Refused:
        with open('/proc/self/maps') as maps:
            equal(maps.read().count('memfd:lib-map'), before, 'huge pages that stayed mapped')
    address = handle.map(fd, 4 << 20)
    handle.unmap(address, 4 << 20)
    os.close(fd)
    with open('/proc/sys/vm/nr_hugepages', 'w') as file:
        file.write('0')


def confined():
    fd = os.open(FILE, os.O_RDONLY)
    refused(errno.EPERM, 'the cheap node outside the cpuset', daxtier.Handle().map, fd, LENGTH)


def main():
    if sys.argv[1:] == ['confined']:
        return confined()

    handle = daxtier.Handle()
    fd, content = make_file(FILE)
    cached_fd, _ = make_file(CACHED)

    without_a_tier(handle, fd)
    device_dax(handle)

    cheap = daxtier.online('dax1.0')
    address = copies_go_to_the_cheap_node(handle, fd, content, cheap)
    queries(handle, address, fd, cached_fd, cheap)
    inheritance(handle, fd, cheap)
    bad_input(handle, fd, cached_fd)
    huge_pages(handle)
    print(f'lib-map: {PAGES // 2} of {PAGES // 2} copies on node {cheap}, content right')


main()
