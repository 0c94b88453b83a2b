# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys that change while the real LiteLLM serves: nothing restarts, and nobody with a good key is refused.

Needs the test bed's images: `make real`.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from support.gateway_folder import write_gateway
from support.local_gateway import local_gateway
from support.steady_clients import all_the_time

MASTER, CLIENT = "sk-master-0123456789abcdef", "client-key-0123456789"
OLD_ENGINE, NEW_ENGINE = "engine-key-old-0123456789", "engine-key-new-0123456789"
SECRETS = (MASTER, CLIENT, OLD_ENGINE, NEW_ENGINE)


class Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True


@dataclass
class Engine:
    """An engine that can stop, and come back with another key."""

    name: str
    key: str = OLD_ENGINE
    refusal: int = 401
    #: Where the connection ends: before the answer, or within it; or that the answer says so itself.
    breaks: str = ""
    port: int = 0
    offered: Counter[str] = field(default_factory=Counter)
    _server: Server | None = None

    def start(self) -> None:
        engine = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *arguments: Any) -> None:
                pass

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                offered = str(self.headers.get("Authorization"))
                engine.offered[offered] += 1
                if engine.breaks == "before":
                    return
                right = offered == f"Bearer {engine.key}"
                ended = "abort" if engine.breaks == "told" else "stop"
                choice = {"index": 0, "message": {"role": "assistant", "content": engine.name}, "finish_reason": ended}
                usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
                reply: dict[str, Any] = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "usage": usage}
                if "embeddings" in self.path:
                    reply |= {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
                else:
                    reply |= {"choices": [choice]}
                body = json.dumps(reply if right else {"error": "Unauthorized"}).encode()
                self.send_response(200 if right else engine.refusal)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if engine.breaks == "within" else body)

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def backend(self, identity: str, host: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/v1"
        return {"id": identity, "host": host, "engine": "vllm", "model": "m", "url": url, "key_variable": f"ENGINE_KEY_{host.upper()}"}


@dataclass
class Gateway:
    folder: Path
    engines: dict[str, Engine]
    url: str = ""

    @property
    def plan(self) -> dict[str, Any]:
        a, b = self.engines["a"], self.engines["b"]
        return {
            "passthrough": [{"path": "/raw/embeddings", "model": "embedding"}],
            "models": [
                {"name": "solo", "backends": [a.backend("solo-a", "a")]},
                {"name": "pair", "backends": [a.backend("pair-a", "a"), b.backend("pair-b", "b")]},
                {"name": "embedding", "capability": "embedding", "backends": [a.backend("embedding-a", "a")]},
            ],
        }

    def write(
        self,
        *,
        master: str = MASTER,
        clients: Mapping[str, str] | None = None,
        engine_keys: Mapping[str, str] | None = None,
        previous: Mapping[str, Any] | None = None,
    ) -> dict[str, str]:
        keys = {f"ENGINE_KEY_{host.upper()}": key for host, key in {"a": OLD_ENGINE, "b": OLD_ENGINE, **(engine_keys or {})}.items()}
        clients = {"metis": CLIENT} if clients is None else clients
        return write_gateway(
            self.folder, self.plan, master_key=master, client_keys=clients, secret_environment=keys, previous_keys=previous
        )

    def ask(self, path: str, body: Any = None, key: str = CLIENT) -> requests.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return requests.request("GET" if body is None else "POST", self.url + path, json=body, headers=headers, timeout=60)

    def chat(self, model: str, key: str = CLIENT) -> requests.Response:
        return self.ask("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": str(time.monotonic())}]}, key)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("gateway"), {name: Engine(name) for name in "ab"})
    for engine in made.engines.values():
        engine.start()
    environment = made.write()
    assert not any(secret in value for value in environment.values() for secret in SECRETS), "LiteLLM has no key at all"
    try:
        with local_gateway(made.folder, environment) as serving:
            made.url = serving.url
            serving.wait()
            yield made
            assert serving.process.poll() is None, "the process that started serves to the end"
    finally:
        for engine in made.engines.values():
            engine.stop()
    assert not any(secret in serving.log.read_text() for secret in SECRETS)


@pytest.fixture(autouse=True)
def as_before(gateway: Gateway) -> Iterator[None]:
    yield
    for engine in gateway.engines.values():
        engine.key, engine.refusal, engine.breaks = OLD_ENGINE, 401, ""
        if engine._server is None:
            engine.start()
    gateway.write()
    # LiteLLM leaves a backend alone for a while, and until its next look at the backend's health.
    deadline = time.monotonic() + 150
    while {gateway.chat("pair").headers.get("x-litellm-model-id") for _ in range(8)} != {"pair-a", "pair-b"}:
        assert time.monotonic() < deadline
        time.sleep(1)


@dataclass
class Told:
    status: int
    at: float
    retry_after: str | None


@contextmanager
def asked_all_the_time(gateway: Gateway, model: str, workers: int = 4) -> Iterator[list[Told]]:
    """A loop of requests by one client, and what it is told."""
    told: list[Told] = []

    def ask() -> str:
        reply = gateway.chat(model)
        told.append(Told(reply.status_code, time.monotonic(), reply.headers.get("retry-after")))
        return str(reply.status_code)

    with all_the_time(*[ask] * workers, pause=0.02):
        yield told


def test_a_clients_key_changes_without_a_restart(gateway: Gateway) -> None:
    new = "client-key-new-0123456789"
    with asked_all_the_time(gateway, "solo") as told:
        gateway.write(clients={"metis": new}, previous={"client_keys": {"metis": hashlib.sha256(CLIENT.encode()).hexdigest()}})
        assert gateway.chat("solo", new).status_code == 200
        time.sleep(1)
    assert {one.status for one in told} == {200}
    gateway.write(clients={"metis": new})
    assert gateway.chat("solo").status_code == 401
    assert gateway.chat("solo", new).status_code == 200
    gateway.write(clients={})
    assert gateway.chat("solo", new).status_code == 401


def test_the_master_key_changes_without_a_restart(gateway: Gateway) -> None:
    new = "sk-master-new-0123456789"
    assert gateway.ask("/model/info", key=MASTER).status_code == 200
    gateway.write(master=new)
    assert gateway.ask("/model/info", key=new).status_code == 200
    assert gateway.ask("/model/info", key=MASTER).status_code == 401
    assert gateway.ask("/v1/models", key="live/ENGINE_KEY_A").status_code == 401


def test_a_file_that_is_broken_changes_nothing(gateway: Gateway) -> None:
    (gateway.folder / "live/keys.json").write_text('{"master": [')
    assert gateway.chat("solo").status_code == 200
    assert gateway.chat("solo", "wrong").status_code == 401


def restart(engine: Engine, key: str, seconds: float = 3) -> None:
    engine.stop()
    time.sleep(seconds)
    engine.key = key
    engine.start()


def test_the_key_of_the_only_engine_changes(gateway: Gateway) -> None:
    """As site.yml does it: the gateway gets the new key beside the old one, the engine restarts, the old key goes."""
    engine = gateway.engines["a"]
    with asked_all_the_time(gateway, "solo") as told:
        time.sleep(0.5)
        gateway.write(engine_keys={"a": NEW_ENGINE}, previous={"environment": {"ENGINE_KEY_A": OLD_ENGINE}})
        time.sleep(1)
        before = len(told)
        restart(engine, NEW_ENGINE, seconds=10)
        time.sleep(10)
        after = len(told)
        gateway.write(engine_keys={"a": NEW_ENGINE})
        time.sleep(1)
    statuses = Counter(one.status for one in told)
    assert set(statuses) == {200, 503}, statuses
    assert {one.status for one in told[: before - 4]} == {200}
    assert {one.status for one in told[after - 4 :]} == {200}
    assert all(one.retry_after for one in told if one.status == 503)
    assert gateway.ask("/raw/embeddings", {"model": "m", "input": "x"}).status_code == 200
    assert set(engine.offered) <= {f"Bearer {OLD_ENGINE}", f"Bearer {NEW_ENGINE}"}


def test_the_keys_of_two_engines_change_and_no_request_fails(gateway: Gateway) -> None:
    with asked_all_the_time(gateway, "pair") as told:
        for name in "ab":
            done = {one: NEW_ENGINE for one in "ab" if one <= name}
            gateway.write(engine_keys=done, previous={"environment": {f"ENGINE_KEY_{name.upper()}": OLD_ENGINE}})
            engine = gateway.engines[name]
            restart(engine, NEW_ENGINE)
            deadline = time.monotonic() + 90
            # A backend that failed is left alone for a while; a check of its health gets there before.
            while name == "a" and gateway.chat("pair").headers.get("x-litellm-model-id") != "pair-a":
                assert time.monotonic() < deadline
                time.sleep(0.5)
        gateway.write(engine_keys={"a": NEW_ENGINE, "b": NEW_ENGINE})
        time.sleep(1)
    assert Counter(one.status for one in told).keys() == {200}


@pytest.mark.parametrize("refusal", [401, 403])
def test_an_engine_that_refuses_our_key_is_out_of_order_and_no_clients_fault(gateway: Gateway, refusal: int) -> None:
    engine = gateway.engines["a"]
    engine.key, engine.refusal = "another-key-0123456789", refusal
    reply = gateway.chat("solo")
    assert reply.status_code == 503, reply.text
    assert reply.headers["retry-after"]
    assert gateway.ask("/raw/embeddings", {"model": "m", "input": "x"}).status_code == 503
    assert {gateway.chat("pair").status_code for _ in range(20)} == {200}


@pytest.mark.parametrize("breaks", ["before", "within", "told"])
def test_an_engine_that_stops_in_the_middle_is_out_of_order(gateway: Gateway, breaks: str) -> None:
    gateway.engines["a"].breaks = breaks
    reply = gateway.chat("solo")
    assert (reply.status_code, "broke the connection off" in reply.text) == (503, True), reply.text
    assert reply.headers["retry-after"]
    if breaks == "before":  # a raw route hands on what comes
        assert gateway.ask("/raw/embeddings", {"model": "m", "input": "x"}).status_code == 503
    assert {gateway.chat("pair").status_code for _ in range(20)} == {200}


def test_the_old_key_is_known_to_the_gateway_where_nobody_else_has_it(gateway: Gateway) -> None:
    """A key from a vault that was changed: the run does not know the old one, and the engine asks for it until it restarts."""
    gateway.write(engine_keys={"a": NEW_ENGINE})
    assert {gateway.chat("solo").status_code for _ in range(5)} == {200}
    gateway.engines["a"].key = NEW_ENGINE
    assert {gateway.chat("solo").status_code for _ in range(5)} == {200}
