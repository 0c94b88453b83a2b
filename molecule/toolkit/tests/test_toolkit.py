# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One version of all four packages, the runtime beside what was there, and containers that get the GPU they asked for and no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

PACKAGES = ("nvidia-container-toolkit", "nvidia-container-toolkit-base", "libnvidia-container-tools", "libnvidia-container1")
NVIDIA = {"args": [], "path": "nvidia-container-runtime"}
PROOF = "llmops-gpu-inference/gpu-proof:1"
UUIDS = {
    "gpuinf-toolkit-fresh": ["GPU-8a1f0c52-7d52-4a5e-9a0c-3c3f2c9f1f11", "GPU-b7d4e1f3-0a86-4f0b-b1a9-5e2d7c8f9022"],
    "gpuinf-toolkit-old": ["GPU-1d2f4a6b-9c0e-4d3a-8b57-6e1f20a4c9d8"],
}


@pytest.fixture(name="name")
def _name(host: Any) -> str:
    return str(host.check_output("hostname"))


def daemon(host: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(host.file("/etc/docker/daemon.json").content_string)
    return document


def in_container(host: Any, devices: str) -> Any:
    options = f"--rm --network none --runtime nvidia --env NVIDIA_VISIBLE_DEVICES={devices} --entrypoint /bin/sh"
    return host.run(f"docker run {options} {PROOF} -c 'nvidia-smi -L'")


@pytest.mark.parametrize("package", PACKAGES)
def test_all_packages_have_the_pinned_version_and_are_held(host: Any, package: str) -> None:
    shown = host.check_output(f"dpkg-query --show --showformat '${{Version}} ${{db:Status-Status}} ${{db:Status-Want}}' {package}")
    assert shown == "1.20.1-1 installed hold"


def test_an_upgrade_of_everything_leaves_them_alone(host: Any) -> None:
    assert "nvidia" not in host.check_output("apt-get --simulate dist-upgrade | grep ^Inst || true")
    assert "Candidate: 1.20.1-1" in host.check_output("apt-cache policy nvidia-container-toolkit")


def test_apt_update_works_and_stale_lists_are_gone(host: Any) -> None:
    update = host.run("apt-get update")
    assert update.rc == 0
    assert "Signed-By" not in update.stderr
    lists = set(host.file("/etc/apt/sources.list.d").listdir())
    assert not {"nvidia-docker.list", "libnvidia-container.list"} & lists


def test_what_belongs_to_other_repositories_stays(host: Any, name: str) -> None:
    if name != "gpuinf-toolkit-old":
        return
    folder = "/etc/apt/sources.list.d"
    assert host.file(f"{folder}/nvidia-container-toolkit-other.list").exists
    assert host.file("/etc/apt/sources.list").content_string == "deb http://deb.debian.org/debian trixie main\n# the end\n"
    assert host.file(f"{folder}/site.list").content_string == "deb-src http://deb.debian.org/debian trixie main\n"
    assert host.file(f"{folder}/guide.sources").content_string.startswith(
        "Types: deb\nURIs: http://deb.debian.org/debian\n  https://nvidia"
    )
    copies = [entry for entry in [*host.file(folder).listdir(), *host.file("/etc/apt").listdir()] if entry.endswith("~")]
    assert {copy.split(".")[0] for copy in copies} == {"sources", "site", "guide", "nvidia-docker", "libnvidia-container"}


def test_daemon_json_has_the_runtime_and_keeps_the_rest(host: Any, name: str) -> None:
    document = daemon(host)
    assert document["runtimes"]["nvidia"] == NVIDIA
    assert "default-runtime" not in document
    if name == "gpuinf-toolkit-old":
        assert document == {
            "runtimes": {"crun": {"path": "/usr/bin/crun"}, "nvidia": NVIDIA},
            "features": {"buildkit": True},
            "live-restore": True,
            "labels": ["site=test"],
            "log-driver": "json-file",
            "insecure-registries": ["registry.testbed:5000"],
            "default-address-pools": [{"base": "10.201.0.0/16", "size": 24}],
        }
        assert host.file("/etc/docker/daemon.json").mode == 0o600
        assert [entry for entry in host.file("/etc/docker").listdir() if entry.startswith("daemon.json.")], "no backup"


def test_the_running_daemon_knows_the_runtime(host: Any) -> None:
    assert "nvidia" in json.loads(host.check_output("docker info --format '{{json .Runtimes}}'"))


def test_a_running_container_noticed_nothing(host: Any, name: str) -> None:
    if name == "gpuinf-toolkit-old":
        state = json.loads(host.check_output("docker inspect --format '{{json .State}}' bystander"))
        assert state["Running"]
        converged = host.check_output("date --utc --iso-8601=ns --reference /etc/gpu-inference/nvidia_container_toolkit.json")
        assert state["StartedAt"] < converged, "it was restarted"
        assert host.check_output("docker inspect --format '{{.RestartCount}}' bystander") == "0"


def test_a_container_sees_all_gpus(host: Any, name: str) -> None:
    seen = in_container(host, "all")
    assert seen.rc == 0, seen.stderr
    assert [uuid for uuid in UUIDS[name] if uuid in seen.stdout] == UUIDS[name]


def test_a_container_sees_only_the_gpu_it_asked_for(host: Any, name: str) -> None:
    seen = in_container(host, UUIDS[name][-1])
    assert seen.stdout.count("GPU ") == 1
    assert seen.stdout.startswith("GPU 0: ")
    assert UUIDS[name][-1] in seen.stdout


def by_cdi(host: Any, device: str) -> Any:
    return host.run(f"docker run --rm --network none --device nvidia.com/gpu={device} --entrypoint /bin/sh {PROOF} -c 'nvidia-smi -L'")


def test_cdi_names_every_gpu_where_it_is_wanted(host: Any, name: str) -> None:
    listed = host.check_output("nvidia-ctk cdi list")
    if name != "gpuinf-toolkit-fresh":
        assert listed == ""
        return
    assert [uuid for uuid in UUIDS[name] if f"nvidia.com/gpu={uuid}" in listed] == UUIDS[name]
    seen = by_cdi(host, UUIDS[name][0])
    assert (seen.stdout.count("GPU "), UUIDS[name][0] in seen.stdout) == (1, True)
    assert "unresolvable CDI devices" in by_cdi(host, "GPU-none").stderr


def test_a_gpu_that_is_not_there_is_an_error(host: Any) -> None:
    seen = in_container(host, "GPU-00000000-0000-0000-0000-000000000000")
    assert seen.rc == 125
    assert "unresolvable CDI devices" in seen.stderr
