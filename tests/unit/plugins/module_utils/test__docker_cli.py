# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import sys

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
