# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import struct

import pytest
from support.capture import SYN, streams

NEAR, FAR = ("10.0.0.1", 40000), ("10.0.0.2", 8400)
ACK = 0x10


def frame(sequence: int, payload: bytes = b"", *, flags: int = ACK, backwards: bool = False, padding: bytes = b"") -> bytes:
    source, target = (FAR, NEAR) if backwards else (NEAR, FAR)
    # With options in both headers, which are no part of what was sent.
    segment = struct.pack(">HHIIBBHHH", source[1], target[1], sequence % 2**32, 0, 6 << 4, flags, 0, 0, 0) + b"OPTI" + payload
    addresses = bytes(map(int, (source[0] + "." + target[0]).split(".")))
    packet = struct.pack(">BBHIBBH", 0x46, 0, 24 + len(segment), 0, 64, 6, 0) + addresses + b"OPTI" + segment
    return b"\xff" * 12 + b"\x08\x00" + packet + padding


def sent(*frames: bytes) -> list[tuple[int, bool, bytes]]:
    return [(stream.source[1], stream.opened, stream.data()) for stream in streams(frames)]


@pytest.mark.parametrize("begin", [100, 2**32 - 2], ids=["plain", "around"])
def test_what_was_sent_is_put_together_in_its_order(begin: int) -> None:
    frames = [
        frame(begin, flags=SYN),
        frame(700, flags=SYN | ACK, backwards=True),
        frame(begin + 4, b"def"),
        frame(begin + 1, b"abc", padding=b"\0" * 6),
        frame(701, b"answer", backwards=True),
        frame(begin + 4, b"defgh"),
        frame(begin + 8, b"hij"),
        frame(begin + 11),
    ]
    assert sent(*frames) == [(40000, True, b"abcdefghij"), (8400, True, b"answer")]


def test_a_connection_that_was_there_before() -> None:
    assert sent(frame(500, b"on"), frame(499, b"x"), frame(502, b"ward")) == [(40000, False, b"onward")]


def test_the_same_ports_again_are_another_connection() -> None:
    opening = frame(5, flags=SYN)
    assert sent(opening, opening, frame(6, b"one"), frame(90, flags=SYN), frame(91, b"two")) == [
        (40000, True, b"one"),
        (40000, True, b"two"),
    ]


def test_nothing_else_is_looked_at() -> None:
    arp = b"\xff" * 12 + b"\x08\x06" + b"\0" * 28
    udp = bytearray(frame(1, b"words"))
    udp[23] = 17
    assert sent(arp, bytes(udp)) == []
