# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole lives of an instance on a node whose time is played. With real processes, sockets and clocks: test__launcher_run.py."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.ollama import free_port, played_ollama
from support.played_server import Play, Server
from support.virtual_node import GOOD, IMAGE, KEY, RELOADED, SILENT, VirtualNode, container

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _engine_proof as engine_proof
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _engine_watch as engine_watch
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launcher as launcher
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _ollama_models as ollama_models
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _probe as probe
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _proved as proved
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _silence as silence
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_ends import EXIT_FAILED, EXIT_PERMANENT, EXIT_STOPPED
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_events import Reload
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import FileLock, Instance, is_locked, write_atomically
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Observation
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.defaults import WATCHDOG

LOADING = "INFO 11-20 10:38:21 [gpu_model_runner.py:2844] Starting to load model /srv/models/x..."


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VirtualNode:
    return VirtualNode(tmp_path, monkeypatch)


def test_a_good_life(node: VirtualNode) -> None:
    node.play(images=[], pull=[0, "v0.32.0: Pulling from vllm"], run=[0, f"downloaded with {KEY}"], log=[f"INFO key is {KEY}", "INFO up"])
    node.instance(download_command=["-c", "get"], drop_page_cache=True)
    node.when("ready", node.after(100, node.signal))
    assert node.run() == EXIT_STOPPED, node.said()
    words = [call.split()[0] for call in node.calls()]
    assert [word for word in dict.fromkeys(words) if word not in ("version", "container", "image", "ps", "exec")] == [
        *("pull", "rm", "run", "create", "network", "start", "stop")
    ]
    assert "network connect extra id-of-vllm-chat" in node.calls()
    assert node.calls().index("stop --time 1 id-of-vllm-chat") < node.calls().index("rm --force id-of-vllm-chat")
    assert node.docker.containers() == []
    assert [status.partition(" (")[0] for status in node.statuses()] == [
        *("starting", "pulling", "downloading", "ready", "stopping", "stopped")
    ]
    ready = next(fields for fields in node.heard.fields if "READY" in fields)
    assert (ready["READY"], ready["STATUS"]) == ("1", "ready")
    assert any(fields.get("STOPPING") for fields in node.heard.fields)
    assert any("WATCHDOG" in fields for fields in node.heard.fields)
    assert node.programs == [["sh", "-c", "sync && echo 1 > /proc/sys/vm/drop_caches"]]
    assert "cannot drop the page cache: read-only file system" in node.said()
    assert "GPU lock taken: GPU-a" in node.said()
    assert "GPU lock released: GPU-a" in node.said()
    assert KEY not in node.said()


def test_each_phase_is_told(node: VirtualNode) -> None:
    node.instance()
    node.answer = lambda *_asked: SILENT

    def serve() -> None:
        node.answer = lambda *_asked: GOOD

    lines = {
        "loading weights 0 %": LOADING,
        "loading weights 43 %": "Loading safetensors checkpoint shards:  43% Completed | 3/7 [00:01<00:03,  1.61it/s]",
        "compiling": "INFO 11-20 10:38:30 [backends.py:559] Dynamo bytecode transform time: 6.01 s",
        "capturing graphs 35 %": "Capturing CUDA graphs (decode, FULL):  35%|###      | 12/35 [00:02<00:04,  5.2it/s]",
        "warming up": "INFO:     Application startup complete.",
    }

    def shown(status: str) -> Callable[[], bool]:
        return lambda: any(status in one for one in node.statuses())

    before = "starting"
    for status, line in lines.items():
        node.when(shown(before), lambda line=line: node.docker.log(line))  # type: ignore[misc]
        before = status
    node.when(shown(before), serve)
    node.when("ready", node.signal)
    assert node.run() == EXIT_STOPPED
    assert [status.partition(" (")[0] for status in node.statuses()] == ["starting", *lines, "ready", "stopping", "stopped"]


@pytest.mark.parametrize(
    ("play", "changes", "code", "cause", "text"),
    [
        ({"images": []}, {"pull": "never"}, 1, "image_missing", "pull is 'never'"),
        ({"pull": [1, "dial tcp: lookup registry: no such host"]}, {}, 1, "registry_down", "cannot pull"),
        ({"create": [125, "Error response from daemon: something odd"]}, {}, 1, None, "docker create failed"),
        (
            {"create": [1, 'Error response from daemon: invalid mount config for type "bind": bind source path does not exist: /srv/m']},
            {},
            78,
            "bad_model",
            "/srv/m",
        ),
        ({"start": [1, "could not select device driver nvidia"]}, {}, 78, "runtime_missing", ""),
        # The last line of docker start never says why.
        (
            {"start": [1, "Error response from daemon: error while making the thing\nError: failed to start containers: id"]},
            {},
            1,
            None,
            "docker start failed: Error response from daemon: error while making the thing",
        ),
        ({"network": [1, "network extra not found"]}, {}, 78, "bad_flag", "docker network connect extra failed"),
        ({"run": [1, "something broke"]}, {"download_command": ["x"]}, 1, "download_failed", "something broke"),
        ({"exit": 2, "log": ["vllm serve: error: unrecognized arguments: --x"]}, {}, 78, "bad_flag", ""),
        ({"exit": 3, "log": ["nothing known"]}, {}, 1, "unknown", "exit code 3"),
        ({}, {"image": ""}, 78, "unknown", "no image"),
    ],
)
def test_starts_that_fail(
    node: VirtualNode, play: dict[str, Any], changes: dict[str, Any], code: int, cause: str | None, text: str
) -> None:
    node.answer = lambda *_asked: SILENT
    node.play(**{"images": [] if "pull" in play else [IMAGE], **play})
    node.instance(**changes)
    assert node.run() == code, node.said()
    state = node.state()
    assert state["phase"] == "failed"
    assert cause in (None, state["cause"])
    assert text in state["message"]
    assert f"failed: {state['cause']}: {state['message']}" in node.statuses()  # for systemctl status
    assert f"launcher: {state['cause']}: {state['message']}" in node.said()  # for the journal
    assert node.docker.containers() == []
    history = json.loads(node.paths.history("vllm", "chat").read_text(encoding="utf-8"))
    assert history["failures"] == (0 if code == 78 else 1)


def test_an_image_that_is_here_is_started_where_it_cannot_be_pulled_again(node: VirtualNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node.instance(pull="always")
    node.when("ready", node.signal)
    node.play(pull=[1, "dial tcp: lookup registry: no such host"])
    assert node.run() == EXIT_STOPPED
    assert f"cannot pull {IMAGE}, starts the image that is here: dial tcp: lookup registry: no such host" in node.said()
    # Nor where the registry accepts the connection, and sends nothing.
    monkeypatch.setattr(silence, "of_pull", lambda: silence.Vitals(1, 1.0, 0))
    node.takes = {"pull": 7200.0}
    node.instance(pull="always", silence_timeout=300)
    node.when("ready", node.signal)
    assert node.run() == EXIT_STOPPED
    assert "starts the image that is here: no sign of life for " in node.said()
    assert any(status.startswith("pulling") and status.endswith("; no sign of life for 2 min") for status in node.statuses())


@pytest.mark.parametrize(
    ("play", "changes", "takes", "cause", "phase"),
    [
        ({"log": [LOADING]}, {}, {}, "timeout", "loading weights"),
        ({"images": []}, {}, {"pull": 7200.0}, "registry_down", "pulling the image"),
        ({}, {"download_command": ["x"]}, {"run": 7200.0}, "download_failed", "downloading the model"),
    ],
)
def test_a_start_without_a_sign_of_life_is_told_and_given_up(
    node: VirtualNode,
    monkeypatch: pytest.MonkeyPatch,
    play: dict[str, Any],
    changes: dict[str, Any],
    takes: dict[str, float],
    cause: str,
    phase: str,
) -> None:
    for look in ("of_pull", "of_container"):
        monkeypatch.setattr(silence, look, lambda *_pids: silence.Vitals(1, 1.0, 0))
    node.answer = lambda *_asked: SILENT
    node.play(**play)
    node.takes = takes
    node.when("downloading", lambda: node.docker.write(container("vllm-chat-download", pid=1)))
    node.instance(silence_timeout=300, start_timeout=3600, **changes)
    assert node.run() == EXIT_FAILED
    state = node.state()
    assert (state["cause"], state["permanent"], state["silent"]) == (cause, False, 0)
    assert "no sign of life for " in state["message"]
    assert phase in state["message"]
    assert "silence_timeout" in state["remedy"]
    assert any(status.endswith("; no sign of life for 4 min") for status in node.statuses())
    assert 300 < node.passed < 400
    assert node.docker.containers() == []


def test_a_start_has_a_time_limit(node: VirtualNode) -> None:
    node.instance(start_timeout=50)
    node.answer = lambda *_asked: SILENT
    assert node.run() == EXIT_FAILED
    assert (node.state()["cause"], "not ready within 50 s" in node.state()["message"]) == ("timeout", True)
    assert "timeout: no answer" in node.state()["message"]
    assert "GPU lock released: GPU-a" in node.said()  # never held past the deadline


def test_what_no_waiting_mends_is_not_waited_for(node: VirtualNode) -> None:
    wrong = Observation(False, None, "wrong_model", "serves other, not chat", certain=True)
    refused = Observation(False, None, "refused", "connection refused")
    node.instance(start_timeout=3600)
    # The first answers of a server may be of its start.
    answers = iter([wrong, refused, *[wrong] * 100])
    node.answer = lambda *_asked: next(answers)
    assert node.run() == EXIT_FAILED
    assert (node.state()["cause"], node.state()["message"]) == ("wrong_model", "serves other, not chat")
    assert 15 < node.passed < 40


def test_a_probe_that_breaks_is_no_answer(node: VirtualNode) -> None:
    def broken(*_asked: Any) -> Observation:
        raise RuntimeError("a fault of ours")

    node.answer = broken
    node.instance(start_timeout=30)
    assert node.run() == EXIT_FAILED
    assert "RuntimeError: a fault of ours" in node.state()["message"]


def test_a_container_of_somebody_else_stays(node: VirtualNode) -> None:
    node.docker.write(container(owner="me"))
    node.instance()
    assert node.run() == EXIT_PERMANENT
    assert "not ours" in node.state()["message"]
    assert node.docker.find("vllm-chat")


def test_a_launcher_leaves_a_container_that_the_next_adopts(node: VirtualNode) -> None:
    node.instance(memory_limit_mib=8192, locks=[])
    node.when("ready", node.after(400, lambda: node.signal(signal.SIGHUP)))
    assert node.run() == RELOADED
    ready = node.state()
    node.docker.write(container(memory=4096 << 20))
    before = len(node.calls())
    node.when(lambda: "adopts the running container" in node.said(), lambda: node.end(1))
    node.docker.log("RuntimeError: CUDA error: an illegal memory access was encountered")
    assert node.run() == EXIT_FAILED
    calls = node.calls()[before:]
    assert not any(call.startswith(("create", "stop")) for call in calls)
    assert "update --memory 8192m --memory-swap 16384m id-of-vllm-chat" in calls
    assert "bounds its main memory to 8.0 GiB, without a restart" in node.said()
    # It was ready for long: the first failure, whatever the launcher's own age.
    assert (node.state()["failures"], node.state()["started"]) == (1, ready["started"])


@pytest.mark.parametrize("booted", [True, False])
def test_a_host_that_went_down_during_a_change_starts_what_served_before_it(node: VirtualNode, booted: bool) -> None:
    node.instance(config_hash="proved", command=["old"])
    proved.keep(node.paths, Instance("vllm", "chat"), ["service.json", "env"])
    node.instance(config_hash="unproved", command=["new"])
    if booted:
        (node.paths.runtime / "unproved/vllm@chat").unlink()
        node.docker.write({**container(config_hash="unproved"), "State": {"Running": False, "ExitCode": 137, "Pid": 0}})
    node.when("ready", node.signal)
    assert node.run() == EXIT_STOPPED, node.said()
    assert node.state()["config_hash"] == ("proved" if booted else "unproved")
    assert ("starts what served before it" in node.said()) is booted


def test_an_adopted_container_that_loads_keeps_its_place_and_its_deadline(node: VirtualNode) -> None:
    """The pause after failures would leave it to a neighbour, which would take it for nobody's."""
    node.failed_before(3)
    node.docker.write(container())
    node.instance(start_timeout=120)
    node.answer = lambda *_asked: SILENT
    node.when(lambda: node.passed > 60, lambda: node.signal(signal.SIGHUP))  # heard once it is ready, not while it loads
    assert node.run() == EXIT_FAILED
    assert "GPU lock released: GPU-a" in node.said()
    assert "not ready within 120 s" in node.state()["message"]
    assert not any(call.startswith("create") for call in node.calls())


def test_a_start_after_failures_waits_and_tells_why(node: VirtualNode) -> None:
    node.instance()
    write_atomically(node.paths.state("vllm", "chat"), json.dumps({"cause": "out_of_memory", "message": "too large", "log_lines": ["x"]}))
    node.failed_before(5)
    seen: list[str] = []
    node.when(lambda: "waits 80 s before attempt 6" in node.state().get("detail", ""), lambda: seen.append(node.state()["cause"]))
    node.when("ready", node.signal)
    assert node.run() == EXIT_STOPPED
    assert seen == ["out_of_memory"]
    assert node.passed > 80
    assert "starting (waits 80 s before attempt 6); attempt 6, the last one failed: out_of_memory" in node.statuses()
    assert node.state()["last_failure"] == {"cause": "out_of_memory", "message": "too large"}


def test_a_start_that_waits_can_be_stopped(node: VirtualNode) -> None:
    node.instance()
    node.failed_before(5)
    write_atomically(node.paths.state("vllm", "chat"), json.dumps({"cause": "of another version"}))
    kept: list[bool] = []  # its lock, or a neighbour would think that nobody is there
    node.when(lambda: node.passed > 10, lambda: kept.append(is_locked(node.paths.instance_lock("vllm", "chat"))), node.signal)
    assert node.run() == EXIT_STOPPED
    assert kept == [True]
    assert not any(call.startswith("create") for call in node.calls())
    # Nor is a launcher that waits for the one before it deaf.
    other = FileLock(node.paths.instance_lock("vllm", "chat"))
    assert other.try_lock()
    node.when(lambda: node.passed > 20, node.signal)
    assert node.run() == EXIT_STOPPED
    other.release()


def test_files_that_cannot_be_read_are_read_again_after_the_pause(node: VirtualNode) -> None:
    assert node.run() == EXIT_PERMANENT
    assert "cannot use" in node.state()["message"]
    node.failed_before(2)
    node.when(lambda: node.passed > 5, node.instance)
    node.when("ready", node.signal)
    assert node.run() == EXIT_STOPPED


def test_an_outdated_container_is_replaced_and_one_that_vanishes_is_a_failure(node: VirtualNode) -> None:
    node.docker.write(container(config_hash="old"))
    node.instance()
    node.when("ready", lambda: node.docker.remove("vllm-chat"))
    assert node.run() == EXIT_FAILED
    words = [call.split()[0] for call in node.calls()]
    assert words.index("stop") < words.index("rm") < words.index("create")
    assert "removed by somebody else" in node.state()["message"]


def test_what_a_handover_left_goes_with_each_start_and_stop(node: VirtualNode) -> None:
    """It has the published port, so a new container could not start beside it."""

    def left(*names: str) -> None:
        for name in names:
            node.docker.write({**container(), "Id": f"id-of-{name}", "Name": f"/{name}"})

    left("vllm-chat-port", "vllm-chat-before")
    node.docker.write({**container(owner="me"), "Id": "foreign", "Name": "/vllm-chat-other"})
    node.instance(handover_socket="/tmp/handover.sock")
    node.when("ready", lambda: left("vllm-chat-port"), node.signal)
    assert node.run() == EXIT_STOPPED
    words = [call for call in node.calls() if call.split()[0] in ("rm", "create")]
    rest = ["rm --force id-of-vllm-chat", "rm --force id-of-vllm-chat-port"]
    created = next(number for number, call in enumerate(words) if call.startswith("create"))
    assert words[:created] == ["rm --force id-of-vllm-chat-port", "rm --force id-of-vllm-chat-before"]
    assert words[created + 1 :] == rest
    assert node.docker.find("vllm-chat-other")


def test_failures_count_until_it_is_given_up(node: VirtualNode) -> None:
    node.play(exit=3, log=["nothing known"])
    node.instance(restart_limit=2, probe=None)
    assert [node.run(), node.run()] == [EXIT_FAILED, EXIT_PERMANENT]
    assert (node.state()["cause"], node.state()["permanent"]) == ("crash_loop", True)
    # What has served before is not given up, whatever the failure looks like.
    node.play()
    node.when("ready", node.signal)
    assert node.run() == EXIT_STOPPED
    node.play(exit=2, log=["vllm serve: error: unrecognized arguments: --x"])
    for again in (5, 15, 25):
        assert node.run() == EXIT_FAILED
        assert node.state()["message"].endswith(f"unrecognized arguments: --x; has served before, trying again in {again} s")


def test_an_engine_that_breaks_off_is_told_by_what_it_said_since_it_answered(node: VirtualNode) -> None:
    """Neither its complaints on its way to the first answer nor an assertion about a request mean its arguments or its model."""
    node.play(log=["ERROR 11-20 10:00:00 [config.py:1] ValueError: max_model_len (9) is greater than the derived 8"])
    node.instance()
    fatal = ["ERROR 11-20 10:09:00 [core.py:1142] EngineCore encountered a fatal error.", "AssertionError: no such request"]
    node.when("ready", lambda: node.docker.log(*fatal), lambda: node.end(1))
    assert node.run() == EXIT_FAILED
    state = node.state()
    assert (state["cause"], state["permanent"], state["served"]) == ("unknown", False, True)
    assert state["message"].startswith("the container ended with exit code 1: AssertionError: no such request; has served before")
    assert "in the middle of its work" in state["remedy"]


def test_without_a_probe_running_is_enough(node: VirtualNode) -> None:
    node.instance(probe=None, watchdog=0)
    node.when("ready", node.after(60, node.signal))
    assert node.run() == EXIT_STOPPED


def test_a_hung_engine_is_started_anew(node: VirtualNode) -> None:
    node.instance(watchdog=90)

    def hang() -> None:
        node.answer = lambda *_asked: SILENT

    node.when("ready", node.after(200, hang))
    assert node.run() == EXIT_FAILED
    assert node.state()["message"].startswith("hung: no sign of life for 90 s although the container runs (timeout: no answer)")
    assert 200 < node.passed < 350
    assert node.docker.containers() == []


def test_a_long_prefill_is_no_hang(node: VirtualNode) -> None:
    """A minute in which nothing answers and no counter moves, as vLLM's do only when a step has ended."""
    node.instance(watchdog=WATCHDOG)

    def busy() -> None:
        node.answer = lambda *_asked: SILENT

    def done() -> None:
        node.answer = lambda *_asked: GOOD

    node.when("ready", node.after(200, busy), node.after(60, done), node.after(300, node.signal))
    assert node.run() == EXIT_STOPPED
    assert "hung" not in node.said()


def test_an_engine_that_works_on_is_not_hung(node: VirtualNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers nothing, but its counters move."""
    node.answer = probe.probe
    engine = Server(Play(key=KEY)).start()
    node.instance(probe={"base_url": engine.base_url, "model": "chat", "api_key_variable": "VLLM_API_KEY"}, watchdog=90, locks=[])
    node.when("ready", lambda: engine.change(busy=True, answer=(503, "queue is full")), node.after(500, lambda: engine.change(busy=False)))
    try:
        assert node.run() == EXIT_FAILED
    finally:
        engine.stop()
    assert "hung: no sign of life for 90 s" in node.state()["message"]
    assert 590 < node.passed < 700


def test_a_container_that_lost_its_gpu_is_made_anew(node: VirtualNode) -> None:
    """HTTP stays green after a daemon-reload took the GPU away (nvidia-container-toolkit#48)."""
    node.play(exec=[0, "GPU 0: NVIDIA GeForce RTX 5090 (UUID: GPU-a)"])
    node.instance(watchdog=9)
    node.when("ready", node.after(60, lambda: node.play(exec=[255, "Failed to initialize NVML: Unknown Error"])))
    assert node.run() == EXIT_FAILED
    assert node.state()["cause"] == "gpu_lost"
    assert "NVML: Unknown Error" in node.state()["message"]
    assert node.passed < 80


def test_docker_goes_away_for_long(node: VirtualNode) -> None:
    """Published ports are away with it: that is not the engine's fault."""
    node.instance(watchdog=90)

    def away() -> None:
        node.play(down=True)
        node.answer = lambda *_asked: SILENT

    def back() -> None:
        node.play()
        node.answer = lambda *_asked: GOOD

    node.when("ready", away, node.after(600, back), node.after(10, node.signal))
    assert node.run() == EXIT_STOPPED
    assert "Docker does not answer; the container may still run" in node.said()
    assert "Docker is back" in node.said()
    assert node.passed > 600


def test_a_start_waits_for_docker_and_says_so(node: VirtualNode) -> None:
    node.play(down=True)
    node.instance()
    node.when(lambda: node.state().get("cause") == "docker_down", node.play)
    node.when("ready", node.signal)
    assert node.run() == EXIT_STOPPED
    assert "starting (waits for Docker)" in node.statuses()
    assert node.passed > 15


def test_docker_that_is_away_is_waited_for_no_longer_than_the_stop_may_take(node: VirtualNode) -> None:
    node.instance(stop_timeout=30)
    node.when("ready", lambda: node.play(down=True), node.signal)
    assert node.run() == EXIT_STOPPED
    assert 40 < node.passed < 50
    assert "Docker does not answer, the container may still run: Cannot connect to the Docker daemon" in node.said()


def test_a_failure_of_docker_does_not_count(node: VirtualNode) -> None:
    node.instance()
    node.takes = {"image": 2.0}
    node.when(lambda: any(call.startswith("container") for call in node.calls()), lambda: node.play(down=True))
    assert node.run() == EXIT_FAILED
    assert (node.state()["cause"], node.state()["failures"]) == ("docker_down", 0)
    assert "cannot remove the container: Cannot connect to the Docker daemon" in node.said()


def test_the_gpu_is_waited_for(node: VirtualNode) -> None:
    holder, last = FileLock(node.paths.gpu_lock("GPU-a")), FileLock(node.paths.gpu_lock("GPU-b"))
    assert holder.try_lock("vllm@ocr.service 1\n")
    node.docker.write(container("vllm-ocr", instance="vllm/ocr"))
    node.docker.write(container("vllm-odd", instance="odd"))
    loading = {"container_id": "id-of-vllm-ocr", "phase": "loading_weights", "loading": True}
    write_atomically(node.paths.state("vllm", "ocr"), json.dumps(loading))
    node.instance(locks=["GPU-b", "GPU-a", "GPU-b"])
    told: list[str] = []

    def waits() -> None:
        told.append(node.state()["detail"])
        assert last.try_lock()  # whoever waits for one GPU holds none that comes after it
        last.release()

    alive = FileLock(node.paths.instance_lock("vllm", "ocr"))
    assert alive.try_lock()
    node.when("waiting_for_gpu", waits, holder.release)
    node.when(lambda: node.state()["detail"] != told[0], lambda: told.append(node.state()["detail"]), node.after(100, lambda: None))
    node.when(
        lambda: True,
        lambda: write_atomically(node.paths.state("vllm", "ocr"), json.dumps({**loading, "phase": "ready", "loading": False})),
    )
    node.when("ready", node.signal)
    assert node.run() == EXIT_STOPPED
    alive.release()
    assert told == ["held by vllm@ocr.service", "vllm/ocr still loads"]
    assert "GPU lock taken: GPU-a, GPU-b" in node.said()
    assert node.state()["gpu_waited"] > 100
    assert node.docker.find("vllm-ocr")


def test_a_loading_neighbour_without_launcher_is_removed(node: VirtualNode) -> None:
    """Not at once: a killed launcher comes back and looks after its container."""
    node.docker.write(container("vllm-ocr", instance="vllm/ocr"))
    node.instance()
    node.when("ready", node.signal)
    assert node.run() == EXIT_STOPPED
    assert "removes vllm-ocr, which nobody looks after and which was not ready" in node.said()
    assert node.docker.find("vllm-ocr") is None
    assert 20 <= node.state()["gpu_waited"] < 25


def test_lines_of_a_clock_that_was_set_back_are_read(node: VirtualNode) -> None:
    node.instance()

    def set_back() -> None:
        node.ahead -= 86400.0
        node.docker.log("from before")

    node.when("ready", set_back, node.after(60, lambda: node.docker.log("from after")), node.after(10, lambda: node.end(1)))
    assert node.run() == EXIT_FAILED
    assert "from before" in node.said()
    assert "from after" in node.said()
    assert any("from after" in line for line in node.state()["log_lines"])


def test_the_cause_at_the_beginning_of_a_long_log_is_kept(node: VirtualNode) -> None:
    node.play(log=["vllm serve: error: unrecognized arguments: --x", *(f"line {number}" for number in range(3500))])
    node.instance()
    node.answer = lambda *_asked: SILENT
    node.when(lambda: "line 3499" in node.said(), lambda: node.end(2))
    assert node.run() == EXIT_PERMANENT
    assert node.state()["cause"] == "bad_flag"
    assert len(node.launcher.life.lines) <= 3000


def test_what_cannot_be_written_ends_no_engine(node: VirtualNode) -> None:
    node.instance()
    node.paths.lasting.write_text("a file")
    for path in (node.paths.state("vllm", "chat"), node.paths.history("vllm", "chat")):
        path.mkdir(parents=True)
        (path / "x").touch()
    node.when(lambda: "ready after" in node.said(), lambda: node.end(1))
    assert node.run() == EXIT_FAILED
    for said in (
        "cannot write the state file: ",
        "cannot record that this configuration has been ready: ",
        "cannot write the count of failures: ",
    ):
        assert said in node.said()
    node.out.close()
    node.when(lambda: node.launcher.life.state.ready is not None, lambda: node.end(1))
    assert node.run() == EXIT_FAILED  # a journal that is away is no reason either


@pytest.fixture
def ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VirtualNode:
    return VirtualNode(tmp_path, monkeypatch, "ollama")


@pytest.mark.parametrize(
    ("model", "code", "cause", "text"),
    [
        ("tiny:1", EXIT_STOPPED, None, ""),
        ("missing:1", EXIT_PERMANENT, "bad_model", "ollama cannot pull missing:1: pull model manifest: file does not exist"),
        ("cut:1", EXIT_FAILED, "download_failed", "ollama cannot pull cut:1: "),
    ],
)
def test_ollama_pulls_its_models_through_its_server(
    ollama: VirtualNode, tmp_path: Path, model: str, code: int, cause: str | None, text: str
) -> None:
    ollama.play(exec=[0, "GPU 0: NVIDIA"])
    with played_ollama(tmp_path / "models") as url:
        ollama.instance(probe={"base_url": f"{url}/v1", "level": "health", "health_path": "/", "model": model}, pull_models=[model])
        ollama.when("ready", ollama.after(100, ollama.signal))
        assert ollama.run() == code, ollama.said()
        assert ollama.state()["cause"] == cause
        assert text in (ollama.state()["message"] or "")
        if code == EXIT_STOPPED:
            # The GPU is free meanwhile.
            assert ollama.said().count("GPU lock taken: GPU-a") == 2
            assert any(status.startswith("downloading") and model in status for status in ollama.statuses())
            ollama.when("ready", ollama.signal)
            assert ollama.run() == EXIT_STOPPED
            assert ollama.said().count("GPU lock taken: GPU-a") == 3  # it has its model


def test_ollama_that_never_answers(ollama: VirtualNode) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    ollama.instance(probe={"base_url": nobody, "level": "health", "model": "tiny:1"}, pull_models=["tiny:1"], start_timeout=60)
    assert ollama.run() == EXIT_FAILED
    assert "not ready within 60 s" in ollama.state()["message"]
    assert "/api/tags does not answer" in ollama.state()["message"]


@pytest.mark.parametrize(("served", "text"), [(True, "HTTP 404 "), (False, "URLError: ")])
def test_a_pull_that_the_server_does_not_take(ollama: VirtualNode, monkeypatch: pytest.MonkeyPatch, served: bool, text: str) -> None:
    monkeypatch.setattr(ollama_models, "fetch_json", lambda *_asked: {})  # it has no model yet
    engine = Server(Play()).start()
    ollama.instance(probe={"base_url": engine.base_url, "level": "health", "model": "tiny:1"}, pull_models=["tiny:1"])
    if not served:
        engine.stop()
    assert ollama.run() == EXIT_FAILED
    engine.stop()
    assert ollama.state()["message"].startswith(f"ollama cannot pull tiny:1: {text}")


def test_a_model_that_lies_partly_on_the_cpu_is_told(ollama: VirtualNode, monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[str | None] = []

    def answer(_endpoint: Any, _limit: float, level: str | None) -> Observation:
        levels.append(level)
        return GOOD

    loaded = {"models": [{"size": 100, "size_vram": 60}]}
    for asks in (engine_proof, engine_watch):
        monkeypatch.setattr(asks, "fetch_json", lambda *_asked: loaded)
    ollama.answer = answer
    ollama.instance(watchdog=30)

    def unload() -> None:
        loaded["models"] = []

    ollama.when("ready", ollama.after(60, unload), ollama.after(60, ollama.signal))
    assert ollama.run() == EXIT_STOPPED
    assert "ready (40 % of the model lies on the CPU)" in ollama.statuses()
    # A probe would load what the engine has unloaded.
    assert levels[1] is None
    assert levels[-1] == "health"


def test_the_program_itself(node: VirtualNode, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    handlers: dict[int, Any] = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    folders = ["--instances", str(node.paths.instances), "--runtime", str(node.paths.runtime), "--lasting", str(node.paths.lasting)]
    assert launcher.main(["run", "vllm/chat", *folders]) == EXIT_PERMANENT
    assert set(handlers) == {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    assert "service.json" in node.state()["message"]
    for wrong in ("chat", "VLLM/chat", "vllm/../x"):
        with pytest.raises(SystemExit):
            launcher.main(["run", wrong, *folders])
    assert "instance must be kind/name" in capfd.readouterr().err


def test_a_reload_runs_the_new_program_in_the_same_process(node: VirtualNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it was started with, and with a signal for nobody meanwhile."""
    ran: list[Any] = []
    monkeypatch.setattr(signal, "signal", lambda number, handler: ran.append((number, handler)))
    monkeypatch.setattr(os, "execv", lambda *given: ran.append(given))

    def run(launched: launcher.Launcher) -> int:
        launched.life.update("ready", force=True)
        raise Reload

    monkeypatch.setattr(launcher.Launcher, "run", run)
    argv = ["run", "vllm/chat", "--runtime", str(node.paths.runtime)]
    launcher.main(argv)
    assert ran[-2] == (signal.SIGHUP, signal.SIG_IGN)
    assert ran[-1] == (sys.executable, [sys.executable, launcher.__file__, *argv])
    assert node.state()["phase"] == "ready"  # its successor reads it
