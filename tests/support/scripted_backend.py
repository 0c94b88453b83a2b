# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines in this process that cost nothing, for a real gateway."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import engine


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100


@dataclass
class Backend:
    """An engine that can be killed, and held up."""

    name: str
    port: int = 0
    asked: int = 0
    #: The paths of requests with this in them.
    mark: bytes = b"of a client"
    marked: list[str] = field(default_factory=list)
    #: While it is not set, requests with this in them wait.
    holding: bytes = b"hold on"
    free: threading.Event = field(default_factory=threading.Event)
    _engine: engine.Engine = field(default_factory=engine.Engine)
    _server: Server | None = None
    _connections: set[socket.socket] = field(default_factory=set)

    def start(self) -> None:
        backend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *arguments: Any) -> None:
                pass

            def handle(self) -> None:
                backend._connections.add(self.connection)
                super().handle()

            def do_GET(self) -> None:
                self._reply({"object": "list", "data": [{"id": "m", "object": "model"}]}, {})

            def do_POST(self) -> None:
                raw = self._read()
                form = self.headers.get("Content-Type", "").startswith("multipart/form-data")
                body = {} if form else json.loads(raw)
                backend.asked += 1
                if backend.mark in raw:
                    backend.marked.append(self.path)
                if backend.holding in raw:
                    assert backend.free.wait(60)
                self._reply(backend._engine.answer(self.path, body), body)

            def _read(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                raw = b""
                while size := int(self.rfile.readline(), 16):
                    raw += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return raw

            def _reply(self, data: Any, body: dict[str, Any]) -> None:
                kind, text = "application/json", json.dumps(data or {})
                if body.get("stream") is True:
                    events = backend._engine.events(self.path, body)
                    kind, text = "text/event-stream", "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def kill(self) -> None:
        """With every connection, as a process that dies."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def at(self, identity: str, **changes: Any) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/v1"
        return {"id": identity, "host": "n", "engine": "vllm", "model": "m", "url": url, "key_variable": "ENGINE_KEY_N", **changes}
