# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from support.instances import spec

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_cli as docker_cli
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import TIMED_OUT, Ran
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
    result = Ran(1, "no line feed at its end", "one\u2028line\r\n\nlast\n")
    assert result.lines == ["no line feed at its end", "one\u2028line\r", "last"]


def test_a_docker_that_says_nothing_is_not_one_without_containers() -> None:
    """Whoever runs its commands: a time limit, and a program that is not there, are told."""
    hangs = docker_cli.Docker("docker", lambda *_given: Ran(TIMED_OUT, "", "no answer within 60 s"))
    with pytest.raises(docker_cli.DockerDown, match="no answer within 60 s"):
        hangs.find("c1")
    with pytest.raises(docker_cli.DockerDown, match="none: not found"):
        docker_cli.Docker("none").inspect("c1")


def test_commands_and_their_answers() -> None:
    asked: list[tuple[list[str], float, str]] = []
    answers = {"pull": Ran(1, "", "Error response from daemon: no such host"), "image": Ran(0, '["x@sha256:1"]\n')}

    def run(argv: Sequence[str], timeout: float, text: str = "", /) -> Ran:
        asked.append((list(argv[1:]), timeout, text))
        return answers.get(argv[1], Ran(0, "done"))

    docker = docker_cli.Docker("docker", run)
    assert docker.pull("x:1", 600) == "Error response from daemon: no such host"
    assert docker.image_digests("x:1") == ["x@sha256:1"]
    assert docker.feed("words", "run", "--interactive", "x:1", timeout=5).out == "done"
    docker.stop("c1", 10)
    docker.remove("c1", volumes=True)
    assert asked == [
        (["pull", "--quiet", "x:1"], 600, ""),
        (["image", "inspect", "--format", "{{json .RepoDigests}}", "x:1"], 60, ""),
        (["run", "--interactive", "x:1"], 5, "words"),
        (["stop", "--time", "10", "c1"], 40, ""),
        (["rm", "--force", "--volumes", "c1"], 60, ""),
    ]
    answers["image"] = Ran(1)
    assert (docker.image_id("x:1"), docker.image_digests("x:1")) == (None, [])
