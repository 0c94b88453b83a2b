# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.instances import spec

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_trial as docker_trial
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran

FOLDER = Path("/etc/gpu-inference/instances/vllm/chat")
ARGUMENTS = [
    *("--init", "-p", "127.0.0.1:8070:8000", "--ip=10.89.17.9", "--network-alias", "chat", "--runtime=nvidia"),
    *(f"--volume={FOLDER}/config.yaml:/etc/vllm/config.yaml:ro", "-v", "/var/lib/gpu-inference/vllm/chat:/root/.cache/vllm"),
    *("--mount", f"type=bind,source={FOLDER},target=/x", "--mount=type=bind,source=/srv/m,target=/m"),
]
SPEC = spec(docker_arguments=ARGUMENTS, entrypoint=None)


def test_the_exact_container_is_made_under_another_name_without_the_mounts_of_its_folder() -> None:
    argv = docker_trial.exact_argv(SPEC, "/x/.env.new", FOLDER)
    assert argv[:7] == ["create", "--name", "vllm-chat-trial", "--pull", "never", "--env-file", "/x/.env.new"]
    labels = [argv[position + 1] for position, word in enumerate(argv) if word == "--label"]
    assert labels == ["io.llmops.gpu-inference.owner=llmops.gpu_inference", "io.llmops.gpu-inference.trial-of=vllm/chat"]
    flags = [word for word in argv if word.startswith("--") and "=" in word]
    assert flags == [
        *("--init=true", "--publish=127.0.0.1:8070:8000", "--ip=10.89.17.9", "--network-alias=chat", "--runtime=nvidia"),
        *("--volume=/var/lib/gpu-inference/vllm/chat:/root/.cache/vllm", "--mount=type=bind,source=/srv/m,target=/m"),
    ]
    assert argv[-3:] == [SPEC.image, "--config", "/etc/vllm/config.yaml"]


def test_the_container_that_is_started_runs_nothing_and_takes_nothing_from_the_old_one() -> None:
    argv = docker_trial.startable_argv(SPEC, "/x/env", FOLDER, [("tcp", 8070)])
    assert argv[-3:] == ["--entrypoint", "true", SPEC.image]
    assert argv[argv.index("--network") + 1] == "inference_engines"
    assert "--publish=127.0.0.1::8000/tcp" in argv
    assert not any("10.89.17.9" in word or "alias" in word or str(FOLDER) in word for word in argv)


@pytest.mark.parametrize(
    ("value", "beside"),
    [
        ("127.0.0.1:8070:8000", "127.0.0.1::8000/tcp"),
        ("8070:8000/tcp", "8000/tcp"),
        ("[::1]:8070:8000", "[::1]::8000/tcp"),
        ("8065-8075:8000-8010", "8000-8010/tcp"),
        ("published=8070,target=8000", "8000/tcp"),
        ("127.0.0.1:8071:8000", "127.0.0.1:8071:8000"),
        ("8070:8000/udp", "8070:8000/udp"),
        ("8000", "8000"),
        ("nonsense:x", "nonsense:x"),  # Docker says what is wrong with it
    ],
)
def test_a_port_that_is_held_becomes_another_one_of_the_same_address(value: str, beside: str) -> None:
    argv = docker_trial.startable_argv(spec(docker_arguments=["--publish", value]), "/x/env", FOLDER, [("tcp", 8070)])
    assert [word for word in argv if word.startswith("--publish=")] == [f"--publish={beside}"]


DAEMON = "Error response from daemon: "


@pytest.mark.parametrize(
    ("fails", "ran", "refusal"),
    [
        pytest.param("", Ran(0), "", id="fine"),
        pytest.param(
            "create",
            Ran(1, "", f"{DAEMON}invalid runtime name: x\n"),
            f"{DAEMON}invalid runtime name: x",
            id="create",
        ),
        pytest.param("network", Ran(1, "", f"{DAEMON}network extra not found\n"), f"{DAEMON}network extra not found", id="network"),
        pytest.param(
            "start",
            Ran(1, "", f"{DAEMON}error while creating mount source path '/x': mkdir /x: read-only\nError: failed to start containers: x\n"),
            f"{DAEMON}error while creating mount source path '/x': mkdir /x: read-only",
            id="start",
        ),
        pytest.param("start", Ran(124, "", "no answer within 120 s: docker start"), "no answer within 120 s: docker start", id="silent"),
        pytest.param("start", Ran(255, "exec /bin/true: exec format error\n", ""), "exec /bin/true: exec format error", id="architecture"),
        pytest.param(
            "start",
            Ran(137),
            "a container with these settings, and 'true' for a program, ended with exit code 137",
            id="killed-by-its-limit",
        ),
        pytest.param("start", Ran(127, "", "[FATAL tini (7)] exec true failed: No such file or directory\n"), "", id="no-true-with-init"),
        pytest.param(
            "start", Ran(1, "", f'{DAEMON}OCI runtime create failed: exec: "true": executable file not found in $PATH\n'), "", id="no-true"
        ),
        pytest.param("start", Ran(1, "", f"{DAEMON}no available IPv4 addresses on this network\n"), "", id="full-network"),
    ],
)
def test_what_docker_refuses(fails: str, ran: Ran, refusal: str) -> None:
    calls: list[list[str]] = []

    def run(argv: Sequence[str], _timeout: float, _text: str = "", /) -> Ran:
        calls.append(list(argv[1:]))
        return ran if argv[1] == fails else Ran(0)

    assert docker_trial.refusal(Docker("docker", run), SPEC, "/x/env", FOLDER) == refusal
    assert calls[0] == calls[-1] == ["rm", "--force", "--volumes", "vllm-chat-trial"]  # nothing is left behind
    expected = {"": ["create", "create", "network", "start"], "create": ["create"], "network": ["create", "create", "network"]}
    assert [call[0] for call in calls if call[0] != "rm"] == expected.get(fails, expected[""])
