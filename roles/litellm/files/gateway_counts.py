# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each client has asked of each model since the gateway started: requests by what became of them, and tokens. Needs no LiteLLM.

Told to whoever has the master key, as JSON and for Prometheus, which has a key of its own. As many numbers as there are clients times
models, however many requests.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import typing as t
from contextvars import ContextVar
from dataclasses import dataclass, field

from gateway_access import METRICS_PATH, Caller, caller_of, check_path
from gateway_asgi import App, Message, Receive, Scope, Send, respond, respond_error
from gateway_errors import RequestError
from gateway_keys import Keys
from gateway_policy import Policy
from gateway_routes import route_of

JSON_PATH = "/usage"
#: What became of a request, each told once: limited by a limit of the client, refused for any other reason that is the request's.
OUTCOMES = ("answered", "limited", "refused", "failed", "left")
#: No client's name holds a blank.
NOBODY = "no valid key"
#: Of requests that were refused before their model was known, and of names that the gateway's list has not.
UNKNOWN = "unknown"
#: Upper bounds of the classes of waits, in seconds.
BOUNDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
#: Statuses of a request that went on to an engine and say nothing against it: LiteLLM waited too long, or has no server left to ask.
_OVERLOADED = (408, 429)
#: LiteLLM's own, for a client that has left.
_LEFT = 499
#: How an event of a stream begins that says that the rest doesn't come, in the forms of OpenAI and Anthropic. What a model says stands
#: within one line, so none of it looks like that.
_ERROR = re.compile(rb'^(?:event: ?(?:error|response\.failed)|data: ?\{"(?:error"|type": ?"(?:error|response\.failed)"))', re.MULTILINE)


@dataclass
class Row:
    """What one client has asked of one model."""

    requests: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    read: int = 0
    written: int = 0
    #: Answers whose tokens are known.
    measured: int = 0


@dataclass
class Waits:
    """How long the streams of one model let their clients wait, in Prometheus' form: each class has those of the smaller ones, too."""

    classes: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))
    count: int = 0
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.total += seconds
        self.classes = [number + (seconds <= bound) for number, bound in zip(self.classes, BOUNDS)]

    def lines(self, name: str, model: str) -> list[str]:
        classes = zip((*map(str, BOUNDS), "+Inf"), (*self.classes, self.count))
        labels = {"model": model}
        return [
            *(f"{name}_bucket{_labels({**labels, 'le': bound})} {number}" for bound, number in classes),
            f"{name}_sum{_labels(labels)} {self.total:g}",
            f"{name}_count{_labels(labels)} {self.count}",
        ]


class Counts:
    def __init__(self, now: t.Callable[[], float] = time.time, tick: t.Callable[[], float] = time.monotonic) -> None:
        self.since = now()
        self.tick = tick
        self._rows: dict[tuple[str, str], Row] = {}
        self._waits: dict[str, Waits] = {}

    def waited(self, model: str, seconds: float) -> None:
        self._waits.setdefault(model, Waits()).add(seconds)

    def row(self, client: str, model: str) -> Row:
        return self._rows.setdefault((client, model), Row())

    def document(self) -> dict[str, t.Any]:
        rows = [
            {
                "client": client,
                "model": model,
                "requests": dict(row.requests),
                "measured": row.measured,
                "tokens": {"in": row.read, "out": row.written},
            }
            for (client, model), row in sorted(self._rows.items())
        ]
        return {"since": self.since, "usage": rows}

    def metrics(self) -> str:
        """The same in Prometheus' text format."""
        rows = sorted(self._rows.items())
        families: tuple[tuple[str, str, str, t.Iterable[tuple[dict[str, str], float]]], ...] = (
            ("start_time_seconds", "gauge", "When the gateway started to count, in seconds since 1970.", [({}, self.since)]),
            (
                "requests_total",
                "counter",
                "Requests by what became of them.",
                [
                    ({"client": client, "model": model, "outcome": outcome}, number)
                    for (client, model), row in rows
                    for outcome, number in row.requests.items()
                ],
            ),
            (
                "tokens_total",
                "counter",
                "Tokens of requests (in) and of their answers (out).",
                [
                    ({"client": client, "model": model, "direction": direction}, number)
                    for (client, model), row in rows
                    for direction, number in (("in", row.read), ("out", row.written))
                ],
            ),
            (
                "measured_requests_total",
                "counter",
                "Requests whose tokens are known.",
                [({"client": client, "model": model}, row.measured) for (client, model), row in rows],
            ),
        )
        lines = []
        for name, kind, text, samples in families:
            lines += [f"# HELP llmops_gateway_{name} {text}", f"# TYPE llmops_gateway_{name} {kind}"]
            lines += [f"llmops_gateway_{name}{_labels(labels)} {number}" for labels, number in samples]
        name = "llmops_gateway_time_to_first_token_seconds"
        lines += [f"# HELP {name} From a request until the first piece of its answer, of streams.", f"# TYPE {name} histogram"]
        for model, waits in sorted(self._waits.items()):
            lines += waits.lines(name, model)
        return "\n".join(lines) + "\n"


def _labels(labels: t.Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@dataclass
class Note:
    """What is known of one request in work."""

    counts: Counts
    client: str = NOBODY
    model: str = UNKNOWN
    #: Whether it was found good, and went on to LiteLLM.
    judged: bool = False
    #: Whether the client has got the whole of its answer.
    whole: bool = False
    _status: int = 0
    _events: bool = False
    _broken: bool = False
    _left: bool = False
    _measured: bool = False
    _began: float = 0.0
    _told_first: bool = False

    def __post_init__(self) -> None:
        self._began = self.counts.tick()

    def judge(self, model: str) -> None:
        self.model, self.judged = model, True

    def tell(self, read: int, written: int) -> None:
        """The tokens, from whoever knows them first. LiteLLM may know them only after the answer."""
        if not self._measured and (read > 0 or written > 0):
            self._measured = True
            row = self.counts.row(self.client, self.model)
            row.measured += 1
            row.read += max(0, read)
            row.written += max(0, written)

    def outcome(self) -> str:
        if self._status >= 400:
            if self._status == _LEFT:
                return "left"
            if self._status == 429 and not self.judged:
                return "limited"
            return "failed" if self._status >= 500 or (self.judged and self._status in _OVERLOADED) else "refused"
        if self.whole:
            return "failed" if self._broken else "answered"
        return "left" if self._left else "failed"

    def end(self) -> None:
        self.counts.row(self.client, self.model).requests[self.outcome()] += 1

    def receiving(self, receive: Receive) -> Receive:
        async def received() -> Message:
            message = await receive()
            self._left = self._left or message["type"] == "http.disconnect"
            return message

        return received

    def sending(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._status = message["status"]
                kinds = [value for name, value in message.get("headers") or () if name.lower() == b"content-type"]
                self._events = bool(kinds) and kinds[-1].startswith(b"text/event-stream")
            elif self._events and message["type"] == "http.response.body":
                self._broken = self._broken or _ERROR.search(message.get("body", b"")) is not None
                self._first(message.get("body", b""))
            try:
                await send(message)
            except OSError:
                self._left = True
                raise
            self.whole = self.whole or (message["type"] == "http.response.body" and not message.get("more_body"))

        return sent

    def _first(self, piece: bytes) -> None:
        if piece and not self._told_first:
            self._told_first = True
            if self._status < 400 and not self._broken:
                self.counts.waited(self.model, self.counts.tick() - self._began)

    def leave(self) -> None:
        self._left = True


#: The request that the running code works for. LiteLLM's callbacks run in tasks that inherit it.
NOTE: ContextVar[Note | None] = ContextVar("gateway_note", default=None)


def note_caller(caller: Caller) -> None:
    note = NOTE.get()
    if note is not None:
        note.client = caller.name


class Counted:
    """ASGI layer around the guard: counts what is asked of models, and tells it."""

    def __init__(self, app: App, keys: Keys, policy: Policy, counts: Counts | None = None) -> None:
        self.app = app
        self.keys = keys
        self.raw = frozenset(path.rstrip("/") for path in policy.raw)
        self.counts = counts or Counts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in (JSON_PATH, METRICS_PATH):
            await self._show(scope, send)
        elif scope["type"] == "http" and self._counts(scope["method"], scope["path"]):
            await self._count(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _counts(self, method: str, path: str) -> bool:
        """Whether a model is asked for an answer. A list of models is none, and OPTIONS is a browser's question for leave."""
        route = route_of(path)
        return method != "OPTIONS" and (route.kind != "models" if route is not None else path.rstrip("/") in self.raw)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        note = Note(self.counts)
        token = NOTE.set(note)
        try:
            await self.app(scope, note.receiving(receive), note.sending(send))
        except asyncio.CancelledError:
            note.leave()
            raise
        finally:
            NOTE.reset(token)
            note.end()

    async def _show(self, scope: Scope, send: Send) -> None:
        try:
            caller = caller_of(scope["headers"], self.keys)
            # The same words as for LiteLLM's own routes.
            check_path(scope["path"], caller, Policy(), lambda _path: True)
            if scope["method"] != "GET":
                raise RequestError(405, f"{scope['method'][:20]} is not possible here; use GET", code="method_not_allowed")
        except RequestError as error:
            await respond_error(send, error)
            return
        if scope["path"] == JSON_PATH:
            await respond(send, 200, b"application/json", json.dumps(self.counts.document()).encode())
        else:
            await respond(send, 200, b"text/plain; version=0.0.4; charset=utf-8", self.counts.metrics().encode())
