# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pinned LiteLLM in one process with the guard before it and an engine that writes down behind it. Runs in LiteLLM's container.

``inside.py REPORT COUNT SEED``: sends the corpus, every parameter that LiteLLM has, and COUNT mutated requests; writes what became of them.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import unquote

import uvicorn
from engine import BREAKS, HANGS, Engine, count_images, fetched
from mutate import Mutator, Request

HERE = Path(__file__).parent
CLIENT = "client-key-0123456789"
MASTER = "sk-master-0123456789abcdef"
PORT = 9911
ADMIN = ("/model/info", "/guardrails/list", "/nothing/here")
"""A route of LiteLLM's, one that it loads only when it is asked for, and none."""
RAW = "/embeddings/v1/embeddings"
IMAGES = {"chat": 1, "LLM_DEFAULT": 1, "org/Model-1": 1, "embedding": 1}
"""``max_images`` of the configuration, by every name; a raw route is its model's, whatever its body names."""
LOOKED_UP: list[str] = []


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


@dataclass
class Gateway:
    app: Any
    engine: Engine

    async def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: list[tuple[str, str]] | None = None,
        query: bytes = b"",
        leaves: bool = False,
    ) -> Reply:
        """One request through the ASGI application, as the server hands it over. C(leaves): its client goes when it has got something."""
        sent: list[dict[str, Any]] = []
        given = False

        async def receive() -> dict[str, Any]:
            nonlocal given
            if given:
                while not leaves or len(sent) < 2:
                    await asyncio.sleep(0.05)
                return {"type": "http.disconnect"}
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        pairs = [("host", "gateway"), ("authorization", f"Bearer {CLIENT}"), ("content-length", str(len(body))), *(headers or ())]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query,
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in pairs],
            "client": ("192.0.2.1", 5000),
            "server": ("gateway", 80),
            "state": {},
        }
        await asyncio.wait_for(self.app(scope, receive, send), 60)
        start = next(message for message in sent if message["type"] == "http.response.start")
        found = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
        return Reply(
            start["status"], found, b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
        )

    async def post(self, path: str, body: Any, headers: dict[str, str] | None = None, query: bytes = b"") -> tuple[Reply, list[Any]]:
        """The reply, and the bodies that the engine got."""
        before = len(self.engine.seen)
        pairs = [("content-type", "application/json"), *(headers or {}).items()]
        reply = await self.send("POST", path, json.dumps(body).encode(), pairs, query)
        return reply, [seen.body for seen in self.engine.seen[before:] if seen.method == "POST" and seen.path != "/api/show"]


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Gateway]:
    engine = Engine()
    # An engine that ends an idle connection just as a request comes is no matter of the guard's.
    config = uvicorn.Config(engine, host="127.0.0.1", port=PORT, log_level="error", lifespan="off", timeout_keep_alive=3600)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    from litellm.proxy.proxy_server import app

    async with app.router.lifespan_context(app):
        yield Gateway(app, engine)
    server.should_exit = True
    await task


def watch_names() -> None:
    """Remember every name that anything in this process wants to connect to."""
    plain = socket.getaddrinfo

    def looked_up(host: Any, *arguments: Any, **options: Any) -> Any:
        if host not in ("127.0.0.1", "localhost", None):
            LOOKED_UP.append(str(host))
        return plain(host, *arguments, **options)

    socket.getaddrinfo = looked_up


async def first(gateway: Gateway) -> dict[str, Any]:
    """What the first request of each kind has loaded: modules, and routes that FastAPI prepares. Nobody else is served meanwhile."""
    from fastapi import routing

    prepared = 0
    prepare = routing.get_dependant

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal prepared
        prepared += 1
        return prepare(*arguments, **options)

    found = {}
    with mock.patch.object(routing, "get_dependant", counted):
        for name, (path, body) in {**STREAMS, **OTHERS}.items():
            before = set(sys.modules)
            reply, _bodies = await gateway.post(path, body)
            found[name] = {"status": reply.status, "modules": sorted(set(sys.modules) - before), "routes": prepared}
            prepared = 0
    return found


async def corpus(gateway: Gateway) -> list[dict[str, Any]]:
    found = []
    for entry in json.loads((HERE / "corpus.json").read_text()):
        path, _mark, query = entry["path"].partition("?")
        reply, bodies = await gateway.post(path, entry["body"], entry["headers"], query.encode())
        found.append(
            {
                "client": entry["client"],
                "path": path,
                "sent": entry["body"],
                "status": reply.status,
                "answer": reply.text[:500],
                "engine": bodies,
            }
        )
    return found


async def parameters(gateway: Gateway) -> dict[str, Any]:
    """What becomes of every parameter that LiteLLM has a name for, alone and in extra_body."""
    import gateway_litellm

    names = sorted(gateway_litellm.steering_names())
    requests: dict[str, tuple[str, dict[str, Any]]] = {
        "chat": ("/v1/chat/completions", {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}),
        "embeddings": ("/v1/embeddings", {"model": "embedding", "input": "hi"}),
        "messages": ("/v1/messages", {"model": "chat", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}),
        "responses": ("/v1/responses", {"model": "chat", "input": "hi"}),
        "rerank": ("/v1/rerank", {"model": "rerank", "query": "q", "documents": ["a"]}),
        "completions": ("/v1/completions", {"model": "chat", "prompt": "hi"}),
    }
    kinds = list(requests)
    passed: dict[str, list[str]] = {}
    for number, name in enumerate(names):
        # Each name in the body of one route and in the extra_body of the next: all of them everywhere would take minutes.
        for where, kind in (("body", kinds[number % len(kinds)]), ("extra_body", kinds[(number + 1) % len(kinds)])):
            path, body = requests[kind]
            if name not in body:
                changed = {**body, name: "x"} if where == "body" else {**body, "extra_body": {name: "x"}}
                reply, bodies = await gateway.post(path, changed)
                if bodies or reply.status != 400 or name not in reply.text:
                    passed.setdefault(name, []).append(f"{kind} {where} {reply.status}")
    signatures = {name: sorted(found) for name, found in gateway_litellm.signatures().items()}
    return {"names": names, "signatures": signatures, "passed": passed}


def routes(app: Any) -> list[str]:
    """Every path that LiteLLM has, those included that it loads only when one asks for them."""
    from litellm.proxy._lazy_features import register_all_features

    register_all_features(app)
    found: set[str] = set()

    def walk(entries: Any) -> None:
        for route in entries:
            path = getattr(route, "path", None)
            if path:
                found.add(path)
            for holder in (route, getattr(route, "original_router", None)):
                walk(getattr(holder, "routes", None) or ())

    walk(app.router.routes)
    return sorted(found)


async def mutations(gateway: Gateway, count: int, seed: int) -> dict[str, Any]:
    mutator = Mutator(json.loads((HERE / "corpus.json").read_text()), seed)
    statuses: collections.Counter[int] = collections.Counter()
    codes: collections.Counter[str] = collections.Counter()
    troubles: list[dict[str, Any]] = []
    for number in range(count):
        request = mutator.make()
        before = len(gateway.engine.seen)
        raw = request.bytes()
        try:
            reply = await gateway.send("POST", request.path, raw, request.headers, request.query)
        except Exception as error:
            reply = Reply(599, {}, f"{type(error).__name__}: {error}".encode())
        seen = gateway.engine.seen[before:]
        statuses[reply.status] += 1
        what: list[str] = []
        if reply.status >= 500:
            what.append("5xx")
        if reply.status >= 400:
            try:
                told = json.loads(reply.body)["error"]
                codes[str(told["code"])] += 1
                if not isinstance(told["message"], str) or not told["message"]:
                    what.append("no message")
                if told["code"] == "invalid_request":
                    what.append("not read")
            except (ValueError, KeyError, TypeError):
                what.append("no error body")
        if any(fetched(entry.body) for entry in seen):
            what.append("an address reached the engine")
        limit = IMAGES["embedding"] if request.path == RAW else IMAGES.get(str(model_of(request)), 99)
        if any(count_images(entry.body) > limit for entry in seen):
            what.append("too many images reached the engine")
        if any(word in reply.text for word in ("127.0.0.1", "engine-key", "1.110")):
            what.append("the answer tells of the inside")
        if what:
            trouble = {
                "number": number,
                "what": what,
                "done": request.done,
                "path": request.path,
                "status": reply.status,
                "answer": reply.text[:600],
            }
            troubles.append({**trouble, "raw": raw.decode("utf-8", "replace")[:3000], "engine": [str(entry.body)[:1500] for entry in seen]})
    return {"statuses": dict(sorted(statuses.items())), "codes": dict(codes.most_common()), "troubles": troubles}


def model_of(request: Request) -> Any:
    try:
        body = json.loads(request.bytes())
    except (ValueError, RecursionError):
        return None
    return body.get("model") if isinstance(body, dict) else None


#: Streams whose usage LiteLLM tells, each by itself, after what the client asked for.
STREAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}),
    "chat, asked": (
        "/v1/chat/completions",
        {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "stream_options": {"include_usage": True}},
    ),
    "Ollama": ("/v1/chat/completions", {"model": "small", "messages": [{"role": "user", "content": "hi"}]}),
    "completions": ("/v1/completions", {"model": "chat", "prompt": "hi"}),
    "messages": ("/v1/messages", {"model": "chat", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}),
    "responses": ("/v1/responses", {"model": "chat", "input": "hi"}),
}


async def limits(gateway: Gateway) -> dict[str, Any]:
    """What a client with limits gets: tokens by the way in which each route tells them, models, a refusal. Set while LiteLLM serves."""
    keys = Path(os.environ["GATEWAY_LIVE_FOLDER"]) / "keys.json"
    before = keys.read_text()

    tallies = gateway.app.middleware_stack.app.app.quotas._tallies

    def limit(**limited: Any) -> None:
        new = keys.with_name("new.json")
        new.write_text(json.dumps({**json.loads(before), "limits": {"metis": limited}}))
        new.replace(keys)
        tallies.clear()

    async def ask(path: str, body: Any, **limited: Any) -> tuple[Reply, list[Any], int]:
        limit(**limited)
        reply, bodies = await gateway.post(path, body)
        return reply, bodies, tallies["metis"].tokens.total if "metis" in tallies else 0

    found: dict[str, Any] = {"tokens": {}, "usage": {}, "plain": {}}
    for name, (path, body) in STREAMS.items():
        reply, _bodies, tokens = await ask(path, {**body, "stream": True}, tokens_per_minute=1000)
        found["tokens"][name] = tokens
        found["usage"][name] = '"usage"' in reply.text
        assert reply.status == 200, reply.text
        if name != "chat, asked":
            reply, _bodies, found["plain"][name] = await ask(path, body, tokens_per_minute=1000)
            assert reply.status == 200, reply.text
    path, body = STREAMS["chat"]
    refused, bodies, _tokens = await ask("/v1/embeddings", {"model": "embedding", "input": "hi"}, models=["chat"])
    found["model"] = [refused.status, json.loads(refused.text)["error"]["code"], bodies]
    listed = await gateway.send("GET", "/v1/models")
    found["models"] = [entry["id"] for entry in json.loads(listed.text)["data"]]
    limit(parallel=1)
    many = await asyncio.gather(*(gateway.post(path, body) for _number in range(3)))
    found["parallel"] = sorted(reply.status for reply, _bodies in many)
    keys.write_text(before)
    return found


#: What is not told by a stream.
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "embeddings": ("/v1/embeddings", {"model": "embedding", "input": "hi"}),
    "raw": (RAW, {"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
    "rerank": ("/v1/rerank", {"model": "rerank", "query": "q", "documents": ["a"]}),
}


async def usage(gateway: Gateway) -> dict[str, Any]:
    """What is counted of each kind of request: client, model, outcome, tokens. And the text for Prometheus, read by its own library."""
    from prometheus_client.parser import text_string_to_metric_families

    counts = gateway.app.middleware_stack.app.counts
    master = [("authorization", f"Bearer {MASTER}")]

    async def told(path: str, body: dict[str, Any], *headers: tuple[str, str], leaves: bool = False) -> list[Any]:
        counts._rows.clear()
        reply = await gateway.send("POST", path, json.dumps(body).encode(), [("content-type", "application/json"), *headers], leaves=leaves)
        # LiteLLM's own account of a request comes a moment after the answer.
        for _try in range(50):
            await asyncio.sleep(0.02)
            (row,) = json.loads((await gateway.send("GET", "/usage", headers=master)).text)["usage"]
            if row["measured"] or reply.status >= 400:
                break
        (outcome,) = [name for name, number in row["requests"].items() if number]
        return [row["client"], row["model"], outcome, row["tokens"]["in"], row["tokens"]["out"]]

    found: dict[str, Any] = {"requests": {}}
    for name, (path, body) in {**STREAMS, **OTHERS}.items():
        found["requests"][name] = await told(path, body)
        if name in STREAMS:
            found["requests"][f"{name}, stream"] = await told(path, {**body, "stream": True})
    path, body = STREAMS["chat"]
    found["requests"]["alias"] = await told(path, {**body, "model": "org/Model-1"})
    found["requests"]["master"] = await told(path, body, *master)
    found["requests"]["no model"] = await told(path, {**body, "model": "nothing"})
    found["broken"], found["left"] = {}, {}
    for name in ("chat", "messages", "responses"):
        path, body = STREAMS[name]
        text = json.dumps({**body, "stream": True})
        found["broken"][name] = await told(path, json.loads(text.replace('"hi"', json.dumps(BREAKS))))
        if name != "responses":  # of which LiteLLM keeps the first event until there is a second one
            found["left"][name] = await told(path, json.loads(text.replace('"hi"', json.dumps(HANGS))), leaves=True)
    path, body = STREAMS["chat"]
    counts._rows.clear()
    for _number in range(3):
        await gateway.post(path, body)
    await asyncio.sleep(0.1)
    metrics = (await gateway.send("GET", "/usage/metrics", headers=master)).text
    found["metrics"] = {
        sample.name + json.dumps(sample.labels, sort_keys=True): sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
    }
    found["client"] = [(await gateway.send("GET", path)).status for path in ("/usage", "/usage/metrics")]
    return found


def without_front() -> None:
    """Take the media rule and the image limit out of the guard in front: what is left is what leaves for the engine.

    LiteLLM then looks up names of hosts that it wants to fetch from, which is why it gets no such request otherwise.
    """
    import gateway_requests

    def nothing(*_arguments: Any) -> None:
        return None

    for name in ("check_media", "trim_images"):
        setattr(gateway_requests, name, nothing)


async def main(report: str, count: int, seed: int) -> None:
    async with running() as gateway:
        watch_names()
        result: dict[str, Any] = {"first": await first(gateway), "corpus": await corpus(gateway), "parameters": await parameters(gateway)}
        result["limits"] = await limits(gateway)
        result["usage"] = await usage(gateway)
        started = time.monotonic()
        result["mutations"] = await mutations(gateway, count, seed)
        result["seconds"] = time.monotonic() - started
        result["looked_up"] = sorted(set(LOOKED_UP))
        without_front()
        result["exit"] = await mutations(gateway, count // 4, seed + 1)
        result["master"] = [(await gateway.send("GET", path, headers=[("authorization", f"Bearer {MASTER}")])).status for path in ADMIN]
        result["client"] = [(await gateway.send("GET", path)).status for path in ADMIN]
        result["routes"] = routes(gateway.app)
    Path(report).write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
