# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backends are taken out of rotation at a gateway with the real LiteLLM, under steady requests of every kind, and put back.

Needs the test bed's images: `make real`.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from support.gateway_folder import write_gateway
from support.local_gateway import local_gateway
from support.scripted_backend import Backend

from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import change_rotation

MASTER, CLIENT = "sk-master-0123456789abcdef", "client-key-0123456789"
RAW = "/one/v1/embeddings"
SAYS = "This is of a client."
CAPABILITIES = {"chat": "chat", "embedding": "embedding", "rerank": "rerank", "asr": "transcription"}
number = itertools.count()


@dataclass
class Bed:
    folder: Path
    url: str
    one: Backend
    two: Backend

    def turn(self, state: str, *names: str) -> None:
        """What the module does, for all models of these backends."""
        backends = [f"{model}-{name}" for model in CAPABILITIES for name in names]

        def change(found: Any) -> Any:
            return found.take_out(backends, {"by": "test"}, last=True) if state == "out" else found.put_back(backends)

        change_rotation(self.folder / "live", change)

    def post(self, path: str, key: str = CLIENT, **options: Any) -> requests.Response:
        return requests.post(self.url + path, headers={"Authorization": f"Bearer {key}"}, timeout=60, **options)


def texts() -> str:
    """Never the same, since embeddings are remembered."""
    return f"{SAYS} {next(number)}"


def message() -> list[dict[str, str]]:
    return [{"role": "user", "content": texts()}]


def ask_chat(bed: Bed, **more: Any) -> requests.Response:
    return bed.post("/v1/chat/completions", json={"model": "chat", "messages": message(), **more})


KINDS: dict[str, Callable[[Bed], requests.Response]] = {
    "chat": ask_chat,
    "chat stream": lambda bed: ask_chat(bed, stream=True),
    "messages": lambda bed: bed.post("/v1/messages", json={"model": "chat", "messages": message(), "max_tokens": 9}),
    "responses": lambda bed: bed.post("/v1/responses", json={"model": "chat", "input": texts()}),
    "completions": lambda bed: bed.post("/v1/completions", json={"model": "chat", "prompt": texts()}),
    "embeddings": lambda bed: bed.post("/v1/embeddings", json={"model": "embedding", "input": texts()}),
    "rerank": lambda bed: bed.post("/v1/rerank", json={"model": "rerank", "query": texts(), "documents": ["a"]}),
    "transcription": lambda bed: bed.post(
        "/v1/audio/transcriptions", data={"model": "asr"}, files={"file": ("a.wav", b"RIFF " + texts().encode(), "audio/wav")}
    ),
    "conversation": lambda bed: bed.post(
        "/v1/chat/completions", json={"model": "chat", "messages": message(), "user": f"conversation {next(number) % 5}"}
    ),
}


def ask_raw(bed: Bed) -> requests.Response:
    return bed.post(RAW, json={"model": "m", "input": texts()})


@pytest.fixture(scope="module", params=[True, False], ids=["sticky", "not sticky"])
def bed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    folder = tmp_path_factory.mktemp("rotation")
    one, two, other = Backend("one"), Backend("two"), Backend("other")
    for backend in (one, two, other):
        backend.start()
    models: list[dict[str, Any]] = [
        {"name": name, "capability": capability, "backends": [one.at(f"{name}-one"), two.at(f"{name}-two")]}
        for name, capability in CAPABILITIES.items()
    ]
    models += [
        {"name": "careful", "fallbacks": ["other"], "backends": [one.at("careful-one")]},
        {"name": "doubled", "fallbacks": ["other"], "backends": [one.at("doubled-one"), two.at("doubled-two")]},
        {"name": "other", "backends": [other.at("other-other")]},
    ]
    plan = {"models": models, "passthrough": [{"path": RAW, "model": "embedding"}], "sticky_sessions": request.param}
    environment = write_gateway(
        folder, plan, master_key=MASTER, client_keys={"agents": CLIENT}, secret_environment={"ENGINE_KEY_N": "engine-key-0123456789"}
    )
    with local_gateway(folder, environment) as serving:
        serving.wait()
        yield Bed(folder, serving.url, one, two)
        assert serving.process.poll() is None
    for backend in (one, two, other):
        backend.kill()


@contextmanager
def steady(bed: Bed) -> Iterator[list[str]]:
    """Requests of every kind without a pause: what was answered otherwise than well."""
    wrong: list[str] = []
    over = threading.Event()

    def go(kind: str) -> None:
        while not over.is_set():
            reply = KINDS[kind](bed)
            if reply.status_code != 200:
                wrong.append(f"{kind}: {reply.status_code} {reply.text[:300]}")

    threads = [threading.Thread(target=go, args=(kind,)) for kind in KINDS]
    for thread in threads:
        thread.start()
    try:
        yield wrong
    finally:
        over.set()
        for thread in threads:
            thread.join()


def wait_for(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def all_kinds(backend: Backend, at_least: int = 0) -> bool:
    wanted = {"/chat/completions", "/completions", "/embeddings", "/rerank", "/transcriptions", "/responses"}
    return len(backend.marked) > at_least and all(any(path.endswith(end) for path in backend.marked) for end in wanted)


def test_a_backend_goes_and_comes_back_under_requests(bed: Bed) -> None:
    with steady(bed) as wrong:
        wait_for(lambda: all_kinds(bed.one) and all_kinds(bed.two))
        for out, left in ((bed.one, bed.two), (bed.two, bed.one)):
            bed.turn("out", out.name)
            time.sleep(1)  # what is on its way arrives
            out.marked.clear()
            left.marked.clear()
            wait_for(partial(all_kinds, left, 100))
            assert out.marked == []
            bed.turn("in", out.name)
            wait_for(partial(all_kinds, out))
    assert wrong == []


def test_from_the_next_request_on(bed: Bed) -> None:
    for out in (bed.one, bed.two) * 3:
        bed.turn("out", out.name)
        out.marked.clear()
        for kind, ask in KINDS.items():
            for _time in range(3):
                assert ask(bed).status_code == 200, kind
        assert out.marked == []
        bed.turn("in", out.name)


def test_a_request_that_runs_ends_in_peace(bed: Bed) -> None:
    replies: list[requests.Response] = []

    def ask() -> None:
        replies.append(bed.post("/v1/chat/completions", json={"model": "chat", "messages": [{"role": "user", "content": "hold on"}]}))

    bed.turn("out", "two")
    thread = threading.Thread(target=ask)
    before = bed.one.asked
    thread.start()
    wait_for(lambda: bed.one.asked > before)
    bed.turn("in", "two")
    bed.turn("out", "one")
    assert KINDS["chat"](bed).status_code == 200
    bed.one.free.set()
    thread.join()
    bed.turn("in", "one")
    assert [reply.status_code for reply in replies] == [200]
    assert replies[0].headers["x-litellm-model-id"] == "chat-one"


@pytest.mark.parametrize("kind", KINDS)
def test_all_out_is_503_and_says_when_to_come_back(bed: Bed, kind: str) -> None:
    bed.turn("out", "one", "two")
    try:
        bed.one.marked.clear()
        bed.two.marked.clear()
        before = time.monotonic()
        reply = KINDS[kind](bed)
        took = time.monotonic() - before
    finally:
        bed.turn("in", "one", "two")
    assert reply.status_code == 503, reply.text
    assert int(reply.headers["retry-after"]) > 0
    assert "out of rotation" in reply.json()["error"]["message"]
    assert reply.json()["error"]["code"] == "out_of_rotation"
    assert bed.one.marked + bed.two.marked == []
    assert took < 5, "nobody waits for a backend that does not come"
    assert KINDS[kind](bed).status_code == 200, "no cooldown is left of it"


def test_one_that_has_come_back_serves_at_once_where_the_other_one_leaves(bed: Bed) -> None:
    bed.one.kill()
    answered = [ask_chat(bed).headers.get("x-litellm-model-id") for _turn in range(10)]
    assert answered == ["chat-two"] * 10, "for LiteLLM the first one is ill now, and for half a minute"
    bed.one.start()
    bed.turn("out", "two")
    try:
        replies = [ask_chat(bed) for _turn in range(5)]
    finally:
        bed.turn("in", "two")
    assert [(reply.status_code, reply.headers.get("x-litellm-model-id")) for reply in replies] == [(200, "chat-one")] * 5


def test_a_model_whose_servers_were_all_gone_is_served_as_soon_as_one_is_back(bed: Bed) -> None:
    for backend in (bed.one, bed.two):
        backend.kill()
    try:
        # Never 429, by which clients would think of a limit.
        assert {ask_chat(bed).status_code for _turn in range(6)} == {503}
    finally:
        bed.two.start()
    try:
        replies = [ask_chat(bed) for _turn in range(6)]
    finally:
        bed.one.start()
    assert [(reply.status_code, reply.headers.get("x-litellm-model-id")) for reply in replies] == [(200, "chat-two")] * 6


def test_another_model_takes_over_at_once_from_one_whose_servers_are_all_gone(bed: Bed) -> None:
    def ask() -> requests.Response:
        return bed.post("/v1/chat/completions", json={"model": "doubled", "messages": message()})

    for backend in (bed.one, bed.two):
        backend.kill()
    try:
        replies = [ask() for _turn in range(4)]
    finally:
        for backend in (bed.one, bed.two):
            backend.start()
    assert [(reply.status_code, reply.headers.get("x-litellm-model-id")) for reply in replies] == [(200, "other-other")] * 4
    assert max(reply.elapsed.total_seconds() for reply in replies[1:]) < 0.5, "nobody is asked again meanwhile"


def test_a_raw_route_leads_to_one_backend_only(bed: Bed) -> None:
    assert ask_raw(bed).status_code == 200
    bed.turn("out", "one")
    bed.one.marked.clear()
    reply = ask_raw(bed)
    assert reply.status_code == 200, "other models are on that server, and in rotation"
    change_rotation(bed.folder / "live", lambda found: found.take_out(["careful-one", "doubled-one"], {}, last=True))
    try:
        bed.one.marked.clear()
        reply = ask_raw(bed)
    finally:
        change_rotation(bed.folder / "live", lambda found: found.put_back(["careful-one", "doubled-one"]))
        bed.turn("in", "one")
    assert (reply.status_code, bed.one.marked) == (503, [])
    assert int(reply.headers["retry-after"]) > 0
    assert "out of rotation" in reply.json()["error"]["message"]
    assert ask_raw(bed).status_code == 200


def test_another_model_takes_over_where_it_is_declared(bed: Bed) -> None:
    def ask() -> requests.Response:
        return bed.post("/v1/chat/completions", json={"model": "careful", "messages": message()})

    assert ask().headers["x-litellm-model-id"] == "careful-one"
    change_rotation(bed.folder / "live", lambda found: found.take_out(["careful-one"], {}, last=True))
    try:
        reply = ask()
        assert (reply.status_code, reply.headers["x-litellm-model-id"]) == (200, "other-other")
    finally:
        change_rotation(bed.folder / "live", lambda found: found.put_back(["careful-one"]))
    assert ask().headers["x-litellm-model-id"] == "careful-one"


def test_the_masters_requests_go_the_same_way(bed: Bed) -> None:
    bed.turn("out", "one", "two")
    try:
        reply = bed.post("/v1/chat/completions", key=MASTER, json={"model": "chat", "messages": message()})
        assert reply.status_code == 503
        health = requests.get(bed.url + "/health", headers={"Authorization": f"Bearer {MASTER}"}, timeout=60)
        assert health.status_code == 200, "which asks engines whatever their rotation"
    finally:
        bed.turn("in", "one", "two")
