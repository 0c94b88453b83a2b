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
from support.instances import spec

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_cli as docker_cli
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL, OWNER


def test_create_argv_has_labels_and_no_secret() -> None:
    argv = docker_cli.create_argv(spec(entrypoint="vllm"), "/x/env")
    assert argv[:7] == ["create", "--name", "vllm-chat", "--pull", "never", "--env-file", "/x/env"]
    assert [argv[n + 1] for n, word in enumerate(argv) if word == "--label"] == [
        f"{LABEL}owner={OWNER}",
        f"{LABEL}instance=vllm/chat",
        f"{LABEL}config-hash=abc",
        f"{LABEL}locks=GPU-a,GPU-b",
    ]
    assert argv[argv.index("--network") + 1] == "inference_engines"
    assert argv.count("--network") == 1
    assert argv[-5:] == ["--entrypoint", "vllm", "vllm/vllm-openai:v0.32.0", "--config", "/etc/vllm/config.yaml"]
    assert "VLLM_API_KEY" not in " ".join(argv)


@pytest.mark.parametrize("given", [["--memory", "1024m"], ["-m1024m"], ["--memory=1024m"]])
def test_a_bound_on_memory_among_the_arguments_wins(given: list[str]) -> None:
    argv = docker_cli.create_argv(spec(memory_limit_mib=2048), "/x/env")
    assert argv[argv.index("--memory") + 1] == "2048m"
    assert "2048m" not in docker_cli.create_argv(spec(docker_arguments=given, memory_limit_mib=2048), "/x/env")
    assert spec(docker_arguments=given, memory_limit_mib=2048).memory_limit_mib is None  # nor is it changed while it runs
    assert "--memory" not in docker_cli.create_argv(spec(), "/x/env")


@pytest.mark.parametrize("given", [["--log-driver=journald"], ["--log-driver", "journald"]])
def test_log_driver_of_the_user_stays(given: list[str]) -> None:
    argv = docker_cli.create_argv(spec(docker_arguments=given), "/x/env")
    assert [word for word in argv if word.startswith("--log-")] == given[:1]
    no_driver = docker_cli.create_argv(spec(docker_arguments=["--label", "--log-driver=x"]), "/x/env")
    assert no_driver[no_driver.index("--log-driver") + 1] == "local"


def test_download_publishes_no_port() -> None:
    ports = ["--publish=127.0.0.1:8070:8000", "-p", "127.0.0.1:9000:9000", "-p127.0.0.1:9000:9001", "-Pitp", "9000:1", "--ip=10.0.0.9"]
    given = spec(docker_arguments=[*ports, "--shm-size=1g"], download_command=["-c", "get"], download_entrypoint="python3")
    argv = docker_cli.download_argv(given, "/x/env")
    assert "8070" not in " ".join(argv)
    assert "10.0.0.9" not in " ".join(argv)
    assert not any("publish" in word for word in argv)
    assert "9000" not in " ".join(argv)
    assert "--shm-size=1g" in argv
    assert argv[-5:] == ["--entrypoint", "python3", "vllm/vllm-openai:v0.32.0", "-c", "get"]


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        (b"2026-11-20T10:38:29.651981079Z INFO: up\n", ("2026-11-20T10:38:29.651981079Z", b"INFO: up\n")),
        (b"2026-11-20T10:38:29.651981079Z \n", ("2026-11-20T10:38:29.651981079Z", b"\n")),
        (b"Error response from daemon: x\n", ("", b"Error response from daemon: x\n")),
    ],
)
def test_split_timestamp(raw: bytes, parts: tuple[str, bytes]) -> None:
    assert docker_cli.split_timestamp(raw) == parts


@pytest.mark.parametrize(
    ("text", "down"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", True),
        ("error during connect: Get http://x", True),
        ("permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock", True),
        ("failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct", True),
        ("Error response from daemon: error while creating mount source path '/x/docker.sock': mkdir /x: read-only file system", False),
        ("Error response from daemon: No such container: vllm-chat", False),
    ],
)
def test_daemon_down(text: str, down: bool) -> None:
    assert docker_cli.daemon_down(text) is down


MKDIR = "Error response from daemon: error while creating mount source path '/proc/x': mkdir /proc/x: no such file or directory"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param(f"{MKDIR}\nError: failed to start containers: 0123456789ab\n", MKDIR, id="start"),
        pytest.param("unknown flag: --ulimit memlock\nSee 'docker create --help'.\n", "unknown flag: --ulimit memlock", id="flag-26"),
        pytest.param(
            "unknown flag: --x\n\nUsage:  docker create [OPTIONS] IMAGE\n\nRun 'docker create --help' for more information\n",
            "unknown flag: --x",
            id="flag-28",
        ),
        pytest.param(
            "docker: Invalid ip address: 192.168.1.300.\nSee 'docker create --help'.\n",
            "docker: Invalid ip address: 192.168.1.300.",
            id="address",
        ),
        pytest.param(
            "Error response from daemon: invalid config for network bridge: invalid endpoint settings:\n* one\n* two\n",
            "Error response from daemon: invalid config for network bridge: invalid endpoint settings: * one * two",
            id="several-lines",
        ),
        pytest.param(
            "WARNING: Your kernel does not support swap limit capabilities\nUnable to find image 'x:1' locally\n"
            "docker: Error response from daemon: Get \"https://x/v2/\": dial tcp: no such host.\nSee 'docker run --help'.\n",
            'docker: Error response from daemon: Get "https://x/v2/": dial tcp: no such host.',
            id="run",
        ),
        pytest.param("Error: failed to start containers: x\n", "Error: failed to start containers: x", id="nothing-else"),
        pytest.param("", "Docker gave no reason", id="silent"),
    ],
)
def test_the_sentence_that_says_why(said: str, told: str) -> None:
    assert docker_cli.reason(said) == told


def test_inspect_is_read() -> None:
    document = {
        "Id": "c1",
        "Name": "/vllm-chat",
        "State": {"Running": False, "ExitCode": 137, "OOMKilled": True, "StartedAt": "2026-11-20T10:00:00Z"},
        "Config": {"Labels": {LABEL + "owner": OWNER, LABEL + "locks": "a,b"}},
    }
    found = docker_cli.parse_inspect(json.dumps([document]))[0]
    assert (found.name, found.running, found.exit_code, found.oom_killed, found.owned) == ("vllm-chat", False, 137, True, True)
    assert found.locks == ("a", "b")
    assert docker_cli.parse_inspect("") == []


def test_output_is_lines_of_both_streams() -> None:
    result = docker_cli.Result(1, "no line feed at its end", "one\u2028line\r\n\nlast\n")
    assert result.lines == ["no line feed at its end", "one\u2028line\r", "last"]


def test_commands_end_with_their_time_limit_and_with_a_stop() -> None:
    assert docker_cli.run_process([sys.executable, "-c", "print('a'); import sys; sys.exit(3)"], 20).rc == 3
    assert docker_cli.run_process(["sleep", "30"], 0.3).rc == 124
    with pytest.raises(docker_cli.Stopped):
        docker_cli.run_process(["sleep", "30"], 30, cancelled=lambda: True)
    seen: list[str] = []
    docker_cli.run_process(["printf", "one\\ntwo\\n"], 20, on_line=seen.append)
    assert seen == ["one", "two"]


@pytest.fixture(name="played")
def _played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes a docker command of a script, with $FOLDER for what it keeps. Nothing sleeps."""
    monkeypatch.setattr(docker_cli, "time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda _seconds: None))

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
    with pytest.raises(docker_cli.DockerDown, match="Cannot connect to the Docker daemon"):
        docker_cli.Docker(played(DOWN), lambda: False).find("c1")
    with pytest.raises(docker_cli.DockerDown, match="permission denied"):
        docker_cli.Docker(played("echo permission denied >&2; exit 125"), lambda: False).find("c1")
    with pytest.raises(docker_cli.DockerDown, match=r"/none: not found"):
        docker_cli.Docker(str(tmp_path / "none"), lambda: False).find("c1")
    stopped = docker_cli.Docker(played("sleep 60"), lambda: True)
    with pytest.raises(docker_cli.Stopped):
        stopped.call("ps")


def test_a_command_tells_while_it_runs(played: Callable[[str], str]) -> None:
    told: list[str] = []
    ticks: list[str] = []
    docker = docker_cli.Docker(played("echo one; echo two >&2"), lambda: True, lambda: ticks.append("own"))
    done = docker.call("pull", "x", on_line=told.append, interruptible=False, tick=lambda: ticks.append("given"))
    assert (done.rc, done.out, done.err, sorted(told), ticks[:2]) == (0, "one\n", "two\n", ["one", "two"], ["own", "given"])


def test_ours_that_run(played: Callable[[str], str]) -> None:
    found = docker_cli.Docker(
        played(f"case $1 in ps) echo c1; echo c2;; image) exit 1;; *) echo '{ENDED}'; echo $* > $FOLDER/asked;; esac"), lambda: False
    )
    assert [one.id for one in found.owned_running()] == ["c1"]
    assert not found.has_image("x:1")
    assert docker_cli.Docker(played("true"), lambda: False).owned_running() == []


def test_a_process_that_becomes_another_leaves_no_children() -> None:
    child = subprocess.Popen(["sleep", "60"])
    docker_cli.CHILDREN.add(child)
    docker_cli.kill_children()
    docker_cli.CHILDREN.discard(child)
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
    follower = docker_cli.Follower(played(FOLLOWED), "c1", "2026-11-20T10:00:01.0Z", lambda stamp, line: seen.append((stamp, line)))
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

    follower = docker_cli.Follower(played(lines), "c1", "", emit)
    follower.run()
    asked = [line for line in (tmp_path / "calls").read_text().splitlines() if line.startswith("logs")]
    assert asked == ["logs --follow --timestamps c1", "logs --follow --timestamps --since 2026-11-20T10:00:00.0Z c1"]
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (f"[ $1 = wait ] || echo '{ENDED}'", [docker_cli.Exited(137, True)]),
        ("[ $1 = wait ] || { echo []; exit 1; }", [docker_cli.Exited(None)]),
        # The daemon is away, comes back, and the container runs on for a while.
        (
            f"echo $1 >> $FOLDER/calls; case $(wc -l < $FOLDER/calls) in 1|2) {DOWN};; 3) echo '{ENDED}' | sed s/false/true/;; "
            f"*) [ $1 = wait ] || echo '{ENDED}';; esac",
            [docker_cli.DaemonState(up=False), docker_cli.DaemonState(up=True), docker_cli.Exited(137, True)],
        ),
    ],
)
def test_the_end_of_a_container_is_told(played: Callable[[str], str], script: str, told: list[Any]) -> None:
    seen: list[Any] = []
    docker_cli.Waiter(played(script), "c1", seen.append).run()
    assert seen == told


def test_nobody_waits_for_a_container_that_is_let_go(played: Callable[[str], str], tmp_path: Path) -> None:
    seen: list[Any] = []

    def emit(event: Any) -> None:
        seen.append(event)
        waiter.close()

    waiter = docker_cli.Waiter(played(DOWN), "c1", emit)
    waiter.run()
    assert seen == [docker_cli.DaemonState(up=False)]
    (tmp_path / "docker").chmod(0o644)
    docker_cli.Waiter(str(tmp_path / "docker"), "c1", seen.append).run()  # nor for a program that cannot be run
    assert len(seen) == 1
