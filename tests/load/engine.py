# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that answers like vLLM at next to no cost, so that what is measured is the gateway.

``python3 engine.py PORT``, with the standard library only: it runs in containers. Streams have ``max_tokens`` pieces, one every 50 ms; what
it has been asked is told by ``GET /stats``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Any

PAUSE = 0.05
#: Streams with so many pieces come as fast as they are taken.
LONG = 2000
KEPT = 256 * 1024
STATS = {"requests": 0, "streams": 0, "most_streams": 0, "left": 0, "largest": 0}


async def read_request(reader: asyncio.StreamReader) -> tuple[str, bytes, int]:
    """The path, the body where it is small, and its size."""
    head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head[1:] if b": " in line)
    size, body = int(headers.get(b"content-length", b"0")), b""
    left = size
    while left:
        piece = await reader.read(min(left, KEPT))
        if not piece:
            raise EOFError
        left -= len(piece)
        if size <= KEPT:
            body += piece
    return head[0].split()[1].decode(), body, size


def answer(path: str) -> dict[str, Any]:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    if path == "/stats":
        return dict(STATS)
    if path.endswith("/models"):
        return {"object": "list", "data": [{"id": "m", "object": "model"}]}
    if path.endswith("/embeddings"):
        return {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.5]}], "usage": usage}
    if path.endswith("/transcriptions"):
        return {"text": "spoken words"}
    choice = {"index": 0, "message": {"role": "assistant", "content": "well"}, "finish_reason": "stop"}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def write_json(writer: asyncio.StreamWriter, document: dict[str, Any]) -> None:
    body = json.dumps(document).encode()
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)


async def write_stream(writer: asyncio.StreamWriter, pieces: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    STATS["streams"] += 1
    STATS["most_streams"] = max(STATS["most_streams"], STATS["streams"])
    try:
        for number in range(pieces):
            last = number == pieces - 1
            choice = {"index": 0, "delta": {"content": f"w{number} "}, "finish_reason": "stop" if last else None}
            event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
            data = b"data: " + json.dumps(event).encode() + b"\n\n" + (b"data: [DONE]\n\n" if last else b"")
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await writer.drain()
            await asyncio.sleep(PAUSE if pieces < LONG else 0)
        writer.write(b"0\r\n\r\n")
    except ConnectionError:
        STATS["left"] += 1
        raise
    finally:
        STATS["streams"] -= 1


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, EOFError, asyncio.IncompleteReadError):
        while True:
            path, body, size = await read_request(reader)
            STATS["requests"] += 1
            STATS["largest"] = max(STATS["largest"], size)
            asked = json.loads(body) if body[:1] == b"{" else {}
            if asked.get("stream"):
                await write_stream(writer, int(asked.get("max_tokens") or 10))
            else:
                write_json(writer, answer(path))
            await writer.drain()
    writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(serve, "0.0.0.0", port, limit=1024 * 1024, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
