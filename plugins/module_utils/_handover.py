# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is asked of the programs in two containers when one takes a port over from the other: C(gateway_handover.py) answers it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence

#: Where the files of a container are, by a process of it.
ROOT = "/proc/{pid}/root"
TIMEOUT = 15.0
_MOST = 8  # sockets in one answer


class HandoverError(Exception):
    """Nobody answers, or it was refused."""


def ask(pid: int, path: str, words: str, descriptors: Sequence[int] = ()) -> list[int]:
    """Asks the program of a container, by a process of it and the path of the socket there. Returns the open files that came back."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(ROOT.format(pid=pid) + path)
            if descriptors:
                socket.send_fds(connection, [words.encode()], list(descriptors))
            else:
                connection.sendall(words.encode())
            data, received, _flags, _address = socket.recv_fds(connection, 1024, _MOST)
    except OSError as error:
        raise HandoverError(str(error)) from error
    if data != b"ok":
        close(received)
        raise HandoverError(data.decode("utf-8", "replace") or "no answer")
    return received


def close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def answers(pid: int, path: str) -> bool:
    """Whether the program of a container listens, and could hand its port over."""
    try:
        close(ask(pid, path, "give"))
    except HandoverError:
        return False
    return True


def pass_on(old: int, new: int, path: str) -> None:
    """Has the new one accept connections to the port of the old one, which accepts them as well until it leaves."""
    descriptors = ask(old, path, "give")
    try:
        ask(new, path, "take", descriptors)
    finally:
        close(descriptors)
