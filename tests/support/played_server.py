# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A local HTTP server that plays vLLM, Ollama or LiteLLM as the facts describe them, faults included."""

from __future__ import annotations

import email.parser
import email.policy
import io
import json
import socket
import ssl
import struct
import subprocess
import threading
import time
import typing as t
import wave
import zlib
from base64 import b64decode
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class Play:
    """How the server behaves."""

    models: tuple[str, ...] = ("chat",)
    key: str | None = None
    capability: str = "chat"
    dimension: int = 8
    prefix: str = "/v1"
    health_path: str = "/health"
    health_status: int = 200
    owned_by: str = "vllm"
    wrong_key: tuple[int, str] = (401, '{"error":"Unauthorized"}')
    missing_key: tuple[int, str] | None = None
    answer: tuple[int, str] | None = None  # instead of a good answer
    hang: float = 0.0  # seconds before any answer
    sees_images: bool = False
    busy: bool = False  # its counters have moved at every look


@dataclass
class Server:
    play: Play
    port: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    seen: list[t.Any] = field(default_factory=list)
    httpd: ThreadingHTTPServer | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def change(self, **what: t.Any) -> None:
        self.play = replace(self.play, **what)

    def start(self, tls: tuple[Path, Path] | None = None) -> Server:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer_get(server, self)

            def do_POST(self) -> None:
                answer_post(server, self)

            def log_message(self, format: str, *args: t.Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: t.Any, client_address: t.Any) -> None:
                pass

        self.httpd = Quiet(("127.0.0.1", self.port), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.httpd.socket = context.wrap_socket(self.httpd.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.httpd.server_address[1]
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self) -> None:
        if self.httpd:
            self.httpd.shutdown()
            self.httpd.server_close()
            self.httpd = None


def send(handler: BaseHTTPRequestHandler, status: int, body: t.Any) -> None:
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def refused(server: Server, handler: BaseHTTPRequestHandler) -> bool:
    given = handler.headers.get("Authorization")
    if server.play.key is None or given == f"Bearer {server.play.key}":
        return False
    send(handler, *((server.play.missing_key if given is None else None) or server.play.wrong_key))
    return True


def answer_get(server: Server, handler: BaseHTTPRequestHandler) -> None:
    play = server.play
    server.requests.append(("GET", handler.path))
    time.sleep(play.hang)
    if handler.path == "/metrics":
        send(handler, 200, f'vllm:generation_tokens_total{{engine="0"}} {len(server.requests) if play.busy else 0}\n')
    elif play.health_path and handler.path == play.health_path:
        send(handler, play.health_status, "")
    elif handler.path == play.prefix + "/models":
        if not refused(server, handler):
            send(
                handler, 200, {"object": "list", "data": [{"id": one, "object": "model", "owned_by": play.owned_by} for one in play.models]}
            )
    else:
        send(handler, 404, {"detail": "Not Found"})


def answer_post(server: Server, handler: BaseHTTPRequestHandler) -> None:
    play = server.play
    server.requests.append(("POST", handler.path))
    raw = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    time.sleep(play.hang)
    if refused(server, handler):
        return
    path = {
        "chat": "/chat/completions",
        "embedding": "/embeddings",
        "rerank": "/rerank",
        "transcription": "/audio/transcriptions",
    }[play.capability]
    if handler.path != play.prefix + path:
        send(handler, 404, {"detail": "Not Found"})
    elif play.answer:
        send(handler, *play.answer)
    elif play.capability == "transcription":
        answer_transcription(server, handler, raw)
    else:
        answer_json(server, handler, json.loads(raw))


def answer_json(server: Server, handler: BaseHTTPRequestHandler, data: dict[str, t.Any]) -> None:
    play = server.play
    server.seen.append(data)
    if data.get("model") not in play.models:
        send(handler, 404, {"error": {"message": f"The model `{data.get('model')}` does not exist.", "code": 404}})
    elif play.capability == "embedding":
        send(handler, 200, {"data": [{"embedding": [0.5] * play.dimension, "index": 0}], "model": data["model"]})
    elif play.capability == "rerank":
        send(handler, 200, {"results": [{"index": n, "relevance_score": 0.7 - n / 10} for n in range(len(data["documents"]))]})
    else:
        content = data["messages"][0]["content"]
        images = [part for part in content if part["type"] == "image_url"] if isinstance(content, list) else []
        if images and not play.sees_images:
            send(handler, 400, {"error": {"message": f"{data['model']} is not a multimodal model", "code": 400}})
            return
        for image in images:
            check_png(b64decode(image["image_url"]["url"].split(",", 1)[1]))
        send(
            handler, 200, {"choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}}], "usage": {"completion_tokens": 2}}
        )


def answer_transcription(server: Server, handler: BaseHTTPRequestHandler, raw: bytes) -> None:
    head = f"Content-Type: {handler.headers['Content-Type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + raw)
    fields: dict[str, bytes] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(payload, bytes)
        fields[name] = payload
    server.seen.append(fields)
    try:
        with wave.open(io.BytesIO(fields["file"])) as sound:
            good = sound.getframerate() == 16000 and sound.getnchannels() == 1 and sound.getnframes() >= 8000 and any(sound.readframes(100))
    except (wave.Error, EOFError, KeyError):
        good = False
    if good and fields.get("model", b"").decode() in server.play.models:
        send(handler, 200, {"text": " Words heard."})
    else:
        send(handler, 400, {"error": {"message": "Invalid or unsupported audio file."}})


def check_png(data: bytes) -> None:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    length = struct.unpack(">I", data[33:37])[0]
    assert data[37:41] == b"IDAT"
    assert len(zlib.decompress(data[41 : 41 + length])) == height * (1 + 3 * width)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def closing_listener() -> tuple[socket.socket, int]:
    """Accepts and closes at once, as Docker's port forwarding does while nothing listens in the container."""
    listener = socket.create_server(("127.0.0.1", 0))

    def loop() -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            connection.close()

    threading.Thread(target=loop, daemon=True).start()
    return listener, listener.getsockname()[1]
