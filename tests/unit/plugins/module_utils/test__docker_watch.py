# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_watch as docker_watch
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import DockerDown


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        (b"2026-11-20T10:38:29.651981079Z INFO: up\n", ("2026-11-20T10:38:29.651981079Z", b"INFO: up\n")),
        (b"2026-11-20T10:38:29.651981079Z \n", ("2026-11-20T10:38:29.651981079Z", b"\n")),
        (b"Error response from daemon: x\n", ("", b"Error response from daemon: x\n")),
    ],
)
def test_split_timestamp(raw: bytes, parts: tuple[str, bytes]) -> None:
    assert docker_watch.split_timestamp(raw) == parts


def test_commands_end_with_their_time_limit_and_with_a_stop() -> None:
    assert docker_watch.run_process([sys.executable, "-c", "print('a'); import sys; sys.exit(3)"], 20).rc == 3
    assert docker_watch.run_process(["sleep", "30"], 0.3).rc == 124
    with pytest.raises(docker_watch.Stopped):
        docker_watch.run_process(["sleep", "30"], 30, cancelled=lambda: True)
    seen: list[str] = []
    docker_watch.run_process(["printf", "one\\ntwo\\n"], 20, on_line=seen.append)
    assert seen == ["one", "two"]


@pytest.fixture(name="played")
def _played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes a docker command of a script, with $FOLDER for what it keeps. Nothing sleeps."""
    monkeypatch.setattr(docker_watch, "time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda _seconds: None))

    def program(script: str) -> str:
        file = tmp_path / "docker"
        file.write_text(f"#!/bin/sh\nFOLDER={tmp_path}\n{script}\n")
        file.chmod(0o755)
        return str(file)

    return program


DOWN = 'echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?" >&2; exit 1'
#: docker inspect, of a container that has ended.
ENDED = json.dumps([{"Id": "c1", "Name": "/c1", "State": {"Running": False, "ExitCode": 137, "OOMKilled": True}}])


def test_a_daemon_that_does_not_answer(played: Callable[[str], str], tmp_path: Path) -> None:
    with pytest.raises(DockerDown, match="Cannot connect to the Docker daemon"):
        docker_watch.WatchedDocker(played(DOWN), lambda: False).find("c1")
    with pytest.raises(DockerDown, match="permission denied"):
        docker_watch.WatchedDocker(played("echo permission denied >&2; exit 125"), lambda: False).find("c1")
    with pytest.raises(DockerDown, match=r"/none: not found"):
        docker_watch.WatchedDocker(str(tmp_path / "none"), lambda: False).find("c1")
    stopped = docker_watch.WatchedDocker(played("sleep 60"), lambda: True)
    with pytest.raises(docker_watch.Stopped):
        stopped.call("ps")


def test_a_command_tells_while_it_runs(played: Callable[[str], str]) -> None:
    told: list[str] = []
    ticks: list[str] = []
    docker = docker_watch.WatchedDocker(played("echo one; echo two >&2"), lambda: False, lambda: ticks.append("own"))
    done = docker.call("pull", "x", on_line=told.append, tick=lambda: ticks.append("given"))
    assert (done.rc, done.out, done.err, sorted(told), ticks[:2]) == (0, "one\n", "two\n", ["one", "two"], ["own", "given"])


def test_ours_that_run(played: Callable[[str], str]) -> None:
    found = docker_watch.WatchedDocker(
        played(f"case $1 in ps) echo c1; echo c2;; image) exit 1;; *) echo '{ENDED}'; echo $* > $FOLDER/asked;; esac"), lambda: False
    )
    assert [one.id for one in found.owned_running()] == ["c1"]
    assert found.image_id("x:1") is None
    assert docker_watch.WatchedDocker(played("true"), lambda: False).owned_running() == []


def test_a_process_that_becomes_another_leaves_no_children() -> None:
    child = subprocess.Popen(["sleep", "60"])
    docker_watch.CHILDREN.add(child)
    docker_watch.kill_children()
    docker_watch.CHILDREN.discard(child)
    assert child.returncode == -9


FOLLOWED = f"""
echo "$*" >> $FOLDER/calls
case $1 in
container) [ $(grep -c ^container $FOLDER/calls) -lt 3 ] && {{ {DOWN}; }}; echo false;;
logs) echo "Error response from daemon: away"
  echo "2026-11-20T10:00:0$(grep -c ^logs $FOLDER/calls).0Z line $(grep -c ^logs $FOLDER/calls)"
  echo "2026-11-20T10:00:00.5Z of a clock that was set back";;
esac
"""


def test_a_log_is_followed_until_the_container_has_ended(played: Callable[[str], str], tmp_path: Path) -> None:
    """Beyond restarts of the daemon, each line once; lines that were known before are left out."""
    seen: list[tuple[str, bytes]] = []
    follower = docker_watch.Follower(played(FOLLOWED), "c1", "2026-11-20T10:00:01.0Z", lambda stamp, line: seen.append((stamp, line)))
    follower.run()
    assert [line for _stamp, line in seen] == [
        *(b"line 2\n", b"of a clock that was set back\n", b"line 3\n", b"of a clock that was set back\n")
    ]
    asked = [line for line in (tmp_path / "calls").read_text().splitlines() if line.startswith("logs")]
    assert asked[0] == "logs --follow --timestamps --since 2026-11-20T10:00:01.0Z c1"
    assert asked[-1] == "logs --follow --timestamps --since 2026-11-20T10:00:00.5Z c1"


def test_a_log_is_asked_for_anew_and_let_go(played: Callable[[str], str], tmp_path: Path) -> None:
    """A process that waits for more lines is ended for it."""
    seen: list[bytes] = []
    lines = 'echo "$*" >> $FOLDER/calls; [ $1 = logs ] && { echo "2026-11-20T10:00:0$(grep -c logs $FOLDER/calls).0Z x"; exec sleep 60; }'

    def emit(_stamp: str, line: bytes) -> None:
        seen.append(line)
        follower.resume("2026-11-20T10:00:00.0Z") if len(seen) == 1 else follower.close()

    follower = docker_watch.Follower(played(lines), "c1", "", emit)
    follower.run()
    asked = [line for line in (tmp_path / "calls").read_text().splitlines() if line.startswith("logs")]
    assert asked == ["logs --follow --timestamps c1", "logs --follow --timestamps --since 2026-11-20T10:00:00.0Z c1"]
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (f"[ $1 = wait ] || echo '{ENDED}'", [docker_watch.Exited(137, True)]),
        ("[ $1 = wait ] || { echo []; exit 1; }", [docker_watch.Exited(None)]),
        # The daemon is away, comes back, and the container runs on for a while.
        (
            f"echo $1 >> $FOLDER/calls; case $(wc -l < $FOLDER/calls) in 1|2) {DOWN};; 3) echo '{ENDED}' | sed s/false/true/;; "
            f"*) [ $1 = wait ] || echo '{ENDED}';; esac",
            [docker_watch.DaemonState(up=False), docker_watch.DaemonState(up=True), docker_watch.Exited(137, True)],
        ),
    ],
)
def test_the_end_of_a_container_is_told(played: Callable[[str], str], script: str, told: list[Any]) -> None:
    seen: list[Any] = []
    docker_watch.Waiter(played(script), "c1", seen.append).run()
    assert seen == told


def test_nobody_waits_for_a_container_that_is_let_go(played: Callable[[str], str], tmp_path: Path) -> None:
    seen: list[Any] = []

    def emit(event: Any) -> None:
        seen.append(event)
        waiter.close()

    waiter = docker_watch.Waiter(played(DOWN), "c1", emit)
    waiter.run()
    assert seen == [docker_watch.DaemonState(up=False)]
    (tmp_path / "docker").chmod(0o644)
    docker_watch.Waiter(str(tmp_path / "docker"), "c1", seen.append).run()  # nor for a program that cannot be run
    assert len(seen) == 1
