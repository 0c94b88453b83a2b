# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of all kinds, by the thousand: ``python3 clients.py HOST PORT KEY KIND COUNT [SIZE]``; prints what became of them as JSON.

With the standard library only: it runs in containers too.

KIND is ``ask`` (small requests one after the other, four at a time: the client that shall notice nothing), ``streams`` (SIZE pieces each),
``images``, ``text``, ``chunked`` and ``sound`` (bodies of SIZE bytes, all at once), ``slow_headers``, ``slow_bodies``, and ``slow_readers``
(which take nothing for SIZE seconds).
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import sys
import time
from collections import Counter
from typing import Any

Answer = tuple[str, float, bytes]
LIMIT = 600.0
#: Pieces of a stream that nobody reads to its end; it comes as fast as it is taken.
ENDLESS = 1_000_000


class Gateway:
    def __init__(self, host: str, port: int, key: str) -> None:
        self.host = host
        self.port = port
        self.key = key

    def head(self, path: str, *lines: str, method: str = "POST") -> bytes:
        first = (f"{method} {path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {self.key}", "Connection: close", *lines)
        return "".join(f"{line}\r\n" for line in (*first, "")).encode()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port, limit=1024 * 1024)

    async def send(self, head: bytes, body: bytes) -> Answer:
        """The status and the whole answer, or what went wrong; a body that is refused may not get through to its end."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT):
                reader, writer = await self.connect()

                async def push() -> None:
                    writer.write(head)
                    writer.write(body)
                    await writer.drain()

                pushing = asyncio.ensure_future(push())
                status = (await reader.readline()).split()[1].decode()
                answered = time.monotonic() - began
                rest = await reader.read()
                pushing.cancel()
                await asyncio.gather(pushing, return_exceptions=True)
                writer.close()
                return status, answered if status != "200" else time.monotonic() - began, rest
        except (OSError, TimeoutError, IndexError) as error:
            return type(error).__name__, time.monotonic() - began, b""

    async def post(self, path: str, body: bytes, kind: str = "application/json", *, chunked: bool = False) -> Answer:
        if not chunked:
            return await self.send(self.head(path, f"Content-Type: {kind}", f"Content-Length: {len(body)}"), body)
        step = 1_000_000
        pieces = [body[start : start + step] for start in range(0, len(body), step)]
        coded = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        return await self.send(self.head(path, f"Content-Type: {kind}", "Transfer-Encoding: chunked"), coded)

    async def chat(self, content: Any, **more: Any) -> Answer:
        document = {"model": "chat", "messages": [{"role": "user", "content": content}], **more}
        return await self.post("/v1/chat/completions", json.dumps(document).encode())


def image(size: int) -> list[dict[str, Any]]:
    return [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * size}}]


def sound(size: int) -> tuple[bytes, str]:
    line = '--edge\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
    start = line.format("model", "") + "asr\r\n" + line.format("file", '; filename="a.wav"\r\nContent-Type: audio/wav')
    return start.encode() + b"RIFF0000WAVE" + b"\0" * size + b"\r\n--edge--\r\n", "multipart/form-data; boundary=edge"


async def ask(gateway: Gateway, count: int, at_once: int = 4) -> list[Answer]:
    answers: list[Answer] = []

    async def one_after_the_other(number: int) -> None:
        for _ in range(number):
            answers.append(await gateway.chat("hi"))
            await asyncio.sleep(0.05)

    await asyncio.gather(*[one_after_the_other(count // at_once) for _ in range(at_once)])
    return answers


async def bodies(gateway: Gateway, kind: str, count: int, size: int) -> list[Answer]:
    path, content, chunked = "/v1/chat/completions", "application/json", kind == "chunked"
    if kind == "sound":
        body, content = sound(size)
        path = "/v1/audio/transcriptions"
    else:
        said = image(size) if kind == "images" else "some words " * (size // 11)
        body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": said}]}).encode()
    return list(await asyncio.gather(*[gateway.post(path, body, content, chunked=chunked) for _ in range(count)]))


async def streams(gateway: Gateway, count: int, pieces: int) -> list[Answer]:
    answers = await asyncio.gather(*[gateway.chat("tell", stream=True, max_tokens=pieces) for _ in range(count)])
    return [
        (f"{status} {'whole' if b'[DONE]' in rest else 'broken'}" if status == "200" else status, took, rest)
        for status, took, rest in answers
    ]


async def trickle(gateway: Gateway, kind: str) -> Answer:
    """How long a connection lives that gives a byte a second."""
    began = time.monotonic()
    lines = {"slow_headers": (), "slow_bodies": ("Content-Type: application/json", "Content-Length: 1000000")}[kind]
    head = gateway.head("/v1/chat/completions", *lines)
    try:
        reader, writer = await gateway.connect()
        writer.write(head[:-2] if kind == "slow_headers" else head)
        answer = asyncio.ensure_future(reader.readline())
        while not (await asyncio.wait([answer], timeout=1.0))[0] and time.monotonic() - began < LIMIT:
            writer.write(b"x")
        status = answer.result().split()[1].decode() if answer.done() and answer.result() else "closed" if answer.done() else "open"
        answer.cancel()
        writer.close()
    except ConnectionError:
        status = "closed"
    return status, time.monotonic() - began, b""


async def stall(gateway: Gateway, seconds: int) -> Answer:
    """Whether a stream that is not read for so long is still there."""
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    document = {"model": "chat", "stream": True, "max_tokens": ENDLESS, "messages": [{"role": "user", "content": "tell"}]}
    body = json.dumps(document).encode()
    head = gateway.head("/v1/chat/completions", "Content-Type: application/json", f"Content-Length: {len(body)}")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        rest = b""
        try:
            await loop.sock_connect(connection, (socket.gethostbyname(gateway.host), gateway.port))
            await loop.sock_sendall(connection, head + body)
            await asyncio.sleep(seconds)
            while time.monotonic() - began < seconds + 20:
                piece = await asyncio.wait_for(loop.sock_recv(connection, 1 << 20), 20)
                rest = rest[-100:] + piece
                if not piece:
                    break
        except ConnectionError:
            return "closed", time.monotonic() - began, b""
        except TimeoutError:
            return "open", time.monotonic() - began, b""
    return "whole" if b"[DONE]" in rest else "closed", time.monotonic() - began, b""


async def run(gateway: Gateway, kind: str, count: int, size: int) -> list[Answer]:
    if kind == "ask":
        return await ask(gateway, count)
    if kind == "streams":
        return await streams(gateway, count, size)
    if kind == "slow_readers":
        return list(await asyncio.gather(*[stall(gateway, size) for _ in range(count)]))
    if kind.startswith("slow_"):
        return list(await asyncio.gather(*[trickle(gateway, kind) for _ in range(count)]))
    return await bodies(gateway, kind, count, size)


def summary(answers: list[Answer]) -> dict[str, Any]:
    times = sorted(took for _status, took, _rest in answers)
    return {
        "statuses": dict(Counter(status for status, _took, _rest in answers)),
        "median": round(times[len(times) // 2], 2),
        "longest": round(times[-1], 2),
        "refusal": next((rest.decode(errors="replace")[-400:] for status, _took, rest in answers if status[:1] in "45"), ""),
    }


if __name__ == "__main__":
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    host, port, key, kind, count = sys.argv[1:6]
    found = asyncio.run(run(Gateway(host, int(port), key), kind, int(count), int(sys.argv[6]) if len(sys.argv) > 6 else 0))
    print(json.dumps(summary(found)))
