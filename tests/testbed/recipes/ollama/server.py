#!/usr/bin/env python3
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small server that plays Ollama, for tests where the real one can't be had.

It speaks Ollama's own API and its OpenAI side well enough for the PyPI client ``ollama`` and for ``openai``, keeps its models on
disk, and answers with fixed sentences. What a test wants to happen is in the name of the model:

* ``broken:*``   the pull reports an error inside its 200 stream, after half of the bytes
* ``missing:*``  the registry does not have it: the same, right after ``pulling manifest``
* ``cut:*``      the first pull's connection ends in mid-stream; the next one resumes and succeeds
* ``slow:*``     the pull takes PLAY_PULL_SECONDS (10)
* ``half:*``     once loaded, two fifths of it are on the CPU
* ``mute:*``     loads, but requests never return

Environment of its own: PLAY_PULL_SECONDS, PLAY_PULL_BYTES, PLAY_REVISION (other digests: the tags moved), PLAY_ANSWER.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import os
import re
import signal
import sys
import threading
import time
import typing as t
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

VERSION = "0.32.15"
EMBEDDING_SIZE = 64
Json = dict[str, t.Any]
FOREVER = datetime(2318, 1, 1, tzinfo=timezone.utc)


class PlayError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Cut(Exception):  # noqa: N818 -- not an error, a scripted event
    """The connection ends here."""


def normalise(name: str) -> str:
    for prefix in ("https://", "http://", "registry.ollama.ai/", "library/"):
        if name.startswith(prefix):
            name = name[len(prefix) :]
    return name if ":" in name.rsplit("/", 1)[-1] else name + ":latest"


def stamp(moment: datetime | None = None) -> str:
    return (moment or datetime.now(timezone.utc)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def log(level: str, source: str, message: str) -> None:
    print(f'time={stamp()} level={level} source={source} msg="{message}"', file=sys.stderr, flush=True)


def keep_alive_seconds(value: object) -> float:
    """As Ollama reads OLLAMA_KEEP_ALIVE: a duration such as 5m, or seconds; negative means for ever."""
    text = str(value).strip()
    total = 0.0
    for number, unit in re.findall(r"([0-9.]+)(ms|h|m|s)", text):
        total += float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]
    if total:
        return -total if text.startswith("-") else total
    try:
        return float(text)
    except ValueError:
        return 300.0


@dataclass
class Config:
    models: Path
    pull_seconds: float
    pull_bytes: int
    revision: str
    keep_alive: float
    context_length: int

    @classmethod
    def from_environment(cls, env: t.Mapping[str, str]) -> Config:
        return cls(
            models=Path(env.get("OLLAMA_MODELS") or Path(env.get("HOME", "/root")) / ".ollama" / "models"),
            pull_seconds=float(env.get("PLAY_PULL_SECONDS", "10")),
            pull_bytes=int(env.get("PLAY_PULL_BYTES", "4000000")),
            revision=env.get("PLAY_REVISION", ""),
            keep_alive=keep_alive_seconds(env.get("OLLAMA_KEEP_ALIVE") or "5m"),
            context_length=int(env.get("OLLAMA_CONTEXT_LENGTH") or 4096),
        )


@dataclass
class Store:
    """Models on disk: ``NAME.json`` when complete, ``NAME.partial`` with the number of bytes while not."""

    config: Config
    loaded: dict[str, float] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def _path(self, name: str, ending: str) -> Path:
        self.config.models.mkdir(parents=True, exist_ok=True)
        return self.config.models / (name.lower().replace("/", "_").replace(":", "-") + ending)

    def digest(self, name: str) -> str:
        return hashlib.sha256(f"{name.lower()} {self.config.revision}".encode()).hexdigest()

    def has(self, name: str) -> bool:
        return self._path(normalise(name), ".json").exists()

    def entry(self, name: str) -> Json:
        path = self._path(normalise(name), ".json")
        if not path.exists():
            raise PlayError(404, f"model '{name}' not found")
        entry: Json = json.loads(path.read_text())
        return entry

    def entries(self) -> list[Json]:
        self.config.models.mkdir(parents=True, exist_ok=True)
        found = [json.loads(path.read_text()) for path in self.config.models.glob("*.json")]
        return sorted(found, key=lambda entry: str(entry["modified_at"]), reverse=True)

    def delete(self, name: str) -> None:
        self.entry(name)
        with self.lock:
            self._path(normalise(name), ".json").unlink()
            self.loaded.pop(normalise(name), None)

    def pull(self, name: str) -> t.Iterator[Json]:
        """The events of a pull. Errors after the first event belong into the stream."""
        name = normalise(name)
        kind = name.split(":", 1)[0].rsplit("/", 1)[-1]
        yield {"status": "pulling manifest"}
        if kind == "missing":
            raise PlayError(500, "pull model manifest: file does not exist")
        digest = self.digest(name)
        blob = "sha256:" + hashlib.sha256(digest.encode()).hexdigest()
        partial = self._path(name, ".partial")
        complete = self._path(name, ".json")
        present = json.loads(complete.read_text()) if complete.exists() else {}
        done = total = self.config.pull_bytes
        if present.get("digest") != digest:
            done = int(partial.read_text()) if partial.exists() else 0
            began_at = done
            step = max(1, total // 20)
            pause = self.config.pull_seconds / 20 if kind == "slow" else 0.002
            while done < total:
                yield {"status": f"pulling {blob[7:19]}", "digest": blob, "total": total, "completed": done}
                time.sleep(pause)
                done = min(total, done + step)
                partial.write_text(str(done))
                if kind == "broken" and done >= total // 2:
                    raise PlayError(500, f"max retries exceeded: Get {blob}: unexpected EOF")
                if kind == "cut" and began_at == 0 and done >= total // 2:
                    raise Cut
        yield {"status": f"pulling {blob[7:19]}", "digest": blob, "total": total, "completed": done}
        yield {"status": "verifying sha256 digest"}
        yield {"status": "writing manifest"}
        if present.get("digest") != digest:
            entry = {
                "name": name,
                "model": name,
                "modified_at": stamp(),
                "size": total,
                "digest": digest,
                "details": {
                    "parent_model": "",
                    "format": "gguf",
                    "family": "qwen3",
                    "families": ["qwen3"],
                    "parameter_size": "4.0B",
                    "quantization_level": "Q4_K_M",
                },
            }
            complete.write_text(json.dumps(entry))
            partial.unlink(missing_ok=True)
        yield {"status": "success"}

    def load(self, name: str, keep_alive: object) -> None:
        seconds = self.config.keep_alive if keep_alive is None else keep_alive_seconds(keep_alive)
        with self.lock:
            if seconds == 0:
                self.loaded.pop(name, None)
            else:
                self.loaded[name] = math.inf if seconds < 0 else time.time() + seconds

    def running(self) -> list[Json]:
        with self.lock:
            self.loaded = {name: until for name, until in self.loaded.items() if until > time.time() and self.has(name)}
            loaded = dict(self.loaded)
        running = []
        for name, until in loaded.items():
            entry = self.entry(name)
            size = int(entry["size"])
            expires = FOREVER if math.isinf(until) else datetime.fromtimestamp(until, timezone.utc)
            running.append(
                {
                    **{key: entry[key] for key in ("name", "model", "digest", "details")},
                    "size": size,
                    "size_vram": size * 3 // 5 if name.startswith("half:") else size,
                    "expires_at": stamp(expires),
                    "context_length": self.config.context_length,
                }
            )
        return running


def tokens(text: str) -> int:
    return len(text.split())


def image_tokens(data: str) -> int:
    """16 tokens for what is really an image, so that a count proves its arrival."""
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PlayError(400, f"illegal base64 data: {error}") from error
    if not raw.startswith((b"\x89PNG", b"\xff\xd8", b"RIFF", b"GIF8")):
        raise PlayError(400, "Failed to load image or audio file")
    return 16


def embedding(text: str) -> list[float]:
    values = [byte - 127.5 for byte in hashlib.sha512(text.encode()).digest()[:EMBEDDING_SIZE]]
    norm = math.sqrt(sum(value * value for value in values))
    return [round(value / norm, 6) for value in values]


@dataclass
class Prompt:
    """A chat request of either API, reduced to what the play needs."""

    count: int
    text: str
    tools: list[Json]

    @classmethod
    def read(cls, messages: object, tools: object) -> Prompt:
        if not isinstance(messages, list):
            raise PlayError(400, "messages must be a list")
        count, text = 0, ""
        for message in messages:
            content = message.get("content") or ""
            parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
            for part in parts:
                if part.get("type") == "image_url":
                    url = part["image_url"]["url"] if isinstance(part["image_url"], dict) else part["image_url"]
                    if not url.startswith("data:"):
                        raise PlayError(400, "invalid image input")
                    count += image_tokens(url.split(",", 1)[-1])
                else:
                    text = str(part.get("text") or "")
                    count += tokens(text)
            for image in message.get("images") or []:
                count += image_tokens(image)
        return cls(count, text, tools if isinstance(tools, list) else [])

    def tool_call(self) -> Json | None:
        """The first tool, when the last message asks for it by name."""
        for tool in self.tools:
            function = tool.get("function") or {}
            if function.get("name") and function["name"] in self.text:
                return {"name": function["name"], "arguments": {}}
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "play"
    store: Store
    answer = os.environ.get("PLAY_ANSWER", "Hello from {model}.")

    # --- plumbing

    def log_message(self, format: str, *args: object) -> None:
        pass

    def log_request(self, code: object = "-", size: object = "-") -> None:
        now = datetime.now().strftime("%Y/%m/%d - %H:%M:%S")
        number = int(code) if isinstance(code, int) else code
        print(f'[GIN] {now} | {number} | {self.client_address[0]:>15} | {self.command:<7} "{self.path}"', file=sys.stderr, flush=True)

    def _body(self) -> Json:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not data:
            return {}
        try:
            body = json.loads(data)
        except ValueError as error:
            raise PlayError(400, f"invalid character in JSON: {error}") from error
        if not isinstance(body, dict):
            raise PlayError(400, "the body is no JSON object")
        return body

    def _send(self, answer: object, status: int = 200) -> None:
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8" if isinstance(answer, str) else "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _stream(self, events: t.Iterable[Json], *, sse: bool = False) -> None:
        """NDJSON, or server-sent events. After the first byte an error can only be an event."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if sse else "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        def chunk(data: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

        def line(event: Json) -> bytes:
            text = json.dumps(event).encode()
            return b"data: " + text + b"\n\n" if sse else text + b"\n"

        try:
            for event in events:
                chunk(line(event))
            if sse:
                chunk(b"data: [DONE]\n\n")
        except PlayError as error:
            log("ERROR", "routes.go", str(error))
            chunk(line({"error": str(error)}))
        except Cut:
            self.close_connection = True
            self.wfile.flush()
            self.connection.close()
            return
        self.wfile.write(b"0\r\n\r\n")

    def _route(self) -> None:
        path = self.path.split("?", 1)[0].rstrip("/") or "/"
        method = "GET" if self.command == "HEAD" else self.command
        try:
            body = self._body()
            route = ROUTES.get((method, path))
            if route is not None:
                route(self, body)
            elif method == "GET" and path.startswith("/v1/models/"):
                self._send(self._openai_model(self.store.entry(path[len("/v1/models/") :])))
            elif any(known == path for _method, known in ROUTES):
                self._send("405 method not allowed", 405)
            else:
                self._send("404 page not found", 404)
        except PlayError as error:
            openai = path.startswith("/v1/")
            message: object = (
                {"message": str(error), "type": "invalid_request_error", "param": None, "code": None} if openai else str(error)
            )
            self._send({"error": message}, error.status)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_DELETE = _route  # noqa: N815 -- names of http.server

    def _model(self, body: Json) -> str:
        name = body.get("model") or body.get("name")
        if not name:
            raise PlayError(400, "model is required")
        tag: str = self.store.entry(str(name))["name"]
        if tag.startswith("mute:"):
            self.store.load(tag, -1)
            threading.Event().wait()
        return tag

    def _sentence(self, model: str) -> str:
        return self.answer.replace("{model}", model)

    # --- Ollama's own API

    def root(self, _body: Json) -> None:
        self._send("Ollama is running")

    def version(self, _body: Json) -> None:
        self._send({"version": VERSION})

    def tags(self, _body: Json) -> None:
        self._send({"models": self.store.entries()})

    def ps(self, _body: Json) -> None:
        self._send({"models": self.store.running()})

    def show(self, body: Json) -> None:
        entry = self.store.entry(str(body.get("model") or body.get("name") or ""))
        self._send(
            {
                "modelfile": f"FROM {entry['name']}\n",
                "template": "{{ .Prompt }}",
                "details": entry["details"],
                "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 32768},
                "capabilities": ["completion", "vision", "tools"],
                "modified_at": entry["modified_at"],
            }
        )

    def pull(self, body: Json) -> None:
        name = str(body.get("model") or body.get("name") or "")
        if not name:
            raise PlayError(400, "invalid model name")
        events = self.store.pull(name)
        if body.get("stream", True):
            self._stream(events)
            return
        for _event in events:
            pass
        self._send({"status": "success"})

    def delete(self, body: Json) -> None:
        self.store.delete(str(body.get("model") or body.get("name") or ""))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _native(self, body: Json, count: int, part: t.Callable[[str], Json], extra: Json) -> None:
        model = self._model(body)
        self.store.load(model, body.get("keep_alive"))
        sentence = self._sentence(model)

        def event(text: str, done: bool) -> Json:
            base: Json = {"model": model, "created_at": stamp(), **part(text), "done": done}
            if done:
                base.update(
                    done_reason="stop",
                    total_duration=5_000_000,
                    load_duration=1_000_000,
                    prompt_eval_count=count,
                    prompt_eval_duration=2_000_000,
                    eval_count=tokens(sentence),
                    eval_duration=2_000_000,
                    **extra,
                )
            return base

        if body.get("stream", True):
            words = re.findall(r"\S+\s*", sentence)
            self._stream([*(event(word, False) for word in words), event("", True)])
        else:
            self._send(event(sentence, True))

    def generate(self, body: Json) -> None:
        count = tokens(str(body.get("prompt") or "")) + sum(image_tokens(image) for image in body.get("images") or [])
        self._native(body, count, lambda text: {"response": text}, {"context": [1, 2, 3]})

    def chat(self, body: Json) -> None:
        prompt = Prompt.read(body.get("messages") or [], body.get("tools"))
        call = prompt.tool_call()

        def part(text: str) -> Json:
            if call:
                return {"message": {"role": "assistant", "content": "", "tool_calls": [{"function": call}]}}
            return {"message": {"role": "assistant", "content": text}}

        self._native(body, prompt.count, part, {})

    def embed(self, body: Json) -> None:
        model = self._model(body)
        self.store.load(model, body.get("keep_alive"))
        texts = body.get("input") or []
        texts = [texts] if isinstance(texts, str) else texts
        count = sum(tokens(text) for text in texts)
        self._send({"model": model, "embeddings": [embedding(text) for text in texts], "total_duration": 1, "prompt_eval_count": count})

    # --- its OpenAI side

    @staticmethod
    def _openai_model(entry: Json) -> Json:
        return {"id": entry["name"], "object": "model", "created": int(time.time()), "owned_by": "library"}

    def openai_models(self, _body: Json) -> None:
        self._send({"object": "list", "data": [self._openai_model(entry) for entry in self.store.entries()]})

    def openai_chat(self, body: Json) -> None:
        prompt = Prompt.read(body.get("messages") or [], body.get("tools"))
        model = self._model(body)
        self.store.load(model, None)
        sentence = self._sentence(model)
        base = {"id": "chatcmpl-1", "created": int(time.time()), "model": model, "system_fingerprint": "fp_ollama"}
        usage = {
            "prompt_tokens": prompt.count,
            "completion_tokens": tokens(sentence),
            "total_tokens": prompt.count + tokens(sentence),
        }
        call = prompt.tool_call()
        calls = [{"id": "call_1", "index": 0, "type": "function", "function": {"name": call["name"], "arguments": "{}"}}] if call else None
        reason = "tool_calls" if call else "stop"
        if not body.get("stream"):
            message: Json = {"role": "assistant", "content": "" if call else sentence}
            if calls:
                message["tool_calls"] = calls
            choice = {"index": 0, "message": message, "finish_reason": reason}
            self._send({**base, "object": "chat.completion", "choices": [choice], "usage": usage})
            return
        deltas: list[Json] = [{"role": "assistant", "content": word} for word in re.findall(r"\S+\s*", sentence)]
        if calls:
            deltas = [{"role": "assistant", "content": "", "tool_calls": calls}]
        chunk = {**base, "object": "chat.completion.chunk"}
        events: list[Json] = [{**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        events.append({**chunk, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": reason}]})
        if (body.get("stream_options") or {}).get("include_usage"):
            events.append({**chunk, "choices": [], "usage": usage})
        self._stream(events, sse=True)

    def openai_completions(self, body: Json) -> None:
        model = self._model(body)
        self.store.load(model, None)
        sentence = self._sentence(model)
        count = tokens(str(body.get("prompt") or ""))
        self._send(
            {
                "id": "cmpl-1",
                "object": "text_completion",
                "created": int(time.time()),
                "model": model,
                "choices": [{"text": sentence, "index": 0, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": count, "completion_tokens": tokens(sentence), "total_tokens": count + tokens(sentence)},
            }
        )

    def openai_embeddings(self, body: Json) -> None:
        model = self._model(body)
        self.store.load(model, None)
        texts = body.get("input") or []
        texts = [texts] if isinstance(texts, str) else texts
        vectors: list[t.Any] = [embedding(text) for text in texts]
        if body.get("encoding_format") == "base64":
            import struct

            vectors = [base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in vectors]
        count = sum(tokens(text) for text in texts)
        data = [{"object": "embedding", "index": number, "embedding": vector} for number, vector in enumerate(vectors)]
        self._send({"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": count, "total_tokens": count}})


ROUTES: dict[tuple[str, str], t.Callable[[Handler, Json], None]] = {
    ("GET", "/"): Handler.root,
    ("GET", "/api/version"): Handler.version,
    ("GET", "/api/tags"): Handler.tags,
    ("GET", "/api/ps"): Handler.ps,
    ("POST", "/api/show"): Handler.show,
    ("POST", "/api/pull"): Handler.pull,
    ("DELETE", "/api/delete"): Handler.delete,
    ("POST", "/api/generate"): Handler.generate,
    ("POST", "/api/chat"): Handler.chat,
    ("POST", "/api/embed"): Handler.embed,
    ("GET", "/v1/models"): Handler.openai_models,
    ("POST", "/v1/chat/completions"): Handler.openai_chat,
    ("POST", "/v1/completions"): Handler.openai_completions,
    ("POST", "/v1/embeddings"): Handler.openai_embeddings,
}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def make_server(host: str, port: int, config: Config) -> Server:
    """A server with a store of its own; several may live in one process."""
    handler = type("StoreHandler", (Handler,), {"store": Store(config)})
    return Server((host, port), handler)


def serve(env: t.Mapping[str, str]) -> int:
    host, _, port = (env.get("OLLAMA_HOST") or "127.0.0.1:11434").rpartition(":")
    config = Config.from_environment(env)
    server = make_server(host or "127.0.0.1", int(port), config)
    shown = " ".join(f"{key}:{value}" for key, value in sorted(env.items()) if key.startswith("OLLAMA_"))
    log("INFO", "routes.go:1331", f"server config env=map[{shown}]")
    log("INFO", "routes.go:1384", f"Listening on {host or '127.0.0.1'}:{port} (version {VERSION})")
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    return 0


def main(arguments: t.Sequence[str]) -> int:
    """The three commands that people run in the container: serve, list, --version."""
    command = arguments[0] if arguments else "serve"
    if command == "serve":
        return serve(os.environ)
    if command in ("-v", "--version"):
        print(f"ollama version is {VERSION}")
        return 0
    if command in ("list", "ls"):
        with urllib.request.urlopen(
            "http://127.0.0.1:" + (os.environ.get("OLLAMA_HOST") or "127.0.0.1:11434").rpartition(":")[2] + "/api/tags"
        ) as r:
            for entry in json.load(r)["models"]:
                print(entry["name"], entry["digest"][:12], entry["size"])
        return 0
    print(f'Error: unknown command "{command}" for "ollama"', file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
