# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limits of clients: what is counted, and what the guard makes of it in front of an application that stands for LiteLLM."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import sys
import types
from collections import Counter
from pathlib import Path
from typing import Any

import gateway_hooks
import gateway_litellm
import pytest
from gateway_counts import NOTE, Counted
from gateway_errors import RequestError
from gateway_hooks import Guard
from gateway_keys import Keys
from gateway_policy import Policy
from gateway_quotas import Quota, Quotas, Tally, Window
from support.virtual_time import run

CLIENTS = ("crawler", "studio")
MODELS = [
    {"model_name": name, "litellm_params": {"model": "hosted_vllm/x"}, "model_info": {"mode": "chat"}} for name in ("chat", "LLM", "large")
]
CHAT = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}


def test_a_window_is_the_last_minute() -> None:
    window = Window()
    assert window.wait(0, 1) is None
    for when, amount in ((0.0, 1), (10.0, 5), (30.0, 1)):
        window.add(when, amount)
    assert window.wait(30, 8) is None
    assert window.wait(30, 7) == 30
    assert window.wait(30, 2) == 40, "those of second 10 have to go, too"
    assert window.wait(60, 7) is None
    assert window.wait(100, 1) is None
    assert window.total == 0


def test_no_minute_has_more_than_the_limit() -> None:
    chance, tally, quota, let_in = random.Random(1), Tally(), Quota(requests_per_minute=20), []
    now = 0.0
    for _request in range(3000):
        now += chance.expovariate(1.0)
        with contextlib.suppress(RequestError):
            tally.check("a", quota, now)
            tally.count(quota, now)
            let_in.append(now)
    assert max(sum(start <= when < start + 60 for when in let_in) for start in let_in) == 20
    assert len(let_in) > 900, "and what is refused takes nobody's place"


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        pytest.param({"requests_per_minute": 2}, 51, id="the first one has to become a minute old"),
        pytest.param({"tokens_per_minute": 20}, 54, id="the answer of six seconds ago"),
        pytest.param({"parallel": 1}, 1, id="one is in work"),
    ],
)
def test_a_refusal_names_the_limit(limit: dict[str, int], seconds: int) -> None:
    async def story() -> None:
        now = [100.0]
        quotas = Quotas(lambda: now[0])
        quota = Quota.from_mapping(limit)
        async with contextlib.AsyncExitStack() as stack:
            for _request in range(2):
                visit = await stack.enter_async_context(quotas.visit("a", quota))
                visit.tokens = 10
                now[0] += 3
                if quota.parallel:
                    break
                await stack.aclose()
                now[0] += 1.5
            with pytest.raises(RequestError) as refused:
                await stack.enter_async_context(quotas.visit("a", quota))
        ((name, most),) = limit.items()
        assert (refused.value.status, refused.value.code, refused.value.retry_after) == (429, "rate_limit_exceeded", seconds)
        assert refused.value.message == f"The key of client 'a' is limited to {name}: {most}. Try again in {seconds} s."

    run(story())


def test_limits_are_numbers() -> None:
    assert Quota.from_mapping({}) == Quota()
    assert not Quota.from_mapping({"models": ["a"]}).counts
    assert Quota.from_mapping({"parallel": "4", "models": ["a"], "routes": ["/b"]}) == Quota(
        None, None, 4, frozenset("a"), frozenset({"/b"})
    )
    with pytest.raises(ValueError):
        Quota.from_mapping({"parallel": "many"})


# -- the guard


class App:
    """Answers after a second what the request asks for; knows how many of a client it has at once."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.at_once: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.bodies: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        client = scope[gateway_hooks.CALLER].client
        self.at_once[client] += 1
        self.most[client] = max(self.most[client], self.at_once[client])
        gateway_hooks.leaving()
        try:
            await self._answer(scope, receive, send)
        finally:
            self.at_once[client] -= 1

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/v1/models":
            await self._send(send, b"application/json", json.dumps({"object": "list", "data": [{"id": "chat"}, {"id": "large"}]}).encode())
            return
        body = json.loads((await receive())["body"])
        self.bodies.append(body)
        await asyncio.sleep(self.seconds)
        usage = {"prompt_tokens": 60, "completion_tokens": 40}
        if not body.get("stream"):
            await self._send(send, b"application/json", json.dumps({"choices": [], "usage": usage}).encode())
            return
        pieces = [{"choices": [{"delta": {"content": "Hi"}}]}, {"choices": [], "usage": usage}]
        asked = (body.get("stream_options") or {}).get("include_usage")
        await self._send(
            send, b"text/event-stream", *(b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in pieces[: 2 if asked else 1])
        )

    @staticmethod
    async def _send(send: Any, kind: bytes, *pieces: bytes) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        for number, piece in enumerate(pieces, 1):
            await send({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})


class Request:
    def __init__(self, client: str, path: str = "/v1/chat/completions", body: Any = None, method: str = "POST") -> None:
        self.body = json.dumps(CHAT if body is None else body).encode()
        headers = [(b"authorization", f"Bearer key-of-{client}".encode()), (b"content-type", b"application/json")]
        headers.append((b"content-length", str(len(self.body)).encode()))
        self.scope = {"type": "http", "method": method, "path": path, "headers": headers}
        self.sent: list[Any] = []
        self.taken = False
        self.gone = asyncio.Event()

    async def receive(self) -> Any:
        if self.taken:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        self.taken = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def ask(self, guard: Guard | Counted) -> Request:
        await guard(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def text(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def error(self) -> Any:
        return json.loads(self.text)["error"]


def document(**limits: Any) -> dict[str, Any]:
    clients = {name: [hashlib.sha256(f"key-of-{name}".encode()).hexdigest()] for name in CLIENTS}
    return {"master": [], "clients": clients, **({"limits": limits} if limits else {})}


@pytest.fixture(autouse=True)
def _litellm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A LiteLLM that has loaded three names."""
    router = types.SimpleNamespace(get_model_list=lambda: MODELS, model_group_alias={"LLM": {"model": "chat"}})
    proxy_server = types.ModuleType("litellm.proxy.proxy_server")
    vars(proxy_server).update(llm_router=router, general_settings={})
    proxy = types.ModuleType("litellm.proxy")
    vars(proxy).update(proxy_server=proxy_server)
    litellm = types.ModuleType("litellm")
    vars(litellm).update(callbacks=[], success_callback=[], failure_callback=[])
    for module in (litellm, proxy, proxy_server):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(gateway_litellm, "steering_names", frozenset)
    monkeypatch.setattr(gateway_hooks, "LOADED", gateway_hooks.Loaded())
    routes = ("/chat/completions", "/completions", "/messages/count_tokens", "/models", "/models/*", "/raw/a", "/raw/b")
    monkeypatch.setattr(gateway_hooks, "POLICY", Policy(client_routes=routes, raw={"/raw/a": None, "/raw/b": None}))


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A guard whose keys have these limits, by the clock of its event loop."""

    def make(app: App, **limits: Any) -> Guard:
        monkeypatch.setattr(gateway_hooks, "KEYS", Keys.from_document(document(**limits)))
        guard = Guard(app)
        guard.quotas = Quotas(lambda: asyncio.get_running_loop().time())
        return guard

    return make


def test_parallel_requests_are_exact_among_a_thousand_at_once(limited: Any) -> None:
    async def story() -> None:
        app = App()
        guard = limited(app, crawler={"parallel": 4})
        asked = [Request("crawler") for _number in range(1000)] + [Request("studio") for _number in range(20)]
        await asyncio.gather(*(one.ask(guard) for one in asked))
        assert Counter(one.status for one in asked[:1000]) == {200: 4, 429: 996}
        assert {one.status for one in asked[1000:]} == {200}
        assert app.most["crawler"] == 4
        refused = next(one for one in asked if one.status == 429)
        assert refused.headers[b"retry-after"] == b"1"
        assert (refused.error["type"], refused.error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert "parallel: 4" in refused.error["message"]
        assert len(app.bodies) == 24, "nothing of a refused request came further"
        assert (await Request("crawler").ask(guard)).status == 200

    run(story())


def test_requests_of_a_minute_are_exact_among_a_thousand_at_once(limited: Any) -> None:
    async def story() -> None:
        app = App()
        guard = limited(app, crawler={"requests_per_minute": 60})
        asked = await asyncio.gather(*(Request("crawler").ask(guard) for _number in range(1000)))
        assert Counter(one.status for one in asked) == {200: 60, 429: 940}
        assert (await Request("crawler", "/v1/models", method="GET").ask(guard)).status == 200, "the list of models is no request"
        await asyncio.sleep(60)
        asked = await asyncio.gather(*(Request("crawler").ask(guard) for _number in range(1000)))
        assert Counter(one.status for one in asked) == {200: 60, 429: 940}

    run(story())


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_go_over_by_no_more_than_what_was_in_flight(limited: Any, stream: bool) -> None:
    async def story() -> None:
        app = App()
        guard = limited(app, crawler={"tokens_per_minute": 1000, "parallel": 3})
        statuses: Counter[int] = Counter()

        async def one_after_the_other() -> None:
            for _number in range(30):
                statuses[(await Request("crawler", body={**CHAT, "stream": stream}).ask(guard)).status] += 1

        await asyncio.gather(*(one_after_the_other() for _number in range(3)))
        # 100 tokens each, three at once: the tenth uses the last of them while two more are in work.
        assert 10 <= statuses[200] <= 12
        refused = await Request("crawler").ask(guard)
        assert "tokens_per_minute: 1000" in refused.error["message"]
        await asyncio.sleep(int(refused.headers[b"retry-after"]))
        assert (await Request("crawler").ask(guard)).status == 200

    run(story())


@pytest.mark.parametrize(("asks", "kept"), [(False, False), (True, True)])
def test_a_stream_is_asked_for_its_usage_and_its_client_told_if_it_wants_to_know(limited: Any, asks: bool, kept: bool) -> None:
    async def story() -> None:
        app = App()
        guard = limited(app, crawler={"tokens_per_minute": 1000})
        options = {"stream_options": {"include_usage": True}} if asks else {}
        told = await Request("crawler", body={**CHAT, "stream": True, **options}).ask(guard)
        assert app.bodies[0]["stream_options"] == {"include_usage": True}
        assert (b"usage" in told.text) is kept
        assert b'"Hi"' in told.text
        assert guard.quotas._tallies["crawler"].tokens.total == 100

    run(story())


def test_a_client_that_leaves_pays_for_what_it_got(limited: Any) -> None:
    async def story() -> None:
        guard = limited(App(), crawler={"tokens_per_minute": 1000, "parallel": 1})
        left = Request("crawler", body={**CHAT, "stream": True})

        async def send(message: Any) -> None:
            left.sent.append(message)
            if message["type"] == "http.response.body":
                raise asyncio.CancelledError

        left.send = send  # type: ignore[method-assign]
        with pytest.raises(asyncio.CancelledError):
            await left.ask(guard)
        assert guard.quotas._tallies["crawler"].tokens.total > 1
        assert (await Request("crawler").ask(guard)).status == 200, "its place is free"

    run(story())


def test_counting_tokens_costs_none(limited: Any) -> None:
    async def story() -> None:
        guard = limited(App(), crawler={"tokens_per_minute": 1})
        body = {"model": "chat", "messages": [{"role": "user", "content": "Hello " * 50}]}
        assert (await Request("crawler", "/v1/messages/count_tokens", body).ask(guard)).status == 200
        assert guard.quotas._tallies["crawler"].tokens.total == 0

    run(story())


def test_a_client_without_limits_notices_nothing(limited: Any) -> None:
    async def story() -> None:
        seen = []
        for limits in ({}, {"crawler": {"parallel": 1, "requests_per_minute": 1, "tokens_per_minute": 1, "models": ["large"]}}):
            app = App()
            guard = limited(app, **limits)
            asked = [Request("studio", body={**CHAT, "stream": number % 2 == 0}) for number in range(50)]
            await asyncio.gather(*(one.ask(guard) for one in asked))
            seen.append([app.bodies, [one.sent for one in asked]])
            assert guard.quotas._tallies == {}
        assert seen[0] == seen[1]

    run(story())


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/chat/completions", {**CHAT, "model": "chat"}, 200),
        ("/v1/chat/completions", {**CHAT, "model": "LLM"}, 200),
        ("/v1/chat/completions", {**CHAT, "model": "large"}, 404),
        ("/v1/chat/completions", {**CHAT, "model": "other"}, 404),
        ("/raw/a", {"input": "x"}, 200),
        ("/raw/a/", {"input": "x"}, 200),
        ("/raw/b", {"input": "x"}, 404),
    ],
)
def test_models_that_a_client_may_ask_for(limited: Any, path: str, body: Any, status: int) -> None:
    async def story() -> None:
        app = App()
        guard = limited(app, crawler={"models": ["chat", "LLM"], "routes": ["/raw/a"]})
        told = await Request("crawler", path, body).ask(guard)
        assert told.status == status
        assert len(app.bodies) == (status == 200)
        if status == 404:
            assert told.error["code"] in ("model_not_found", "unknown_url")
            assert "large" not in told.error["message"].replace(f"{body.get('model')!r}", "")
        assert (await Request("studio", path, {**body, "model": "large"}).ask(guard)).status == 200

    run(story())


def test_the_list_of_models_is_that_of_the_client(limited: Any) -> None:
    async def story() -> None:
        guard = limited(App(), crawler={"models": ["chat"]})
        listed = [json.loads((await Request(client, "/v1/models", method="GET").ask(guard)).text) for client in CLIENTS]
        assert listed[0] == {"object": "list", "data": [{"id": "chat"}]}
        assert listed[1] == {"object": "list", "data": [{"id": "chat"}, {"id": "large"}]}
        assert (await Request("crawler", "/v1/models/chat", method="GET").ask(guard)).status == 200
        assert (await Request("crawler", "/v1/models/large", method="GET").ask(guard)).status == 404

    run(story())


def test_limits_change_while_it_serves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def place(**limits: Any) -> None:
        new = tmp_path / "new"
        new.write_text(json.dumps(document(**limits)), encoding="utf-8")
        new.replace(tmp_path / "keys.json")

    async def story() -> None:
        guard = Guard(App())

        async def let_in() -> int:
            asked = await asyncio.gather(*(Request("crawler").ask(guard) for _number in range(10)))
            return sum(one.status == 200 for one in asked)

        assert await let_in() == 10
        for parallel in (2, 5, 1):
            place(crawler={"parallel": parallel})
            assert await let_in() == parallel
        place(crawler={"parallel": "no number"})
        assert await let_in() == 1, "a file that makes no sense changes nothing"
        place()
        assert await let_in() == 10

    place()
    monkeypatch.setattr(gateway_hooks, "KEYS", Keys(tmp_path / "keys.json"))
    run(story())


def test_what_clients_have_used_is_counted_by_the_models_own_name(limited: Any) -> None:
    async def story() -> None:
        guard = limited(App(), crawler={"requests_per_minute": 2, "tokens_per_minute": 1000})
        counted = Counted(guard, gateway_hooks.KEYS, gateway_hooks.POLICY)
        stream = {"model": "LLM", "messages": CHAT["messages"], "stream": True}
        asked = [Request("crawler"), Request("crawler", body=stream), Request("crawler")]
        asked += [Request("studio", body={**stream, "model": "nothing"}), Request("studio", "/raw/a", {"model": "m"}), Request("nobody")]
        asked += [Request("studio", body=stream), Request("studio", "/v1/models", method="GET")]
        for one in asked:
            await one.ask(counted)
        rows = counted.counts.document()["usage"]
        assert {(row["client"], row["model"]): {name: value for name, value in row["requests"].items() if value} for row in rows} == {
            ("crawler", "chat"): {"answered": 2},
            ("crawler", "unknown"): {"limited": 1},
            ("no valid key", "unknown"): {"refused": 1},
            ("studio", "/raw/a"): {"answered": 1},
            ("studio", "chat"): {"answered": 1},
            ("studio", "unknown"): {"refused": 1},
        }
        # Of a stream that is not asked for its usage only LiteLLM knows the tokens.
        assert [row["tokens"]["in"] for row in rows] == [120, 0, 0, 60, 0, 0]

    run(story())


@pytest.mark.parametrize(("cut", "tokens"), [(False, {"in": 60, "out": 40}), (True, {"in": 7, "out": 5})])
def test_of_an_answer_that_breaks_off_litellm_knows_the_tokens(limited: Any, cut: bool, tokens: dict[str, int]) -> None:
    async def story() -> None:
        counted = Counted(limited(App()), gateway_hooks.KEYS, gateway_hooks.POLICY)
        one = Request("crawler", body={**CHAT, "stream": True, "stream_options": {"include_usage": True}})
        note: Any = None

        async def send(message: Any) -> None:
            nonlocal note
            note = NOTE.get()
            if cut and b"usage" in message.get("body", b""):
                raise OSError

        one.send = send  # type: ignore[method-assign]
        with contextlib.suppress(OSError):
            await one.ask(counted)
        token = NOTE.set(note)
        gateway_hooks.logged(7, 5)
        NOTE.reset(token)
        (row,) = counted.counts.document()["usage"]
        assert row["tokens"] == tokens
        assert row["requests"]["left" if cut else "answered"] == 1

    run(story())


def test_what_litellm_does_for_nobody_counts_for_nobody() -> None:
    gateway_hooks.logged(7, 5)
    assert NOTE.get() is None


@pytest.mark.parametrize(
    ("name", "counted"),
    [("chat", "chat"), ("LLM", "chat"), ("/raw/a", "/raw/a"), ("/raw/a/", "/raw/a"), ("made-up", "unknown"), ("", "unknown")],
)
def test_there_are_no_more_models_than_the_gateway_lists(name: str, counted: str) -> None:
    """Also where the configuration has names with a star, and any name is answered."""
    assert gateway_hooks.LOADED.rules.models.names
    assert gateway_hooks.LOADED.model(name) == counted
