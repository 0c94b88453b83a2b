# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""With real servers, real time (short), a played systemctl and a played docker."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from support.played_server import Play, Server

from ansible_collections.llmops.gpu_inference.plugins.module_utils._endpoint_ready_run import RunError, run, would_poll
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ready_options import argument_spec
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units.endpoint_progress import Progress, in_slices

# It waits for servers and clocks that are real.
pytestmark = pytest.mark.slow

#: Seconds that tell "at once" from "after its timeout", also on a machine that is busy with other tests. How fast it is exactly is
#: asserted with a clock of its own in test__endpoint_ready.py, and measured in tests/benchmarks/endpoint_ready.py.
PROMPT = 30.0
Serve = t.Callable[..., Server]


@pytest.fixture
def serve() -> t.Iterator[Serve]:
    started: list[Server] = []

    def start(**what: t.Any) -> Server:
        started.append(Server(Play(**what)).start())
        return started[-1]

    yield start
    for server in started:
        server.stop()


def params(*endpoints: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    given = {"endpoints": [{"name": f"e{number}", **one} for number, one in enumerate(endpoints)], **more}
    checked = ArgumentSpecValidator({**argument_spec(), "_slice": {"type": "dict"}}).validate(given)
    assert not checked.error_messages
    return dict(checked.validated_parameters)


class Host:
    """A played systemd: what `systemctl show` says and the launcher's state file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.show("active", "running", 10)
        for name, script in {
            "systemctl": f"cat {folder}/show.txt",
            "journalctl": f"cat {folder}/journal.txt",
            "docker": f'echo "$@" > {folder}/docker-args\nexec {sys.executable} -c "$6"',
        }.items():
            program = folder / name
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
        (folder / "journal.txt").write_text("")

    def show(self, active: str, sub: str, pid: int, result: str = "success", status: int = 0) -> None:
        text = (
            f"LoadState=loaded\nActiveState={active}\nSubState={sub}\nResult={result}\nNRestarts=0\n"
            f"MainPID={pid}\nExecMainStatus={status}\nJob=0\n"
        )
        self.put("show.txt", text)

    def state(self, phase: str, pid: int = 10, **more: t.Any) -> None:
        self.put("vllm@chat.json", json.dumps({"phase": phase, "pid": pid, "monotonic": {"since": time.monotonic()}, **more}))

    def put(self, name: str, text: str) -> None:
        fresh = self.folder / f".{name}.new"
        fresh.write_text(text)
        fresh.replace(self.folder / name)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Host(tmp_path)


def later(seconds: float, *what: t.Callable[[], t.Any]) -> None:
    def act() -> None:
        for one in what:
            one()

    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


def test_endpoints_of_every_kind_at_once(serve: Serve) -> None:
    result = run(
        params(
            {"base_url": serve().base_url, "model": "chat"},
            {"base_url": serve(capability="embedding").base_url, "capability": "embedding", "dimension": 8},
            {"base_url": serve(capability="transcription").base_url, "capability": "transcription"},
            {"base_url": serve(capability="rerank", key="right-key").base_url, "capability": "rerank", "api_key": "right-key"},
        )
    )
    assert result.failure is None
    assert [one["ready"] for one in result.values["endpoints"]] == [True] * 4
    assert result.values["endpoints"][1]["dimension"] == 8
    json.dumps(result.values)


def test_refused_first_then_up(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = Server(Play(), port)
    later(0.7, server.start)
    began = time.monotonic()
    try:
        result = run(params({"base_url": f"http://127.0.0.1:{port}/v1"}, interval=0.1))
        assert result.failure is None
        assert 0.6 < time.monotonic() - began < PROMPT
    finally:
        server.stop()


def test_healthy_first_then_ready(serve: Serve) -> None:
    """Health says 200 long before the engine can answer."""
    server = serve(answer=(503, "warming up"))
    later(0.5, lambda: server.change(answer=None))
    assert run(params({"base_url": server.base_url}, interval=0.1)).failure is None


def test_a_certain_fault_does_not_wait_for_the_timeout(serve: Serve) -> None:
    began = time.monotonic()
    result = run(params({"base_url": serve(key="right-key").base_url, "api_key": "wrong-key-1"}, timeout=900))
    assert time.monotonic() - began < PROMPT
    assert result.failure is not None
    assert "auth" in result.failure
    assert "wrong-key-1" not in result.failure + json.dumps(result.values)


def test_an_optional_endpoint_becomes_a_warning(serve: Serve) -> None:
    result = run(params({"base_url": serve().base_url}, {"base_url": "http://127.0.0.1:1/v1", "required": False}))
    assert result.failure is None
    assert "connection refused" in result.warnings[0]


def test_a_unit_that_gets_ready(serve: Serve, host: Host) -> None:
    server = serve()
    host.show("activating", "start", 10)
    host.state("loading_weights", percent=43)
    later(0.8, lambda: host.state("ready"), lambda: host.show("active", "running", 10))
    result = run(params({"base_url": server.base_url, "unit": "vllm@chat.service"}, state_dir=str(host.folder), interval=0.1))
    assert result.failure is None
    assert result.values["endpoints"][0]["waited"] > 0.7
    assert ("POST", "/v1/chat/completions") in server.requests


def test_a_unit_that_fails_is_told_at_once(host: Host) -> None:
    host.show("activating", "start", 10)
    host.state("starting")
    failed_at: list[float] = []
    later(
        0.6,
        lambda: failed_at.append(time.monotonic()),
        lambda: host.state(
            "failed",
            cause="bad_model",
            message="no config.json",
            remedy="Fix it.",
            log_lines=["ERROR x", "VLLM_API_KEY=abcdef99"],
            failures=1,
        ),
        lambda: host.show("failed", "failed", 0, "exit-code", 2),
    )
    result = run(params({"base_url": "http://127.0.0.1:1/v1", "unit": "vllm@chat.service"}, state_dir=str(host.folder), timeout=900))
    assert time.monotonic() - failed_at[0] < PROMPT
    assert result.failure is not None
    assert "bad_model" in result.failure
    assert "Remedy: Fix it." in result.failure
    assert "ERROR x" in result.failure
    assert "abcdef99" not in result.failure


def test_a_unit_without_a_launcher_is_explained_by_its_journal(host: Host) -> None:
    host.show("failed", "failed", 0, "exit-code", 2)
    (host.folder / "journal.txt").write_text("vllm: error: unrecognized arguments: --task\n")
    result = run(params({"base_url": "http://127.0.0.1:1/v1", "unit": "vllm@chat.service"}, state_dir=str(host.folder), timeout=900))
    assert result.values["endpoints"][0]["cause"] == "bad_flag"
    assert "unrecognized arguments" in (result.failure or "")


def test_an_old_server_beside_a_failed_unit(serve: Serve, host: Host) -> None:
    host.show("failed", "failed", 0, "exit-code", 1)
    server = serve()
    result = run(params({"base_url": server.base_url, "unit": "vllm@chat.service"}, state_dir=str(host.folder), timeout=900))
    assert result.values["endpoints"][0]["cause"] == "stale_server"
    assert ("POST", "/v1/chat/completions") not in server.requests


def test_from_inside_a_container(serve: Serve, host: Host) -> None:
    server = serve(key="right-key")
    result = run(
        params({"base_url": server.base_url, "api_key": "right-key"}, {"base_url": server.base_url, "level": "open"}, container="gw")
    )
    assert result.failure is None
    assert [one["ready"] for one in result.values["endpoints"]] == [True, True]
    arguments = (host.folder / "docker-args").read_text()
    assert arguments.startswith("exec -i gw python3 -c")
    assert "right-key" not in arguments


@pytest.mark.parametrize(
    ("script", "cause", "certain"),
    [
        ("echo 'Error response from daemon: No such container: gw' >&2; exit 1", "unit_failed", False),
        ("echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.' >&2; exit 1", "docker_down", False),
        ("echo nonsense", "unknown", False),
    ],
)
def test_a_container_that_cannot_be_asked(host: Host, script: str, cause: str, certain: bool) -> None:
    (host.folder / "docker").write_text(f"#!/bin/sh\n{script}\n")
    result = run(params({"base_url": "http://127.0.0.1:1/v1"}, container="gw", timeout=1))
    assert result.values["endpoints"][0]["cause"] == cause
    assert "docker exec gw" in (result.failure or "")
    assert "inside container gw" in (result.failure or "")


@pytest.mark.parametrize("url", ["127.0.0.1:8000/v1", "ftp://h/v1", "http:///v1", "http://h:99999/v1", "http://h:port/v1", ""])
def test_an_unusable_base_url(url: str) -> None:
    with pytest.raises(RunError, match="base_url is"):
        run(params({"base_url": url}))


def test_all_unusable_options_are_told_at_once() -> None:
    given = params({"base_url": "x"}, {"base_url": "y"}, {"base_url": "http://h/v1", "unit": "--help"}, timeout=0, interval=-1)
    given["endpoints"][1]["name"] = "e0"
    with pytest.raises(RunError) as caught:
        run(given)
    assert str(caught.value).count("\n- ") == 6


def test_check_mode_names_what_it_would_poll_without_keys() -> None:
    told = would_poll(params({"base_url": "http://h/v1", "api_key": "private-key"}))
    assert told[0]["level"] == "answer"
    assert "private-key" not in repr(told)


# --- in slices ---


def test_progress_lines_between_slices(serve: Serve, host: Host) -> None:
    server, other = serve(), serve()
    host.show("activating", "start", 10)
    host.state("pulling", percent=5)
    later(2.5, lambda: host.state("loading_weights", percent=43))
    later(6.0, lambda: host.state("ready"), lambda: host.show("active", "running", 10))
    arguments = params(
        {"base_url": server.base_url, "unit": "vllm@chat.service"}, {"base_url": other.base_url}, state_dir=str(host.folder), interval=0.1
    )
    calls: list[t.Mapping[str, t.Any]] = []

    def call(given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        calls.append(given)
        return dict(json.loads(json.dumps(run(given).values)))

    lines: list[str] = []
    result = in_slices(arguments, call, Progress("node1", lines.append))
    assert [one["ready"] for one in result["endpoints"]] == [True, True]
    assert [one["name"] for one in result["endpoints"]] == ["e0", "e1"]
    assert [line.rpartition(" (")[0] for line in lines] == [
        "node1 e0: pulling the image 5 %",
        "node1 e1: ready",
        "node1 e0: loading weights 43 %",
        "node1 e0: ready",
    ]
    assert len(calls) <= 4
    assert other.requests.count(("POST", "/v1/chat/completions")) == 1
    assert "_slice" not in result
    assert result["waited"] > 5.5


def test_slices_share_one_deadline(host: Host) -> None:
    host.show("activating", "start", 10)
    host.state("pulling")
    later(1.2, lambda: host.state("downloading"))
    arguments = params(
        {"base_url": "http://127.0.0.1:1/v1", "unit": "vllm@chat.service"}, state_dir=str(host.folder), timeout=3, interval=0.1
    )

    def call(given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        done = run(given)
        return {**done.values, "failed": bool(done.failure), "msg": done.failure}

    began = time.monotonic()
    result = in_slices(arguments, call, Progress(None, lambda line: None))
    assert 2.8 < time.monotonic() - began < PROMPT
    assert result["failed"]
    assert re.search(r"after [3-9] s", result["msg"])  # all slices, not the last one alone


def test_a_refusal_ends_the_slices() -> None:
    assert in_slices(params({"base_url": "http://h/v1"}), lambda given: {"failed": True, "msg": "no"}, Progress(None, print)) == {
        "failed": True,
        "msg": "no",
    }
