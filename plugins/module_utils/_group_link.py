# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""How launchers of one group speak: one question and one answer for each connection, between members only, each proved by the key.

The member that is asked begins with a number that it uses once. Question and answer carry a keyed hash (HMAC-SHA256, RFC 2104) of it and of
themselves, so neither can be made up, changed or said again. Numbers also give the order: a question that a cut cable has delayed, and that
arrives when a later one was heard, is thrown away. Nothing that is said is secret.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import secrets
import socket
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

OTHER_KEY = "it has another key; run site.yml for all hosts of the group"
#: Bytes of one line.
LONGEST = 65536
#: Connections that are being answered at a time.
MOST = 16
#: Linux: an address may be bound before its interface has it (ip(7), IP_FREEBIND).
IP_FREEBIND = 15


class LinkError(Exception):
    """What came is not what a member would say."""


class Closed(LinkError):  # noqa: N818
    """It has hung up."""


class Refused(LinkError):  # noqa: N818
    """Nothing listens there, though the host answers."""


def group_key(secret: str, group: str) -> bytes:
    """A key for this purpose alone, from one that all members have."""
    return hmac.new(secret.encode(), f"gpu-inference group {group}".encode(), hashlib.sha256).digest()


def _proof(key: bytes, role: str, number: str, body: bytes) -> str:
    return hmac.new(key, f"{role} {number} ".encode() + body, hashlib.sha256).hexdigest()


def _send(stream: Any, key: bytes, role: str, number: str, said: dict[str, Any]) -> None:
    body = json.dumps(said, sort_keys=True).encode()
    stream.write(_proof(key, role, number, body).encode() + b" " + body + b"\n")
    stream.flush()


def _line(stream: Any) -> bytes:
    line: bytes = stream.readline(LONGEST)
    if not line:
        raise Closed("it hangs up without a word")
    if not line.endswith(b"\n"):
        raise LinkError("it ends in the middle")
    return line[:-1]


def _read(stream: Any, key: bytes, role: str, number: str) -> dict[str, Any]:
    proof, _space, body = _line(stream).partition(b" ")
    if not hmac.compare_digest(proof, _proof(key, role, number, body).encode()):
        raise LinkError(OTHER_KEY)
    said = json.loads(body)
    if not isinstance(said, dict):
        raise LinkError("it does not speak as a member")
    return said


def ask(address: str, port: int, key: bytes, question: dict[str, Any], seconds: float, source: str = "") -> dict[str, Any]:
    """The answer of a member. Raises OSError, Refused and LinkError. C(source): the address to ask from."""
    try:
        connection = socket.create_connection((address, port), seconds, (source, 0) if source else None)
    except ConnectionRefusedError as error:
        raise Refused(str(error)) from error
    with connection, connection.makefile("rwb") as stream:
        connection.settimeout(seconds)
        try:
            number = _line(stream).decode("ascii")
            _send(stream, key, "asks", number, question)
            try:
                return _read(stream, key, "answers", number)
            except Closed as error:  # it has heard the question, and did not believe it
                raise LinkError(OTHER_KEY) from error
        except (ValueError, UnicodeDecodeError) as error:
            raise LinkError("it does not speak as a member") from error


@dataclass
class Listener:
    """Answers members. C(answer) is called for one question at a time, in the order of their connections."""

    address: str
    port: int
    key: bytes
    members: Collection[str]
    answer: Callable[[dict[str, Any]], dict[str, Any]]
    seconds: float
    _socket: socket.socket | None = None
    _last: int = 0
    _order: threading.Lock = field(default_factory=threading.Lock)
    _slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(MOST))

    def start(self) -> None:
        """Raises OSError where the port is taken."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        server = socket.socket(family, socket.SOCK_STREAM)
        try:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            server.bind((self.address, self.port))
            server.listen(MOST)
        except OSError:
            server.close()
            raise
        self._socket = server
        self.port = server.getsockname()[1]
        threading.Thread(target=self._accept, args=(server,), daemon=True).start()

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None

    def _accept(self, server: socket.socket) -> None:
        count = 0
        while True:
            try:
                connection, peer = server.accept()
            except OSError:
                if self._socket is not server:
                    return
                continue
            if peer[0].partition("%")[0] not in self.members or not self._slots.acquire(blocking=False):
                connection.close()
                continue
            count += 1
            threading.Thread(target=self._serve, args=(connection, count), daemon=True).start()

    def _serve(self, connection: socket.socket, count: int) -> None:
        try:
            with connection, connection.makefile("rwb") as stream:
                connection.settimeout(self.seconds)
                number = f"{count}-{secrets.token_hex(16)}"
                stream.write(number.encode() + b"\n")
                stream.flush()
                question = _read(stream, self.key, "asks", number)
                with self._order:
                    if count <= self._last:
                        return
                    self._last = count
                    said = self.answer(question)
                _send(stream, self.key, "answers", number, said)
        except (OSError, ValueError, KeyError, TypeError, LinkError):
            pass  # whoever it was asks again, or is none of ours
        finally:
            self._slots.release()
