# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every packet that leaves or reaches a node of the test bed, and what they carried, connection by connection.

A node's own interface is listened to, as tcpdump would, so that what its containers send by it is seen too.
"""

from __future__ import annotations

import contextlib
import struct
import subprocess
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

#: Runs in a node until its input ends: frames, each behind its length; an empty one when it has begun. Its last words are the packets
#: that the kernel had to drop.
LISTEN = """
import select, socket, struct, sys
frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
frames.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
frames.bind(("eth0", 0))
out = sys.stdout.buffer
def put(frame):
    out.write(struct.pack(">I", len(frame)) + frame)
put(b"")
out.flush()
while sys.stdin not in select.select([frames, sys.stdin], [], [])[0]:
    put(frames.recv(1 << 18))
while select.select([frames], [], [], 0)[0]:
    put(frames.recv(1 << 18))
out.flush()
print(struct.unpack("II", frames.getsockopt(263, 6, 8))[1], file=sys.stderr)  # SOL_PACKET, PACKET_STATISTICS
"""
SYN = 0x02
ROUND = 1 << 32

Address = tuple[str, int]


@dataclass
class Stream:
    """What one side of a connection sent to the other."""

    source: Address
    target: Address
    first: int
    #: Whether its beginning was seen.
    opened: bool
    _segments: dict[int, bytes] = field(default_factory=dict)

    def add(self, sequence: int, payload: bytes) -> None:
        """What is sent again may be longer than before."""
        place = (sequence - self.first) % ROUND
        if place < ROUND // 2 and len(payload) > len(self._segments.get(place, b"")):
            self._segments[place] = payload

    def data(self) -> bytes:
        """In the order in which it was sent; what was not seen is missing."""
        found, end = bytearray(), 0
        for place, payload in sorted(self._segments.items()):
            found += payload[max(0, end - place) :]
            end = max(end, place + len(payload))
        return bytes(found)


def streams(frames: Iterable[bytes]) -> list[Stream]:
    """Of TCP over IPv4, both directions of every connection by themselves."""
    current: dict[tuple[Address, Address], Stream] = {}
    found = []
    for frame in frames:
        if frame[12:14] != b"\x08\x00" or frame[23] != 6:
            continue
        packet = frame[14:]
        segment = packet[(packet[0] & 15) * 4 : int.from_bytes(packet[2:4], "big")]
        ports = struct.unpack(">HH", segment[:4])
        source, target = (".".join(map(str, packet[12:16])), ports[0]), (".".join(map(str, packet[16:20])), ports[1])
        sequence, opens = int.from_bytes(segment[4:8], "big"), bool(segment[13] & SYN)
        first = (sequence + 1) % ROUND if opens else sequence
        stream = current.get((source, target))
        if stream is None or (opens and stream.first != first):
            stream = current[source, target] = Stream(source, target, first, opens)
            found.append(stream)
        stream.add(first if opens else sequence, segment[(segment[12] >> 4) * 4 :])
    return found


class Capture:
    """The frames of one node, while it is listened to."""

    def __init__(self, node: str) -> None:
        self._process = subprocess.Popen(
            ["docker", "exec", "--interactive", node, "python3", "-c", LISTEN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.frames: list[bytes] = []
        self._begun = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._begun.wait(30), f"nobody listens in {node}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        while len(head := self._process.stdout.read(4)) == 4:
            frame = self._process.stdout.read(struct.unpack(">I", head)[0])
            if frame:
                self.frames.append(frame)
            else:
                self._begun.set()

    def end(self) -> None:
        """Raise AssertionError unless every packet was seen."""
        with self._process as process:
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.close()
            self._reader.join(60)
            said = process.stderr.read().decode()
        assert said.strip() == "0", f"not every packet was seen: {said}"


@contextlib.contextmanager
def capture(*nodes: str) -> Iterator[dict[str, Capture]]:
    """What these nodes send and get meanwhile; complete when this has ended."""
    begun: dict[str, Capture] = {}
    try:
        for node in nodes:
            begun[node] = Capture(node)
        yield begun
    finally:
        for one in begun.values():
            one.end()
