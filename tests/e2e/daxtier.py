# SPDX-License-Identifier: LGPL-2.1-or-later
"""libdaxtier for the end-to-end tests: nothing but ctypes on the installed library."""

import ctypes
import os
import re
import subprocess

PAGE = 4096
DIRECT, STRICT = 1, 2
ANON, PAGE_CACHE, DAX, DEVICE_DAX = range(4)

_lib = ctypes.CDLL('libdaxtier.so.0')
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                       ctypes.c_long]
_lib.daxtier_strerror.restype = ctypes.c_char_p


class Options(ctypes.Structure):
    _fields_ = [('size', ctypes.c_size_t), ('tier', ctypes.c_char_p), ('flags', ctypes.c_uint32),
                ('prot', ctypes.c_int)]


class Info(ctypes.Structure):
    _fields_ = [('size', ctypes.c_size_t), ('start', ctypes.c_uint64), ('end', ctypes.c_uint64),
                ('file', ctypes.c_char_p), ('kind', ctypes.c_int32), ('shared', ctypes.c_int32),
                ('sync', ctypes.c_int32), ('backing_node', ctypes.c_int32),
                ('policy_nodes', ctypes.c_char_p), ('page_cache_bytes', ctypes.c_int64),
                ('cow_bytes', ctypes.c_int64), ('cow_cheap_bytes', ctypes.c_int64),
                ('cow_fast_bytes', ctypes.c_int64), ('read_latency_ns', ctypes.c_int64),
                ('write_latency_ns', ctypes.c_int64), ('read_bandwidth_mib', ctypes.c_int64),
                ('write_bandwidth_mib', ctypes.c_int64), ('perf_source', ctypes.c_int32)]


class Refused(Exception):
    def __init__(self, result):
        super().__init__(f'{result}: {_lib.daxtier_strerror(result).decode()}')
        self.errno = -result


def _check(result):
    if result < 0:
        raise Refused(result)


class Handle:
    def __init__(self):
        self._handle = ctypes.c_void_p()
        _check(_lib.daxtier_open(ctypes.byref(self._handle)))

    def map(self, fd, length, tier=None, flags=0, offset=0):
        """Returns the address."""
        options = Options(ctypes.sizeof(Options), tier.encode() if tier else None, flags, 0)
        address = ctypes.c_void_p()
        _check(_lib.daxtier_map(self._handle, fd, ctypes.c_uint64(offset), ctypes.c_size_t(length),
                                ctypes.byref(options), ctypes.byref(address)))
        return address.value

    def unmap(self, address, length):
        _check(_lib.daxtier_unmap(self._handle, ctypes.c_void_p(address), ctypes.c_size_t(length)))

    def place(self, address, length, tier, flags=0):
        _check(_lib.daxtier_place(self._handle, ctypes.c_void_p(address), ctypes.c_size_t(length),
                                  tier.encode(), ctypes.c_uint32(flags)))

    def query(self, address, pid=0):
        """Returns a dictionary, in which what is not known is None."""
        info = ctypes.POINTER(Info)()
        _check(_lib.daxtier_query(self._handle, pid, ctypes.c_void_p(address), ctypes.byref(info)))
        answer = {name: getattr(info.contents, name) for name, _ in Info._fields_}
        _lib.daxtier_free(info)
        return {name: None if value == -1 else value for name, value in answer.items()}


def mmap(length, prot, flags, fd=-1, offset=0):
    """mmap(2): a bare address, as Python's own mmap objects would touch and unmap what they wish."""
    address = _libc.mmap(None, length, prot, flags, fd, offset)
    if address == ctypes.c_void_p(-1).value:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return address


def view(address, length):
    return (ctypes.c_char * length).from_address(address)


def numa_maps(address, pid='self'):
    """What the kernel says of the mapping that begins there: policy, {'anon': 3, 'N2': 3, …}."""
    with open(f'/proc/{pid}/numa_maps') as maps:
        for line in maps:
            words = re.sub(r'prefer \(many\)', 'prefer', line).split()
            if int(words[0], 16) == address:
                counts = dict(re.findall(r'\b(\w+)=(\d+)\b', line))
                return words[1], {name: int(count) for name, count in counts.items()}
    raise AssertionError(f'nothing is mapped at {address:x}')


def online(device):
    """Onlines a device-dax as memory, without the daemon, and returns its node as text."""
    with open(f'/sys/bus/dax/devices/{device}/target_node') as file:
        node = file.read().strip()
    subprocess.run(['daxtier', 'online', device], check=True)
    return node
