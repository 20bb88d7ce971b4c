#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The injector's client, for tests: daemon/kernel/inject.h has the messages.

    place PID ADDRESS NODE    one request; prints "step=0 error=0 result=0 thread=7"
    thread PID TID NODE       the same for the policy of a thread; NODE - is none
    version                   one of a version that does not exist
    storm NODE PID:ADDRESS…   requests for ever, to NODE and to no policy in turn, of the mapping and of
                              the thread, over connections of its own; SIGTERM: prints how many were
                              "done=N refused=N lost=N"
"""
import signal
import socket
import struct
import sys

SOCKET = "/run/daxtierd/injector"
VERSION = 3
NODES_MAX = 1024


def mapping_of(pid, address):
    """Start, end, offset, major, minor and inode of the mapping there."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="surrogateescape") as maps:
        for line in maps:
            span, _, offset, device, inode = line.split()[:5]
            start, end = (int(part, 16) for part in span.split("-"))
            if start <= address < end:
                major, minor = (int(part, 16) for part in device.split(":"))
                return start, end, int(offset, 16), major, minor, int(inode)
    sys.exit(f"{pid} has nothing at {address:#x}")


MBIND, SET_MEMPOLICY = range(2)
FORMAT = "=IIIIIIQiIIiQQQQQQ"


def start_time(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="surrogateescape") as stat:
        return int(stat.read().rpartition(")")[2].split()[19])


def message_of(call, pid, thread, place, nodes):
    """An InjectRequest. Place is start, end, offset, major, minor and inode of a mapping."""
    start, end, offset, major, minor, inode = place
    mask = sum(1 << node for node in nodes).to_bytes(NODES_MAX // 8, "little")
    return struct.pack(FORMAT, VERSION, call, 0, 0, 0, 0, 10**9, pid, major, minor, thread, start_time(pid),
                       inode, start, offset, start, end) + mask


def request(pid, address, nodes):
    return message_of(MBIND, pid, 0, mapping_of(pid, address), nodes)


def thread_request(pid, thread, nodes):
    return message_of(SET_MEMPOLICY, pid, thread, (0, 0, 0, 0, 0, 0), nodes)


def connect():
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(SOCKET)
    return connection


def ask(connection, message):
    """None: the injector ended before it could answer."""
    connection.send(message)
    answer = connection.recv(64)
    if not answer:
        return None
    names = ("version", "step", "error", "result", "thread", "flags", "stop_ns", "pause_ns")
    return dict(zip(names, struct.unpack("=IIiiiIQQ", answer)))


def storm(node, targets):
    counts = dict(done=0, refused=0, lost=0)
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    turn, connection = 0, None
    while not ended:
        pid, address = targets[turn % len(targets)]
        of_thread, no_policy = divmod(turn // len(targets) % 4, 2)
        nodes = [] if no_policy else [node]
        turn += 1
        try:
            connection = connection or connect()
            outcome = ask(connection, thread_request(pid, pid, nodes) if of_thread
                          else request(pid, address, nodes))
        except OSError:
            outcome = None
        if outcome is None:
            counts["lost"] += 1
            connection = None
        elif (outcome["step"], outcome["error"], outcome["result"]) == (0, 0, 0):
            counts["done"] += 1
        else:
            counts["refused"] += 1
    print(*(f"{name}={count}" for name, count in counts.items()))


def main():
    command, *words = sys.argv[1:]
    if command == "storm":
        targets = [tuple(int(part, 0) for part in word.split(":")) for word in words[1:]]
        storm(int(words[0]), targets)
        return
    if command == "version":
        message = bytearray(struct.calcsize(FORMAT) + NODES_MAX // 8)
        message[0] = 250
    elif command == "thread":
        pid, thread = (int(word) for word in words[:2])
        message = thread_request(pid, thread, [] if words[2] == "-" else [int(words[2])])
    else:
        pid, address, node = (int(word, 0) for word in words)
        message = request(pid, address, [node])
    outcome = ask(connect(), message)
    if outcome is None:
        sys.exit("no answer")
    print("step={step} error={error} result={result} thread={thread}".format(**outcome))


main()
