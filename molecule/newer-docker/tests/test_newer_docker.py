# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same roles on Docker Engine 28 or newer: an answer through the gateway, ports that stay closed, and a daemon that may restart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests

SECRETS = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "secrets"
PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])


@pytest.fixture(name="gateway")
def _gateway(host: Any) -> str:
    address = str(host.check_output("ip -4 -o route get 192.0.2.1").split(" src ")[1].split()[0])
    return f"http://{address}:8400"


def chat(gateway: str) -> requests.Response:
    key = (SECRETS / "master_key").read_text(encoding="utf-8").strip()
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16}
    return requests.post(f"{gateway}/v1/chat/completions", headers={"Authorization": f"Bearer {key}"}, json=body, timeout=60)


def test_it_is_docker_28_or_newer(host: Any) -> None:
    version = json.loads(host.check_output("docker version --format '{{json .}}'"))
    assert int(version["Server"]["Version"].split(".")[0]) >= 28
    assert version["Client"]["Version"] == version["Server"]["Version"]


def test_the_gateway_answers(gateway: str) -> None:
    answer = chat(gateway)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"].strip() == "Hello from tiny-chat."


def test_the_engine_is_published_on_loopback_only(host: Any, gateway: str) -> None:
    published = json.loads(host.check_output("docker inspect --format '{{json .HostConfig.PortBindings}}' vllm-chat"))
    assert [binding["HostIp"] for bindings in published.values() for binding in bindings] == ["127.0.0.1"]
    # What this release adds: a neighbour's packets for a container's own address are dropped before they are routed.
    assert "DROP" in host.check_output("iptables --table raw --list-rules PREROUTING")
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(gateway.replace(":8400", ":8070"), timeout=5)


def test_a_daemon_that_restarts_takes_nothing_down(host: Any, gateway: str) -> None:
    before = host.check_output("docker inspect --format '{{.Id}} {{.State.StartedAt}}' vllm-chat litellm-gateway")
    host.check_output("systemctl restart docker.service")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if chat(gateway).status_code == 200:
                break
        except requests.exceptions.RequestException:
            pass
        time.sleep(0.5)
    assert chat(gateway).status_code == 200
    assert host.check_output("docker inspect --format '{{.Id}} {{.State.StartedAt}}' vllm-chat litellm-gateway") == before


def test_a_configuration_that_it_does_not_start_with_is_taken_back(host: Any, gateway: str) -> None:
    before = host.file("/etc/docker/daemon.json").content_string
    argv = [str(Path(sys.executable).parent / "ansible"), "gpuinf-newer-docker", "-i", os.environ["MOLECULE_INVENTORY_FILE"]]
    module = ["-m", "llmops.gpu_inference.docker_daemon", "-a", json.dumps({"wanted": {"storage-driver": "nonsense"}})]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run([*argv, *module], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    said = " ".join(done.stdout.split())
    assert "driver not supported: nonsense" in said
    assert "Docker runs with it again" in said
    assert host.file("/etc/docker/daemon.json").content_string == before
    assert chat(gateway).status_code == 200
