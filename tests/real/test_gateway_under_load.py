# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real gateway under the load of one client, and what another client notices of it: nothing that takes longer than five seconds.

`make real` does the short form, `make load` the whole one, by the published port and from the clients' container network.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from support.loaded_gateway import KEYS, LoadedGateway, loaded_gateway, result
from support.ollama import free_port

#: Seconds for each request of the quiet client.
PROMISED = 5.0
#: Share of the memory limit.
FULL = 0.8
WHERE = ("published", "network")


@dataclass(frozen=True)
class Crowd:
    """What one client does all at once, and what it is answered."""

    kind: str
    count: int
    size: int = 0
    answered: tuple[str, ...] = ("200",)


MB = 1_000_000
SHORT = {
    "images": Crowd("images", 5, 25 * MB),
    "sound": Crowd("sound", 3, 25 * MB),
    "200 MB": Crowd("text", 1, 200 * MB, ("413",)),
    "200 MB without a length": Crowd("chunked", 1, 200 * MB, ("413",)),
    "streams": Crowd("streams", 100, 40, ("200 whole",)),
}
WHOLE = {
    "images": Crowd("images", 20, 25 * MB),
    "images of 2 MB, eight each": Crowd("images", 20, 22 * MB),
    "text": Crowd("text", 20, 25 * MB),
    "without a length": Crowd("chunked", 20, 25 * MB),
    "sound": Crowd("sound", 20, 25 * MB),
    "200 MB": Crowd("text", 5, 200 * MB, ("413",)),
    "200 MB without a length": Crowd("chunked", 5, 200 * MB, ("413",)),
    "streams": Crowd("streams", 1000, 100, ("200 whole",)),
    "slow headers": Crowd("slow_headers", 500, 0, ("408", "closed")),
    "slow bodies": Crowd("slow_bodies", 500, 0, ("408",)),
    "slow readers": Crowd("slow_readers", 10, 120, ("closed",)),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedGateway]:
    with loaded_gateway(tmp_path_factory.mktemp("gateway"), free_port()) as made:
        yield made


def readiness(port: int) -> float:
    began = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30) as answer:
        assert json.load(answer) == {"status": "ok"}
    return time.monotonic() - began


def stands(gateway: LoadedGateway, where: str, crowd: Crowd, asked: int) -> None:
    """Let the crowd in, ask meanwhile as somebody else, and look at what it did to the gateway."""
    before = gateway.identity()
    way = str(gateway.port) if where == "published" else where
    loud = gateway.clients("crowd", way, crowd.kind, crowd.count, crowd.size)
    time.sleep(2)
    quiet = gateway.clients("quiet", way, "ask", asked)
    longest = 0.0
    while quiet.poll() is None:
        longest = max(longest, readiness(gateway.port))
        time.sleep(0.5)
    noticed, became = result(quiet), result(loud)
    peak, limit = gateway.peak()
    told = f"{crowd.kind} x {crowd.count} by {where}: {became}; the quiet client: {noticed}; readiness {longest:.1f} s; {peak >> 20} MiB"
    print(told)
    assert noticed["statuses"] == {"200": asked}, told
    assert noticed["longest"] < PROMISED, told
    assert longest < PROMISED, told
    assert set(became["statuses"]) <= set(crowd.answered), told
    assert gateway.identity() == before, told
    assert peak < FULL * limit, told


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("name", SHORT)
def test_another_client_notices_nothing(gateway: LoadedGateway, where: str, name: str) -> None:
    stands(gateway, where, SHORT[name], 40)


@pytest.mark.load
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("name", WHOLE)
def test_another_client_notices_nothing_of_the_whole_load(gateway: LoadedGateway, where: str, name: str) -> None:
    stands(gateway, where, WHOLE[name], 200)


def post(gateway: LoadedGateway, path: str, document: dict[str, Any], key: str | None = KEYS["quiet"]) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    request = urllib.request.Request(f"http://127.0.0.1:{gateway.port}{path}", json.dumps(document).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_what_is_too_large_is_told_in_openais_form(gateway: LoadedGateway) -> None:
    status, told = post(gateway, "/v1/chat/completions", {"model": "chat", "messages": [], "x": "y" * 40 * MB})
    assert (status, told["error"]["code"], told["error"]["type"]) == (413, "request_too_large", "invalid_request_error")
    status, told = post(gateway, "/v1/embeddings", {"model": "embedding", "input": ["a"] * 300_000})
    assert (status, told["error"]["code"]) == (413, "request_too_large")
    assert "200000 strings" in told["error"]["message"]


def test_a_key_is_asked_for_before_a_body_is_read(gateway: LoadedGateway) -> None:
    before, _limit = gateway.peak()
    asked = [post(gateway, "/v1/chat/completions", {"x": "y" * 30 * MB}, key) for key in (None, "wrong") for _ in range(5)]
    assert {status for status, _told in asked} == {401}
    after, _limit = gateway.peak()
    assert after - before < 16 * MB


def test_many_inputs_and_large_vectors_pass(gateway: LoadedGateway) -> None:
    status, told = post(gateway, "/v1/embeddings", {"model": "embedding", "input": [f"text {number}" for number in range(2048)]})
    assert (status, told["data"][0]["embedding"]) == (200, [0.5, 0.5])


def test_a_long_stream_is_not_kept(gateway: LoadedGateway) -> None:
    """LiteLLM alone takes 4 KiB for each of twenty thousand pieces."""
    used = "cat /sys/fs/cgroup/memory/memory.usage_in_bytes /sys/fs/cgroup/memory.current 2>/dev/null"

    def now() -> int:
        done = subprocess.run(["docker", "exec", gateway.name, "sh", "-c", used], capture_output=True, text=True, check=False)
        return int(done.stdout.split()[0])

    first = result(gateway.clients("quiet", str(gateway.port), "streams", 10, 20))
    before = now()
    found = result(gateway.clients("quiet", str(gateway.port), "streams", 10, 2000))
    assert first["statuses"] == found["statuses"] == {"200 whole": 10}
    assert now() - before < 24 * MB
