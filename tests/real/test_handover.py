# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gateway changes while clients ask it: the real LiteLLM in the role's containers, with the real launcher and reconciler.

Needs the test bed's images: `make real`.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.containers import LITELLM
from support.gateway_container import MASTER, container, docker, network
from support.gateway_unit import GatewayUnit
from support.loaded_gateway import LOAD, plan

KEY = "client-key-0123456789"
#: Seconds from one connection that was accepted, and its request answered, to the next.
LONGEST_GAP = 1.0
BODY = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "Hello"}]})

#: A client on the gateway's own network: by its name, a connection for each request.
BY_NAME = """
import json, sys, time, urllib.request
wrong, good, last, gap = [], 0, None, 0.0
while True:
    headers = {"Authorization": "Bearer " + sys.argv[2], "Content-Type": "application/json"}
    request = urllib.request.Request(sys.argv[1], sys.argv[3].encode(), headers)
    try:
        urllib.request.urlopen(request, timeout=20).read()
        now = time.monotonic()
        gap, last, good = max(gap, now - (last or now)), now, good + 1
    except OSError as error:
        wrong.append(str(error))
    print(json.dumps({"good": good, "gap": round(gap, 3), "wrong": wrong[:5]}), flush=True)
    time.sleep(0.02)
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@dataclass
class Clients:
    """Clients that ask without a pause: two with a connection for each request, and one that keeps its own."""

    port: int
    ended: dict[str, list[float]] = field(default_factory=lambda: {"accepted": [], "new": [], "kept": []})
    wrong: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def ask(self, connection: http.client.HTTPConnection, body: str = BODY) -> http.client.HTTPResponse:
        connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"})
        return connection.getresponse()

    def alive(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        """Asks what costs the gateway next to nothing."""
        connection.request("GET", "/health/liveliness")
        return connection.getresponse()

    def _go(self, kind: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._over.is_set():
            try:
                reply = self.alive(connection) if kind == "accepted" else self.ask(connection)
                text = reply.read()
                if reply.status != 200:
                    self.wrong.append(f"{kind}: {reply.status} {text[:200]!r}")
                self.ended[kind].append(time.monotonic())
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(f"{kind}: {type(error).__name__} {error}")
                connection.close()
                time.sleep(0.01)
            if kind != "kept":
                connection.close()

    @contextmanager
    def asking(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._go, args=(kind,)) for kind in self.ended]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def gap(self, kind: str, since: float = 0.0) -> float:
        times = [moment for moment in self.ended[kind] if moment >= since]
        return round(max(later - earlier for earlier, later in zip(times, times[1:], strict=False)), 3)


def stream(port: int, pieces: int) -> Callable[[], str]:
    """Begins a stream; all of it, once it is over."""
    text: list[str] = []

    def read() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        body = json.dumps({**json.loads(BODY), "stream": True, "max_tokens": pieces})
        text.append(Clients(port).ask(connection, body).read().decode())

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(1)

    def rest() -> str:
        thread.join()
        return text[0]

    return rest


@dataclass
class Bed:
    unit: GatewayUnit
    engine: str
    network: str

    def plan(self, *models: str) -> dict[str, Any]:
        described = plan(self.engine)
        first = described["models"][0]
        described["models"] += [{**first, "name": name, "backends": [{**first["backends"][0], "id": f"{name}-n"}]} for name in models]
        return described

    def models(self) -> set[str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.unit.port, timeout=30)
        connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {MASTER}"})
        return {model["id"] for model in json.loads(connection.getresponse().read())["data"]}

    def wait(self) -> None:
        deadline = time.monotonic() + 180
        while self.unit.state().get("phase") != "ready":
            assert time.monotonic() < deadline, (self.unit.folder / "journal").read_text(encoding="utf-8")[-3000:]
            time.sleep(0.2)


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    name = f"gpuinf-handover-{os.getpid()}"
    unit = GatewayUnit(tmp_path_factory.mktemp("handover"), name, free_port(), {"client": KEY})
    options = ("--volume", f"{LOAD}:{LOAD}:ro", "--entrypoint", "python3")
    with network(name), container(f"{name}-engine", name, LITELLM, f"{LOAD}/engine.py", "8000", options=options):
        bed = Bed(unit, f"{name}-engine", name)
        try:
            assert unit.reconcile(unit.parameters(bed.plan())).started == [f"litellm/{unit.name}"]
            bed.wait()
            yield bed
        finally:
            unit.close()


@contextmanager
def by_name(bed: Bed) -> Iterator[Callable[[], dict[str, Any]]]:
    """A client in a container; what has become of it so far."""
    url, name = "http://litellm-gateway:4000/v1/chat/completions", f"{bed.network}-client"

    def told() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(docker("logs", "--tail", "1", name))
        return found

    with container(name, bed.network, LITELLM, "-c", BY_NAME, url, KEY, BODY, options=("--entrypoint", "python3")):
        yield told


@pytest.mark.parametrize("number", [1, 2])
def test_a_change_refuses_no_request(bed: Bed, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The first one leaves the container that has the port; the ones after it replace what took it over."""
    unit, clients = bed.unit, Clients(bed.unit.port)
    wanted = unit.parameters(bed.plan(f"more-{number}"))
    rest = stream(unit.port, 800)
    with by_name(bed) as told, clients.asking():
        time.sleep(1)
        report = unit.reconcile(wanted)
        swapped = time.monotonic()
        assert (report.failures, report.warnings, report.restarted) == ([], [], [f"litellm/{unit.name}"])
        assert "has taken the port over" in report.units[f"litellm/{unit.name}"]["reason"]
        bed.wait()
        time.sleep(2)
        inside = told()
    assert f"more-{number}" in bed.models()
    text = rest()
    assert text.count("data: {") >= 800
    assert text.rstrip().endswith("data: [DONE]")
    # A machine with two cores is busy while the new one loads; what counts is the moment of the change.
    pauses, at_the_change = ({kind: clients.gap(kind, since) for kind in clients.ended} for since in (0.0, swapped - 4))
    with capsys.disabled():
        counts = {kind: len(ended) for kind, ended in clients.ended.items()}
        print(f"\nhandover {number}: longest pauses {at_the_change} s, while the new one loads {pauses} s, answers {counts}")
        print(f"  refused {clients.wrong}, by name {inside}, stream of {text.count('data: {')} pieces whole")
    assert clients.wrong == []
    assert inside["wrong"] == []
    assert at_the_change["accepted"] < LONGEST_GAP
    assert unit.containers() == {unit.container, f"{unit.container}-port"}
    assert not unit.reconcile(wanted).changed


def test_one_that_does_not_come_up_never_replaces_the_old_one(bed: Bed) -> None:
    unit, clients = bed.unit, Clients(bed.unit.port)
    before, models = unit.containers(), bed.models()
    with clients.asking():
        report = unit.reconcile(unit.parameters(bed.plan("unserved"), arguments=["--no-such-option"]))
    (failure,) = report.failures
    assert "No such option" in failure
    assert clients.wrong == []
    assert (unit.containers(), bed.models()) == (before, models)


def test_a_start_leads_back_to_one_container(bed: Bed) -> None:
    bed.unit.close()
    assert bed.unit.containers() == set()
    assert bed.unit.reconcile(bed.unit.parameters(bed.plan())).started
    bed.wait()
    assert bed.unit.containers() == {bed.unit.container}
