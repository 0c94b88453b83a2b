# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from gateway_access import METRICS_PATH
from gateway_counts import JSON_PATH, NOBODY, NOTE, OUTCOMES, UNKNOWN, Counted, Counts, Note, note_caller
from gateway_keys import Keys
from gateway_policy import Policy
from support.virtual_time import run

MASTER, CLIENT = "sk-master-0123456789abcdef", "client-key-0123456789"
KEYS = Keys.from_document(
    {"master": [hashlib.sha256(MASTER.encode()).hexdigest()], "clients": {"metis": [hashlib.sha256(CLIENT.encode()).hexdigest()]}}
)
CHAT = "/v1/chat/completions"


def event(text: str) -> bytes:
    return f"data: {text}\n\n".encode()


class Gateway:
    """The layer around an application that is told what to do."""

    def __init__(self, status: int = 200, pieces: Sequence[bytes] = (b"{}",), *, judged: bool = True, ends: bool = True) -> None:
        self.status, self.pieces, self.judged, self.ends = status, pieces, judged, ends
        self.raises: BaseException | None = None
        self.leaves = False
        self.counted = Counted(self.app, KEYS, Policy(raw={"/raw/a": None}), Counts(lambda: 1000.5))

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        note = NOTE.get()
        if note is not None:
            note.client = "metis"
            if self.judged:
                note.judge("chat")
        if self.status:
            kind = b"text/event-stream; charset=utf-8" if self.pieces and self.pieces[0].startswith(b"data: ") else b"application/json"
            await send({"type": "http.response.start", "status": self.status, "headers": [(b"Content-Type", kind)]})
        for number, piece in enumerate(self.pieces, 1):
            await send({"type": "http.response.body", "body": piece, "more_body": number < len(self.pieces) or not self.ends})
        if self.leaves:
            await receive()
        if self.raises is not None:
            raise self.raises

    async def ask(self, path: str = CHAT, method: str = "POST", key: str | None = None) -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.disconnect"} if self.leaves else {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
        await self.counted({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)
        return sent

    def requests(self) -> dict[tuple[str, str], dict[str, int]]:
        """Those that there are, by client and model."""
        rows = self.counted.counts.document()["usage"]
        return {(row["client"], row["model"]): {name: number for name, number in row["requests"].items() if number} for row in rows}

    def outcome(self) -> str:
        ((_whose, outcomes),) = self.requests().items()
        ((outcome, number),) = outcomes.items()
        assert number == 1
        return outcome


@pytest.mark.parametrize(
    ("gateway", "outcome"),
    [
        pytest.param(Gateway(), "answered", id="an answer"),
        pytest.param(Gateway(pieces=(event('{"choices": []}'), event("[DONE]"))), "answered", id="a stream"),
        pytest.param(Gateway(429, judged=False), "limited", id="a limit of the client"),
        pytest.param(Gateway(429), "failed", id="no server left"),
        pytest.param(Gateway(408, judged=False), "refused", id="a body that trickled in"),
        pytest.param(Gateway(408), "failed", id="an engine that took too long"),
        pytest.param(Gateway(401, judged=False), "refused", id="no key"),
        pytest.param(Gateway(400), "refused", id="refused by the engine"),
        pytest.param(Gateway(499), "left", id="LiteLLM's status for a client that left"),
        pytest.param(Gateway(500), "failed", id="500"),
        pytest.param(Gateway(503, judged=False), "failed", id="no room"),
        pytest.param(Gateway(pieces=(b"{", b"}"), ends=False), "failed", id="broken off"),
        pytest.param(Gateway(0, ()), "failed", id="no answer"),
        pytest.param(Gateway(pieces=(event('{"error": {"message": "gone"}}'), event("[DONE]"))), "failed", id="an error in a stream"),
        pytest.param(Gateway(pieces=(event("{}"), b'event: error\ndata: {"type": "error"}\n\n')), "failed", id="in one of Anthropic's"),
        pytest.param(Gateway(pieces=(event('{"type":"response.failed"}'),)), "failed", id="in one of responses"),
        pytest.param(Gateway(pieces=(event('{"type": "error", "code": "500"}'),)), "failed", id="in one of responses, broken"),
        pytest.param(Gateway(pieces=(event(json.dumps({"content": 'data: {"error" or\nevent: error'})),)), "answered", id="said of one"),
        pytest.param(Gateway(pieces=(event('{"type": "error_report"}'),)), "answered", id="another type"),
        pytest.param(Gateway(pieces=(b'{"text": "a subtitle\n', b'event: error"}')), "answered", id="no stream"),
    ],
)
def test_what_becomes_of_a_request(gateway: Gateway, outcome: str) -> None:
    run(gateway.ask())
    assert gateway.outcome() == outcome


def test_a_client_that_leaves_is_no_failure() -> None:
    async def story() -> None:
        gateway = Gateway(pieces=(b"{",), ends=False)
        gateway.leaves = True
        await gateway.ask()
        gateway.raises = asyncio.CancelledError()
        gateway.leaves = False
        with pytest.raises(asyncio.CancelledError):
            await gateway.ask()
        assert gateway.requests() == {("metis", "chat"): {"left": 2}}
        gateway.raises, gateway.ends, gateway.leaves = None, True, True
        await gateway.ask()
        assert gateway.requests() == {("metis", "chat"): {"left": 2, "answered": 1}}, "after the end everybody leaves"

    run(story())


def test_a_connection_that_is_gone_is_a_client_that_left() -> None:
    async def story() -> None:
        counts = Counts()
        note = Note(counts, "metis")

        async def send(_message: Any) -> None:
            raise OSError

        with pytest.raises(OSError):
            await note.sending(send)({"type": "http.response.body", "body": b"", "more_body": False})
        assert note.outcome() == "left"

    run(story())


@pytest.mark.parametrize(
    ("method", "path", "counts"),
    [
        ("POST", CHAT, True),
        ("POST", "/chat/completions/", True),
        ("POST", "/openai/deployments/chat/chat/completions", True),
        ("GET", CHAT, True),
        ("POST", "/raw/a/", True),
        ("GET", "/raw/a", True),
        ("OPTIONS", CHAT, False),
        ("GET", "/v1/models", False),
        ("GET", "/health/readiness", False),
        ("POST", "/key/generate", False),
    ],
)
def test_what_counts_as_a_request(method: str, path: str, counts: bool) -> None:
    gateway = Gateway()
    run(gateway.ask(path, method))
    assert bool(gateway.requests()) is counts


def test_whoever_has_no_key_counts_as_nobody() -> None:
    async def refuses(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401})
        await send({"type": "http.response.body", "body": b""})

    gateway = Gateway()
    gateway.counted.app = refuses
    run(gateway.ask())
    assert gateway.requests() == {(NOBODY, UNKNOWN): {"refused": 1}}


def test_tokens_count_once_and_only_where_somebody_knows_them() -> None:
    counts = Counts(lambda: 0)
    for told in ([(7, 5), (8, 6)], [(0, 0), (0, 0)], [(0, 0), (3, 0)]):
        note = Note(counts, "metis")
        note.judge("chat")
        for read, written in told:
            note.tell(read, written)
    (row,) = counts.document()["usage"]
    assert row["tokens"] == {"in": 10, "out": 5}
    assert row["measured"] == 2


def test_a_caller_is_noted_where_requests_are_counted() -> None:
    from gateway_access import Caller

    note_caller(Caller("k"))
    note = Note(Counts())
    token = NOTE.set(note)
    note_caller(Caller("k", "metis"))
    assert note.client == "metis"
    note_caller(Caller("k"))
    assert note.client == "master key"
    NOTE.reset(token)


def test_the_text_for_prometheus() -> None:
    counts = Counts(lambda: 1000.5)
    row = counts.row("metis", 'a "strange\\name"\n')
    row.requests["answered"], row.read, row.written, row.measured = 3, 20, 10, 2
    labels = r'client="metis",model="a \"strange\\name\"\n"'
    numbers = dict.fromkeys(OUTCOMES, 0) | {"answered": 3}
    assert counts.metrics().splitlines() == [
        "# HELP llmops_gateway_start_time_seconds When the gateway started to count, in seconds since 1970.",
        "# TYPE llmops_gateway_start_time_seconds gauge",
        "llmops_gateway_start_time_seconds 1000.5",
        "# HELP llmops_gateway_requests_total Requests by what became of them.",
        "# TYPE llmops_gateway_requests_total counter",
        *(f'llmops_gateway_requests_total{{{labels},outcome="{name}"}} {number}' for name, number in numbers.items()),
        "# HELP llmops_gateway_tokens_total Tokens of requests (in) and of their answers (out).",
        "# TYPE llmops_gateway_tokens_total counter",
        f'llmops_gateway_tokens_total{{{labels},direction="in"}} 20',
        f'llmops_gateway_tokens_total{{{labels},direction="out"}} 10',
        "# HELP llmops_gateway_measured_requests_total Requests whose tokens are known.",
        "# TYPE llmops_gateway_measured_requests_total counter",
        f"llmops_gateway_measured_requests_total{{{labels}}} 2",
        "# HELP llmops_gateway_time_to_first_token_seconds From a request until the first piece of its answer, of streams.",
        "# TYPE llmops_gateway_time_to_first_token_seconds histogram",
    ]


def test_how_long_streams_let_their_clients_wait() -> None:
    clock = iter(range(100, 200, 7))
    counts = Counts(lambda: 0, lambda: next(clock))

    async def ask(status: int, *pieces: bytes, kind: bytes = b"text/event-stream") -> None:
        async def send(_message: Any) -> None: ...

        note = Note(counts, "metis")
        note.judge("chat")
        to = note.sending(send)
        await to({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        for piece in pieces:
            await to({"type": "http.response.body", "body": piece, "more_body": True})

    async def story() -> None:
        await ask(200, b"", event("1"), event("2"))
        await ask(200, b"{}", kind=b"application/json")
        await ask(503, event("1"))
        await ask(200, event('{"error": {}}'), event("1"))
        await ask(200, event("1"))

    run(story())
    named = "llmops_gateway_time_to_first_token_seconds"
    assert [line for line in counts.metrics().splitlines() if line.startswith(named)] == [
        *(f'{named}_bucket{{model="chat",le="{bound}"}} 0' for bound in ("0.1", "0.25", "0.5", "1", "2.5", "5")),
        *(f'{named}_bucket{{model="chat",le="{bound}"}} 2' for bound in ("10", "30", "60", "120", "+Inf")),
        f'{named}_sum{{model="chat"}} 14',
        f'{named}_count{{model="chat"}} 2',
    ]


@pytest.mark.parametrize("path", [JSON_PATH, METRICS_PATH])
@pytest.mark.parametrize(
    ("method", "key", "status", "code"),
    [
        ("GET", None, 401, "missing_api_key"),
        ("GET", "another-key", 401, "invalid_api_key"),
        ("GET", CLIENT, 403, "forbidden"),
        ("POST", MASTER, 405, "method_not_allowed"),
    ],
)
def test_nobody_but_the_master_key_is_told(path: str, method: str, key: str | None, status: int, code: str) -> None:
    start, body = run(Gateway().ask(path, method, key))
    assert start["status"] == status
    assert json.loads(body["body"])["error"]["code"] == code


def test_a_key_for_metrics_reads_them() -> None:
    keys = Keys.from_document(
        {
            "clients": {"prometheus": [hashlib.sha256(CLIENT.encode()).hexdigest()]},
            "limits": {"prometheus": {"metrics": True, "models": [], "routes": []}},
        }
    )

    async def story() -> None:
        gateway = Gateway()
        gateway.counted.keys = keys
        start, body = await gateway.ask(METRICS_PATH, "GET", CLIENT)
        assert (start["status"], body["body"].decode()) == (200, gateway.counted.counts.metrics())
        start, _body = await gateway.ask(JSON_PATH, "GET", CLIENT)
        assert start["status"] == 403

    run(story())


def test_the_master_key_is_told() -> None:
    async def story() -> None:
        gateway = Gateway()
        await gateway.ask()
        start, body = await gateway.ask(JSON_PATH, "GET", MASTER)
        assert (start["status"], dict(start["headers"])[b"content-type"]) == (200, b"application/json")
        assert json.loads(body["body"]) == {
            "since": 1000.5,
            "usage": [
                {
                    "client": "metis",
                    "model": "chat",
                    "requests": {**dict.fromkeys(OUTCOMES, 0), "answered": 1},
                    "measured": 0,
                    "tokens": {"in": 0, "out": 0},
                }
            ],
        }
        start, body = await gateway.ask(METRICS_PATH, "GET", MASTER)
        assert dict(start["headers"])[b"content-type"] == b"text/plain; version=0.0.4; charset=utf-8"
        assert body["body"].decode() == gateway.counted.counts.metrics()

    run(story())
