# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every platform gets the runtime, devices, and memory settings that are right for it; a host without a GPU gets nothing of NVIDIA's."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

GPUS = {
    "gpuinf-platforms-rtx5090": {"vllm-chat": "GPU-1d2f4a6b-9c0e-4d3a-8b57-6e1f20a4c9d8"},
    "gpuinf-platforms-server": {
        "vllm-chat": "GPU-8a1f0c52-7d52-4a5e-9a0c-3c3f2c9f1f11",
        "vllm-embedding": "GPU-b7d4e1f3-0a86-4f0b-b1a9-5e2d7c8f9022",
    },
    "gpuinf-platforms-orin": {},
    "gpuinf-platforms-spark": {"vllm-chat": "GPU-9f3c7a10-24be-4c61-8d0f-aa41c7b5e6d3"},
    "gpuinf-platforms-nogpu": {},
}
#: 4 GiB of each GPU's memory, as vLLM's fraction.
FRACTIONS = {"gpuinf-platforms-rtx5090": 4096 / 32607, "gpuinf-platforms-server": 4096 / 46068}


@pytest.fixture(name="name")
def _name(host: Any) -> str:
    return str(host.check_output("hostname"))


def containers(host: Any) -> dict[str, dict[str, Any]]:
    names = host.check_output("docker ps --format '{{.Names}}'").split()
    # One that goes between the two commands makes inspect fail, and print the others.
    documents: list[dict[str, Any]] = json.loads(host.run(f"docker inspect {' '.join(names)}").stdout) if names else []
    return {document["Name"].lstrip("/"): document for document in documents}


def environment(container: dict[str, Any]) -> dict[str, str]:
    return dict(item.split("=", 1) for item in container["Config"]["Env"])


def test_no_container_uses_device_requests_or_privileges(host: Any) -> None:
    for container in containers(host).values():
        assert not container["HostConfig"]["DeviceRequests"]
        assert not container["HostConfig"]["Privileged"]


def test_engines_have_the_runtime_and_the_devices_of_their_platform(host: Any, name: str) -> None:
    running = containers(host)
    for container, uuid in GPUS[name].items():
        assert running[container]["HostConfig"]["Runtime"] == "nvidia"
        assert environment(running[container])["NVIDIA_VISIBLE_DEVICES"] == uuid


def test_an_engine_sees_its_own_gpu_and_no_other(host: Any, name: str) -> None:
    for container, uuid in GPUS[name].items():
        listed = host.check_output(f"docker exec {container} nvidia-smi -L")
        assert uuid in listed
        assert listed.count("GPU ") == 1


def test_the_container_that_loses_its_gpu_is_made_anew_and_no_other(host: Any, name: str) -> None:
    """What a daemon-reload does to a container with the legacy hook, played: HTTP stays green, nvidia-smi inside does not."""
    if not name.endswith("-server"):
        return
    before = {container: document["Id"] for container, document in containers(host).items()}
    bundle = f"/run/containerd/io.containerd.runtime.v2.task/moby/{before['vllm-chat']}"
    # Into the same file: it is mounted into the container.
    host.check_output(f"printf '#!/bin/sh\necho Failed to initialize NVML: Unknown Error\nexit 255\n' > {bundle}/nvidia-smi")
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        state = json.loads(host.file("/run/gpu-inference/state/vllm@chat.json").content_string)
        running = containers(host)
        if state["phase"] == "ready" and running.get("vllm-chat", {}).get("Id") not in (None, before["vllm-chat"]):
            break
        time.sleep(2)
    else:
        pytest.fail(host.run("journalctl --no-pager -n 40 -u vllm@chat").stdout)
    assert state["last_failure"]["cause"] == "gpu_lost"
    assert containers(host)["vllm-embedding"]["Id"] == before["vllm-embedding"]


def test_the_memory_budget_reaches_vllm(host: Any, name: str) -> None:
    for container in GPUS[name]:
        instance = container.partition("-")[2]
        config = host.file(f"/etc/gpu-inference/instances/vllm/{instance}/config.yaml").content_string
        fraction = next(float(line.split(":")[1]) for line in config.splitlines() if "gpu-memory-utilization" in line)
        if name in FRACTIONS:
            assert fraction == pytest.approx(FRACTIONS[name], abs=0.011)
        else:
            assert 0.05 < fraction < 0.9


def test_main_memory_is_bounded_and_the_bound_changes_while_the_engine_runs(host: Any, name: str) -> None:
    for container in GPUS[name]:
        path = f"/etc/gpu-inference/instances/vllm/{container.partition('-')[2]}/service.json"
        text = host.file(path).content_string
        bound = json.loads(text)["memory_limit_mib"]
        before = containers(host)[container]
        assert before["HostConfig"]["Memory"] == bound * 1024 * 1024
        if not name.endswith("-rtx5090"):
            continue
        for wanted in (bound - 1024, bound):
            host.check_output(f'sed -i \'s/"memory_limit_mib": [0-9]*/"memory_limit_mib": {wanted}/\' {path}')
            host.check_output("systemctl reload vllm@chat")
            deadline = time.monotonic() + 120
            while containers(host)[container]["HostConfig"]["Memory"] != wanted * 1024 * 1024 and time.monotonic() < deadline:
                time.sleep(1)
            after = containers(host)[container]
            assert (after["Id"], after["HostConfig"]["Memory"]) == (before["Id"], wanted * 1024 * 1024)
        assert host.file(path).content_string == text
        assert "GPU " in host.check_output(f"docker exec {container} nvidia-smi -L")


def test_a_jetson_uses_the_runtime_and_its_jetpack(host: Any, name: str) -> None:
    if not name.endswith("-orin"):
        return
    (container,) = containers(host).values()
    assert container["HostConfig"]["Runtime"] == "nvidia"
    assert environment(container)["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert environment(container)["JETSON_JETPACK"] == "6"


def test_a_host_without_a_gpu_gets_nothing_of_nvidia(host: Any, name: str) -> None:
    if not name.endswith("-nogpu"):
        return
    assert containers(host), "no engine runs"
    assert all(container["HostConfig"]["Runtime"] != "nvidia" for container in containers(host).values())
    assert "nvidia" not in host.file("/etc/docker/daemon.json").content_string
    for path in (
        "/usr/bin/nvidia-ctk",
        "/etc/apt/sources.list.d/nvidia-container-toolkit.sources",
        "/etc/gpu-inference/nvidia_container_toolkit.json",
    ):
        assert not host.file(path).exists, path


def test_other_hosts_have_the_toolkit_at_the_pinned_version(host: Any, name: str) -> None:
    if not name.endswith("-nogpu"):
        assert host.check_output("nvidia-ctk --version | head -1").endswith(" 1.20.1")
