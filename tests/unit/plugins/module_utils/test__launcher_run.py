# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole lives of an instance: the real launcher, a played docker command and a played engine."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.launched_node import Node, Time, wait_for
from support.played_server import Play, Server
from support.virtual_node import IMAGE, KEY

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launcher_life as launcher_life
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_ends import EXIT_FAILED, EXIT_PERMANENT, EXIT_STOPPED
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_life import WATCHDOG_USEC
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_program import program
from ansible_collections.llmops.gpu_inference.plugins.module_utils._moments import Clock
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import (
    LABEL,
    OWNER,
    FileLock,
    program_hash,
    write_atomically,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._sd_notify import Notifier

pytestmark = pytest.mark.slow


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.close()


@pytest.fixture
def engine() -> Iterator[Server]:
    played = Server(Play(key=KEY)).start()
    yield played
    played.stop()


def container(name: str = "vllm-chat", **labels: str) -> dict[str, Any]:
    own = {"owner": OWNER, "instance": "vllm/chat", "config-hash": "abc", "locks": "GPU-a", **labels}
    return {
        "Id": f"id-of-{name}",
        "Name": f"/{name}",
        "State": {"Running": True, "ExitCode": 0, "StartedAt": "2026-11-20T10:00:00Z"},
        "Config": {"Labels": {LABEL + key: value for key, value in own.items()}},
    }


def test_a_good_life(node: Node, engine: Server) -> None:
    node.play(images=[], pull=[0, "v0.32.0: Pulling from vllm"], run=[0, "downloaded"], log=[f"INFO key is {KEY}", "INFO up"])
    node.instance(engine.base_url, download_command=["-c", "get"], drop_page_cache=False)
    node.start()
    state = node.until("ready")
    assert (state["container_id"], state["failures"], state["loading"]) == ("id-of-vllm-chat", 0, False)
    wait_for(lambda: "READY=1" in node.notified, node.said)
    wait_for(lambda: not node.launcher.gpu.locks[0].held, node.said)
    wait_for(lambda: "WATCHDOG=1" in node.notified, node.said)
    assert node.stop() == EXIT_STOPPED
    assert node.state()["phase"] == "stopped"
    # Drained with a limit, then killed by Docker.
    assert node.calls().index("stop --time 1 id-of-vllm-chat") < node.calls().index("rm --force id-of-vllm-chat")
    assert "STOPPING=1" in node.notified
    assert node.docker.containers() == []
    assert KEY not in node.said()
    assert "network connect extra id-of-vllm-chat" in node.calls()
    assert f"pull {IMAGE}" in node.calls()


def test_a_failed_download_tells_no_key(node: Node) -> None:
    node.play(images=[IMAGE], run=[1, f"hub: 401 for {KEY}"])
    node.instance("http://127.0.0.1:9/v1", download_command=["x"])
    node.start()
    assert node.ends() == EXIT_FAILED
    state = node.state()
    assert "hub: 401 for ********" in state["log_lines"]
    assert KEY not in json.dumps(state) + node.said() + node.notified


def test_a_killed_launcher_leaves_a_container_that_the_next_adopts(node: Node, engine: Server) -> None:
    node.docker.write(container())
    node.instance(engine.base_url)
    node.start()
    assert node.until("ready")["container_id"] == "id-of-vllm-chat"
    node.launcher.life.on_signal(signal.SIGHUP, None)
    assert node.ends() == -1
    node.start()
    wait_for(lambda: "adopts the running container" in node.said() and "READY=1" in node.notified, node.said)
    assert not any(call.startswith("create") for call in node.calls())
    # It ends by itself: a failure, and the next attempt is the second.
    node.docker.log("RuntimeError: CUDA error: an illegal memory access was encountered")
    node.docker.end("vllm-chat", 1)
    assert node.ends() == EXIT_FAILED
    assert node.state()["failures"] == 1


def test_docker_goes_away_for_a_moment(node: Node, engine: Server) -> None:
    node.instance(engine.base_url)
    node.start()
    node.until("ready")
    node.play(images=[IMAGE], down=True)
    wait_for(lambda: "Docker does not answer" in node.said(), node.said)
    node.play(images=[IMAGE])
    wait_for(lambda: "Docker is back" in node.said(), node.said)
    assert node.state()["phase"] == "ready"
    assert node.stop() == EXIT_STOPPED


def test_the_gpu_is_waited_for(node: Node, engine: Server) -> None:
    holder = FileLock(node.paths.gpu_lock("GPU-a"))
    assert holder.try_lock("vllm@ocr.service 1\n")
    node.docker.write(container("vllm-ocr", instance="vllm/ocr"))
    loading = {"container_id": "id-of-vllm-ocr", "phase": "loading_weights", "loading": True}
    write_atomically(node.paths.state("vllm", "ocr"), json.dumps(loading))
    node.instance(engine.base_url)
    node.start()
    assert node.until("waiting_for_gpu")["detail"] == "held by vllm@ocr.service"
    holder.release()
    wait_for(lambda: node.state()["detail"] == "vllm/ocr still loads", node.said)
    write_atomically(node.paths.state("vllm", "ocr"), json.dumps({**loading, "phase": "ready", "loading": False}))
    node.until("ready")
    assert node.stop() == EXIT_STOPPED


@pytest.mark.parametrize("ahead", [0.0, -86400.0, 86400.0])
def test_a_clock_that_is_set_does_not_matter(node: Node, engine: Server, ahead: float) -> None:
    """An engine that was ready for long is one that failed once, and one that was ready for a moment is not."""
    write_atomically(node.paths.history("vllm", "chat"), json.dumps({"failures": 1}))
    node.instance(engine.base_url, watchdog=0)
    clock = Time()
    node.start(clock.clock)
    node.until("ready")
    clock.passed += 200.0
    clock.ahead += ahead
    node.docker.end("vllm-chat", 1)
    assert node.ends() == EXIT_FAILED
    assert node.state()["failures"] == 2
    node.play(images=[IMAGE])
    node.start(clock.clock)
    wait_for(lambda: node.state()["detail"] == "has served before; waits 10 s before attempt 3", node.said)
    clock.passed += 10.0
    node.until("ready")
    clock.ahead -= ahead
    clock.passed += 150.0
    node.launcher.life.on_signal(signal.SIGHUP, None)  # its successor knows since when it is ready
    assert node.ends() == -1
    clock.passed += 150.0
    node.start(clock.clock)
    wait_for(lambda: "adopts the running container" in node.said() and "GPU lock" not in node.said(), node.said)
    node.docker.end("vllm-chat", 1)
    assert node.ends() == EXIT_FAILED
    assert node.state()["failures"] == 1


def test_lines_of_a_clock_that_was_set_back_are_read(node: Node, engine: Server) -> None:
    node.instance(engine.base_url, watchdog=0)
    clock = Time()
    node.start(clock.clock)
    node.until("ready")
    with open(node.docker.folder / "log", "a", encoding="utf-8") as log:
        log.write("2099-01-01T00:00:00.0Z from before\n")
    wait_for(lambda: "from before" in node.said(), node.said)
    node.docker.log("from after")
    wait_for(lambda: "from after" in node.said(), node.said)
    node.docker.end("vllm-chat", 1)
    assert node.ends() == EXIT_FAILED


def test_systemd_hears_of_the_launcher_in_every_phase(node: Node, engine: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher_life, "ALIVE_EVERY", 0.1)
    sign = f"EXTEND_TIMEOUT_USEC={WATCHDOG_USEC}"

    def alive_while(text: str) -> None:
        wait_for(lambda: text in node.said() + node.notified, node.said)
        heard = node.notified.count(sign)
        wait_for(lambda: node.notified.count(sign) > heard + 1, node.said)

    slow = {"pull": 3, "run": 3, "stop": 3}
    neighbour = FileLock(node.paths.gpu_lock("GPU-a"))
    assert neighbour.try_lock("vllm@ocr.service 1\n")
    node.play(down=True)
    node.instance(None, download_command=["x"], watchdog=3)
    node.start()
    alive_while("EXTEND")  # waits for Docker
    node.play(images=[], slow=slow)
    alive_while("launcher: pulling")
    alive_while("launcher: downloading")
    alive_while("launcher: waiting for GPU")
    neighbour.release()
    wait_for(lambda: "READY=1" in node.notified, node.said)
    assert f"WATCHDOG_USEC={WATCHDOG_USEC}" in node.notified.split("READY=1")[1]
    alive_while("launcher: ready")
    assert "WATCHDOG=1" in node.notified
    node.launcher.life.on_signal(signal.SIGTERM, None)
    alive_while("launcher: stopping")
    assert node.ends() == EXIT_STOPPED
    write_atomically(node.paths.history("vllm", "chat"), json.dumps({"failures": 5}))
    node.start()
    alive_while("waits 80 s before attempt 6")
    assert node.stop() == EXIT_STOPPED


def test_only_the_main_loop_tells_that_it_gets_on(node: Node) -> None:
    """The launcher's other threads ask Docker as well: else one whose main loop hangs would never be killed."""
    life = launcher_life.Life("vllm", "chat", node.paths, Notifier(node.address), io.BytesIO(), Clock(), time.sleep)
    other = threading.Thread(target=life.alive)
    other.start()
    other.join()
    life.notifier.send(STATUS="asked by another thread")
    wait_for(lambda: "another thread" in node.notified, lambda: node.notified)
    assert "WATCHDOG=1" not in node.notified
    life.alive()
    wait_for(lambda: "WATCHDOG=1" in node.notified, lambda: node.notified)


BAD_FLAG = {"exit": 2, "log": ["vllm serve: error: unrecognized arguments: --x"]}


def test_what_has_served_is_tried_again_for_ever(node: Node, engine: Server) -> None:
    """Whatever the failure looks like, however often it comes, and also after a reboot."""
    nobody = "http://127.0.0.1:9/v1"
    node.instance(engine.base_url, restart_limit=2)
    node.start()
    assert node.until("ready")["served"] is True
    assert node.stop() == EXIT_STOPPED
    shutil.rmtree(node.paths.runtime)  # a reboot
    node.instance(nobody, restart_limit=2)
    node.play(images=[IMAGE], **BAD_FLAG)
    for failures in (0, 1):
        write_atomically(node.paths.history("vllm", "chat"), json.dumps({"failures": failures}))
        node.start()
        assert node.ends() == EXIT_FAILED, node.said()
        state = node.state()
        assert (state["cause"], state["permanent"], state["served"]) == ("bad_flag", False, True)
        again = f"unrecognized arguments: --x; has served before, trying again in {(5, 15)[failures]} s"
        assert state["message"].endswith(again)
        wait_for(lambda again=again: again in node.notified, node.said)  # type: ignore[misc]
    node.start()
    assert node.until("starting")["detail"] == "has served before; waits 10 s before attempt 3"
    assert node.stop() == EXIT_STOPPED
    # Another configuration has yet to prove itself; the old one is still known.
    for config_hash, code in (("new", EXIT_PERMANENT), ("abc", EXIT_FAILED)):
        write_atomically(node.paths.history("vllm", "chat"), json.dumps({"failures": 0}))
        node.instance(nobody, config_hash=config_hash)
        node.start()
        assert node.ends() == code
        assert node.state()["permanent"] is (config_hash == "new")


def test_files_that_cannot_be_read_are_no_end_for_what_has_served(node: Node, engine: Server) -> None:
    node.instance(engine.base_url)
    folder = node.paths.folder("vllm", "chat")
    (folder / "service.json").rename(folder / "away")
    node.start()
    assert node.ends() == EXIT_PERMANENT
    (folder / "away").rename(folder / "service.json")
    node.start()
    node.until("ready")
    assert node.stop() == EXIT_STOPPED
    (folder / "service.json").rename(folder / "away")
    for _attempt in range(2):
        node.start()
        assert node.ends() == EXIT_FAILED
        assert "has served before" in node.state()["message"]
    assert node.state()["message"].endswith("trying again in 15 s")
    clock = Time()
    node.start(clock.clock)
    wait_for(lambda: node.state()["detail"] == "has served before; waits 10 s before attempt 3", node.said)
    (folder / "away").rename(folder / "service.json")
    clock.passed += 10.0
    node.until("ready")
    assert node.stop() == EXIT_STOPPED


def test_an_upgrade_of_the_program_touches_no_container(node: Node, engine: Server, tmp_path: Path) -> None:
    """The files as they lie on a node, replaced by others while a process runs them, which then gets SIGHUP."""
    folder = tmp_path / "program"
    for name, text in program().items():
        write_atomically(folder / name, text)
    before = program_hash(folder)
    node.instance(engine.base_url)
    argv = [sys.executable, "-S", str(folder / "_launcher.py"), "run", "vllm/chat", "--docker", node.paths.docker]
    argv += ["--instances", str(node.paths.instances), "--runtime", str(node.paths.runtime), "--lasting", str(node.paths.lasting)]
    process = subprocess.Popen(argv, env={"NOTIFY_SOCKET": node.address}, stdout=subprocess.DEVNULL)
    node.out = io.BytesIO()
    try:
        first = node.until("ready")
        assert first["program_hash"] == before
        for name, text in program().items():
            write_atomically(folder / name, f"{text}# another version\n")
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: node.state()["program_hash"] == program_hash(folder) != before, node.said)
        then = node.until("ready")
        kept = ("pid", "container_id", "started", "ready_at", "program_dir")
        assert [then[key] for key in kept] == [first[key] for key in kept]
        assert [call.split()[0] for call in node.calls()].count("create") == 1
        assert not [call for call in node.calls() if call.split()[0] in ("stop", "rm", "kill")]
        process.terminate()
        assert process.wait(30) == EXIT_STOPPED
    finally:
        process.kill()
        process.wait()
