# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.played_server import Play, Server

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _probers as probers
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import TIMED_OUT, Ran
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint, Observation
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe_http import Reply, Request, TransportError

HERE = Endpoint("chat", "http://127.0.0.1:9/v1", model="chat")


@pytest.fixture(name="docker")
def _docker(tmp_path: Path) -> Callable[[str], str]:
    def program(script: str) -> str:
        file = tmp_path / "docker"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return str(file)

    return program


def asked(docker: str, *endpoints: Endpoint) -> list[tuple[int, Observation]]:
    prober = probers.ContainerProber("litellm", 5.0, docker)
    assert prober.finished(0.0) == []
    for number, endpoint in enumerate(endpoints):
        prober.start(number, endpoint)
    return sorted(prober.finished(60.0), key=lambda found: found[0])


def test_endpoints_are_asked_from_within_a_container(docker: Callable[[str], str], tmp_path: Path) -> None:
    """All of them by one docker exec."""
    engine = Server(Play(models=("chat",))).start()
    there = Endpoint("chat", engine.base_url, model="chat")
    program = docker(f'echo "$1 $2 $3" >> {tmp_path}/calls; exec {sys.executable} -I -c "$6"')
    try:
        (_, good), (_, refused) = asked(program, there, HERE)
    finally:
        engine.stop()
    assert (good.ok, good.models) == (True, ("chat",))
    assert (refused.ok, refused.cause) == (False, "refused")
    assert (tmp_path / "calls").read_text() == "exec -i litellm\n"


@pytest.mark.parametrize(
    ("script", "cause", "told"),
    [
        ("echo 'Error response from daemon: No such container: litellm' >&2; exit 1", "unit_failed", "No such container: litellm"),
        ("echo 'Error response from daemon: container is not running' >&2; exit 1", "unit_failed", "is not running"),
        (
            "echo Cannot connect to the Docker daemon at unix:///x >&2; exit 1",
            "docker_down",
            "Cannot connect",
        ),
        ("echo no JSON", "unknown", "docker exec litellm python3: "),
    ],
)
def test_a_container_that_cannot_ask(docker: Callable[[str], str], script: str, cause: str, told: str) -> None:
    ((number, seen),) = asked(docker(script), HERE)
    assert (number, seen.ok, seen.cause) == (0, False, cause)
    assert told in seen.message


def test_a_host_without_docker(tmp_path: Path) -> None:
    ((_, seen),) = asked(str(tmp_path / "none"), HERE)
    assert (seen.cause, seen.certain) == ("docker_down", True)
    assert "the docker command does not exist on this host" in seen.message


def test_a_container_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Docker, "feed", lambda *_given, **_more: Ran(TIMED_OUT))
    ((_, seen),) = asked("docker", HERE)
    assert (seen.cause, seen.message) == ("timeout", "docker exec litellm: no result within 35 s")

    def broken(*_given: object, **_more: object) -> Ran:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(Docker, "feed", broken)
    ((_, seen),) = asked("docker", HERE)
    assert (seen.ok, seen.message) == (False, "docker exec litellm: RuntimeError: a fault of ours")


def test_a_probe_that_breaks_is_an_observation() -> None:
    def broken(request: Request) -> Reply:
        raise RuntimeError("a fault of ours")

    prober = probers.ThreadProber(broken, 5.0)
    prober.start(3, HERE)
    ((number, seen),) = prober.finished(60.0)
    assert (number, seen.ok, seen.message) == (3, False, "http://127.0.0.1:9/v1: RuntimeError: a fault of ours")


def test_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Server(Play(health_path="/v1/models", health_status=307)).start()
    try:
        # Certificates are of no account here, but whoever does not want them checked hears nothing of it.
        request = Request("GET", f"{engine.base_url}/models", {}, None, 10.0, validate_certs=False)
        assert probers.requests_transport(request).status == 307
        monkeypatch.setattr(probers, "BODY_LIMIT", 10)
        engine.change(health_path="")
        assert b"object" in probers.requests_transport(request).body
        moments = iter([0.0, 100.0])
        monkeypatch.setattr(probers, "BODY_LIMIT", 1 << 20)
        monkeypatch.setattr(probers, "time", SimpleNamespace(monotonic=lambda: next(moments)))
        with pytest.raises(TransportError, match="the answer was still incomplete"):
            probers.requests_transport(request)
        monkeypatch.undo()
    finally:
        engine.stop()
    with pytest.raises(TransportError) as told:
        probers.requests_transport(request)
    assert told.value.cause == "refused"
