# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks against a played gateway: only the transport is replaced, and once there is a real server instead."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _verify
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe_http import Reply, Request, TransportError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._shipped import BOOTSTRAP, sources
from ansible_collections.llmops.gpu_inference.plugins.module_utils._verify import (
    Passthrough,
    Row,
    Samples,
    Target,
    plan_checks,
    read_stream,
    verify,
)

KEY = "sk-test-0123456789"
ROOT = "http://gateway:8400"
SAMPLES = Path(__file__).parents[4] / "playbooks" / "files" / "samples"
CHAT = Target("chat", "chat", ("text", "image"), ("LLM",))
TEXT_CHAT = Target("small")
EMBEDDING = Target("embedding", "embedding", dimension=3)
RERANK = Target("rank", "rerank")
ASR = Target("asr", "transcription", ("audio",))
STREAM = b'data: {"choices": [{"delta": {"content": "one "}}]}\n\ndata: {"choices": [{"delta": {"content": "two"}}]}\n\ndata: [DONE]\n\n'

Answers = dict[str, Any]


def chat_answer(text: Any = "Ready.", tokens: int | None = 10, **message: Any) -> Answers:
    usage = {} if tokens is None else {"usage": {"prompt_tokens": tokens}}
    return {"choices": [{"message": {"role": "assistant", "content": text, **message}}], **usage}


class Gateway:
    """Answers as a well-behaved gateway does; a case changes single answers by `path` or `path+kind`."""

    def __init__(self, **changes: Any) -> None:
        self.changes = changes
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Reply:
        self.requests.append(request)
        path = request.url[len(ROOT) :]
        if "Authorization" not in request.headers:
            return self.reply("no_key", (401, {"error": {"message": "No key"}}))
        if path == "/v1/chat/completions":
            body = json.loads(request.body or b"{}")
            if body.get("stream"):
                return self.reply("stream", (200, STREAM))
            if isinstance(body["messages"][0]["content"], list):
                return self.reply("image", (200, chat_answer("gpu ready 42", 74)))
            return self.reply("chat", (200, chat_answer()))
        defaults: dict[str, tuple[int, Any]] = {
            "/v1/embeddings": (200, {"data": [{"embedding": [1.0, 0.5, 0.0]}, {"embedding": [0.0, 0.5, 1.0]}]}),
            "/v1/rerank": (200, {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]}),
            "/v1/audio/transcriptions": (200, {"text": " The gateway is ready to listen."}),
            "/embeddings/v1/embeddings": (200, {"data": [{"embedding": [1.0, 0.5, 0.0]}]}),
        }
        return self.reply(path, defaults[path])

    def reply(self, kind: str, default: tuple[int, Any]) -> Reply:
        status, body = self.changes.get(kind, default)
        if isinstance(body, TransportError):
            raise body
        return Reply(status, body if isinstance(body, bytes) else json.dumps(body).encode())


def rows_of(
    *targets: Target, passthroughs: tuple[Passthrough, ...] = (), shipped: bool = True, **changes: Any
) -> dict[tuple[str, str], Row]:
    samples = Samples(b"image", b"sound", shipped=shipped)
    rows = verify(f"{ROOT}/v1/", targets, samples=samples, api_key=KEY, passthroughs=passthroughs, parallel=2, transport=Gateway(**changes))
    return {(row.name, row.check): row for row in rows}


def test_every_model_and_alias_is_asked_in_order() -> None:
    checks = plan_checks([CHAT, TEXT_CHAT, EMBEDDING, RERANK, ASR], [Passthrough("/p", "embedding", "up"), Passthrough("/q", "gone", "x")])
    assert [(check.target.name, check.name, check.kind) for check in checks] == [
        ("chat", "chat", "text"),
        ("chat", "chat", "stream"),
        ("chat", "chat", "image"),
        ("chat", "LLM", "image"),
        ("small", "small", "text"),
        ("small", "small", "stream"),
        ("embedding", "embedding", "embedding"),
        ("rank", "rank", "rerank"),
        ("asr", "asr", "transcription"),
        ("embedding", "up", "passthrough"),
        ("chat", "chat", "key"),
    ]
    assert plan_checks([]) == []


def test_a_healthy_gateway_passes_every_check() -> None:
    rows = rows_of(CHAT, EMBEDDING, RERANK, ASR, passthroughs=(Passthrough("/embeddings/v1/embeddings", "embedding", "up"),))
    assert [row for row in rows.values() if not row.ok] == []
    assert rows["chat", "image"].prompt_tokens == 74
    assert rows["chat", "image"].recognised is True
    assert rows["chat", "stream"].answer == "one two"
    assert rows["asr", "transcription"].recognised is True
    assert rows["embedding", "embedding"].dimension == 3
    assert rows["rank", "rerank"].recognised is True
    assert rows["chat", "key"].answer == "HTTP 401"


def test_own_samples_are_not_compared_with_the_shipped_text() -> None:
    rows = rows_of(CHAT, ASR, shipped=False)
    assert rows["chat", "image"].recognised is None
    assert rows["asr", "transcription"].recognised is None


@pytest.mark.parametrize(
    ("target", "check", "changes", "cause", "message"),
    [
        (TEXT_CHAT, "text", {"chat": (400, {"error": "Invalid model name passed in"})}, "wrong_model", "model small: HTTP 400"),
        (TEXT_CHAT, "text", {"chat": (404, {"error": "The model `x` does not exist."})}, "wrong_model", "HTTP 404"),
        (TEXT_CHAT, "text", {"chat": (503, {"error": "no backend"})}, "bad_answer", "HTTP 503"),
        (TEXT_CHAT, "text", {"chat": (401, {"error": f"bad key {KEY}"})}, "auth", "the key was refused"),
        (TEXT_CHAT, "text", {"chat": (200, TransportError("refused", "connection refused"))}, "refused", "connection refused"),
        (TEXT_CHAT, "text", {"chat": (200, {"choices": []})}, "bad_answer", "holds no choices"),
        (TEXT_CHAT, "text", {"chat": (200, chat_answer(""))}, "bad_answer", "the answer is empty"),
        (TEXT_CHAT, "text", {"chat": (200, chat_answer([]))}, "bad_answer", "the answer is empty"),
        (TEXT_CHAT, "stream", {"stream": (200, b'{"choices": []}')}, "bad_answer", "no stream came back"),
        (TEXT_CHAT, "stream", {"stream": (200, STREAM.replace(b"data: [DONE]", b""))}, "bad_answer", "broke off after 2 parts"),
        (TEXT_CHAT, "stream", {"stream": (200, b'data: {"error": {"message": "died"}}\n\n')}, "bad_answer", "the stream held an error"),
        (CHAT, "image", {"image": (200, chat_answer(tokens=10))}, "bad_answer", "10 prompt tokens without it, 10 with it"),
        (CHAT, "image", {"image": (200, {"choices": []})}, "bad_answer", "holds no choices"),
        (EMBEDDING, "embedding", {"/v1/embeddings": (200, {"data": [{"embedding": [1, 2]}]})}, "bad_answer", "2 dimensions, expected 3"),
        (EMBEDDING, "embedding", {"/v1/embeddings": (200, {"data": [{"embedding": [1, 2, 3]}] * 2})}, "bad_answer", "do not differ"),
        (RERANK, "rerank", {"/v1/rerank": (200, {"results": []})}, "bad_answer", "no relevance scores"),
        (ASR, "transcription", {"/v1/audio/transcriptions": (200, {"text": "  "})}, "bad_answer", "is empty"),
        (ASR, "transcription", {"/v1/audio/transcriptions": (200, {})}, "bad_answer", "holds no text"),
        (TEXT_CHAT, "key", {"no_key": (200, chat_answer())}, "auth", "anybody can use the models"),
        (TEXT_CHAT, "key", {"no_key": (502, {"error": "x"})}, "bad_answer", "expected 401"),
    ],
)
def test_failures_have_a_cause_and_tell_what_came_back(target: Target, check: str, changes: Any, cause: str, message: str) -> None:
    row = rows_of(target, **changes)[target.name, check]
    assert not row.ok
    assert (row.cause, message in row.message) == (cause, True), row
    assert KEY not in row.message
    assert row.remedy


@pytest.mark.parametrize("answer", [(403, {}), (400, {"error": "No connected db."}), (500, {"error": "prisma"})])
def test_every_form_of_refusal_counts_as_one(answer: Any) -> None:
    assert rows_of(TEXT_CHAT, no_key=answer)["small", "key"].ok


@pytest.mark.parametrize("usage", [{}, {"usage": None}, {"usage": {"prompt_tokens": True}}])
def test_an_answer_without_token_counts_proves_nothing_and_fails_nothing(usage: Any) -> None:
    answer = {**chat_answer(tokens=None), **usage}
    row = rows_of(CHAT, image=(200, answer))["chat", "image"]
    assert row.ok
    assert row.prompt_tokens is None


def test_reasoning_counts_as_an_answer() -> None:
    assert rows_of(TEXT_CHAT, chat=(200, chat_answer("", reasoning_content="thinking")))["small", "text"].answer == "thinking"


def test_a_long_answer_is_cut() -> None:
    assert rows_of(TEXT_CHAT, chat=(200, chat_answer("word " * 100)))["small", "text"].answer.endswith("...")


def test_a_defect_costs_its_own_row_only(monkeypatch: pytest.MonkeyPatch) -> None:
    row = rows_of(TEXT_CHAT, RERANK, **dict[str, Any]({"/v1/rerank": (200, [1])}))["rank", "rerank"]
    assert row.cause == "bad_answer"

    def explode(_endpoint: Any, _data: Any) -> Any:
        raise KeyError("surprise")

    monkeypatch.setattr(_verify, "judge_answer", explode)
    rows = rows_of(TEXT_CHAT)
    assert rows["small", "text"].cause == "unknown"
    assert "KeyError" in rows["small", "text"].message
    assert rows["small", "key"].ok


def test_a_cause_without_a_remedy_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    row = rows_of(TEXT_CHAT, chat=(200, TransportError("mystery", "?")))["small", "text"]
    assert not row.ok
    assert _verify.failed(row, "mystery", "?").remedy is None


def test_read_stream_skips_what_is_no_event() -> None:
    said = json.dumps({"choices": [{"delta": {"content": "a\u2028b\x85c"}}]}, ensure_ascii=False)
    assert read_stream(f"data: {said}\r\n\r\ndata: [DONE]\r\n".encode()) == (1, "a\u2028b\x85c", True, "")
    assert read_stream(b": ping\n\ndata: oops\n\ndata: [1]\n\ndata: {}\n\ndata: [DONE]\n") == (1, "", True, "")


def test_a_server_that_is_not_required_is_marked() -> None:
    optional = replace(TEXT_CHAT, required=False)
    rows = rows_of(optional, chat=(200, TransportError("refused", "nothing listens")))
    # What comes back without a key is up to the gateway.
    assert {kind: row.required for (_name, kind), row in rows.items()} == {"text": False, "stream": False, "key": True}


def test_the_shipped_samples_are_small_and_of_the_expected_form() -> None:
    image, sound = SAMPLES / "text.png", SAMPLES / "speech.wav"
    assert image.read_bytes().startswith(b"\x89PNG")
    assert image.stat().st_size < 10_000
    assert sound.stat().st_size < 60_000
    with wave.open(str(sound)) as opened:
        assert (opened.getnchannels(), opened.getframerate(), opened.getsampwidth()) == (1, 16000, 2)


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            allowed = self.headers.get("Authorization") == f"Bearer {KEY}"
            stream = b'"stream": true' in body
            answer = STREAM if stream else json.dumps(chat_answer()).encode()
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def in_process(request: dict[str, Any]) -> Any:
    return _verify.run(request)


def as_in_the_container(request: dict[str, Any]) -> Any:
    done = subprocess.run(
        [sys.executable, "-I", "-c", BOOTSTRAP],
        input=json.dumps({"sources": list(sources("_verify").items()), "request": request}),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("run", [in_process, as_in_the_container])
def test_against_a_real_server(server: str, run: Callable[[dict[str, Any]], Any]) -> None:
    rows = run({"base_url": server, "api_key": KEY, "models": [{"name": "small", "aliases": ["LLM"]}], "timeout": 10})
    assert [(row["name"], row["check"], row["ok"]) for row in rows] == [
        ("small", "text", True),
        ("small", "stream", True),
        ("LLM", "text", True),
        ("small", "key", True),
    ]
    assert all(row["latency"] > 0 for row in rows)


def test_only_raw_routes_of_embeddings_are_tried() -> None:
    checks = plan_checks([RERANK, EMBEDDING], [Passthrough("/rr", "rank", "up"), Passthrough("/mm", "embedding", "up")])
    assert [check.path for check in checks if check.kind == "passthrough"] == ["/mm"]


def test_plain_passthrough_entries() -> None:
    assert Passthrough.from_mapping({"path": "/p", "model": "m"}) == Passthrough("/p", "m", "m")
