# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What leaves the inventory, and what remove.yml takes: last by the file's name, for nothing is left then."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import yaml
from one_gpu_node import (
    INSTANCES,
    INVENTORY,
    MODELS,
    SERVICES,
    container,
    key,
    measured,
    node,
    playbook,
    restore,
    run,
    sh,
    site,
    url,
    write,
)

IMAGE = "registry.testbed:5000/vllm/vllm-openai:v0.32.0-cpu"


@pytest.fixture(autouse=True)
def sound_node() -> None:
    """Whatever the node is like: what has left shall not be started again only to be removed."""


def foreign() -> None:
    """Somebody else's container, unit and folder with names like ours."""
    if container("vllm-mine") == "":
        sh(f"docker run --detach --name vllm-mine --entrypoint sleep {IMAGE} infinity")
    write("/etc/systemd/system/vllm-mine.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    sh(f"mkdir -p {INSTANCES}/vllm/mine && echo mine > {INSTANCES}/vllm/mine/notes && systemctl daemon-reload && systemctl start vllm-mine")


def foreign_is_whole() -> bool:
    return (
        container("vllm-mine").endswith(" true")
        and node.service("vllm-mine").is_running
        and bool(node.file("/etc/systemd/system/vllm-mine.service").exists)
    )


@contextmanager
def asked_for_models() -> Iterator[tuple[list[float], list[str]]]:
    """The gateway asked without a pause, by a connection for each request: when it answered, and what it did not answer."""
    answered: list[float] = []
    refused: list[str] = []
    over = threading.Event()
    address, headers = f"{url()}/v1/models", key()

    def loop() -> None:
        while not over.is_set():
            try:
                requests.get(address, headers=headers, timeout=60).raise_for_status()
                answered.append(time.monotonic())
            except requests.RequestException as error:
                refused.append(str(error))
            time.sleep(0.02)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield answered, refused
    finally:
        over.set()
        thread.join()


def test_what_left_the_inventory_goes_and_nothing_else() -> None:
    foreign()
    gone = SERVICES[2]["model"]
    with asked_for_models() as (answered, refused):
        done = site(
            "--tags", "engines,litellm", inference_services=SERVICES[:2], inference_models={k: v for k, v in MODELS.items() if k != gone}
        )
    assert done.rc == 0, done.output
    # The gateway goes with it: another one, which took the port over.
    assert refused == []
    assert "the new one has taken the port over" in done.output, done.output
    assert container("litellm-gateway-port").endswith(" true")
    pause = max(later - earlier for earlier, later in zip(answered, answered[1:], strict=False))
    measured("the gateway changes while it is asked", requests=len(answered), pause=pause)
    assert container(f"vllm-{gone}") == ""
    assert node.run(f"systemctl is-active vllm@{gone}").stdout.strip() == "inactive"
    assert not node.file(f"{INSTANCES}/vllm/{gone}").exists
    assert not node.file(f"/etc/systemd/system/gpu-inference.target.wants/vllm@{gone}.service").exists
    served = {model["id"] for model in requests.get(f"{url()}/v1/models", headers=key(), timeout=30).json()["data"]}
    assert gone not in served
    assert "chat" in served
    assert foreign_is_whole()
    assert node.file(f"{INSTANCES}/vllm/mine/notes").exists
    measured("service left the inventory: stopped, removed, not routed", play=done.seconds)


def test_what_a_host_ran_in_a_group_that_it_has_left_goes(tmp_path: Path) -> None:
    """The gateway moves to another host, say, and this one goes on with its engines."""
    foreign()
    shutil.copytree(Path(INVENTORY).parent, tmp_path / "inventory")
    hosts = tmp_path / "inventory/ansible_inventory.yml"
    described = yaml.safe_load(hosts.read_text(encoding="utf-8"))
    del described["gateways"]
    hosts.write_text(yaml.safe_dump(described), encoding="utf-8")
    given = {"inference_services": SERVICES[:2], "inference_models": {k: v for k, v in MODELS.items() if k != SERVICES[2]["model"]}}
    without_it = [str(hosts) if word == INVENTORY else word for word in playbook("--tags", "engines,litellm", **given)]
    engines = [container(f"vllm-{name}") for name in ("chat-a", "chat-b")]
    assert container("litellm-gateway") != ""
    done = run(without_it)
    assert done.rc == 0, done.output
    assert sh("docker ps --all --quiet --filter name=litellm-gateway") == ""
    assert not node.file(f"{INSTANCES}/litellm/gateway").exists
    assert [container(f"vllm-{name}") for name in ("chat-a", "chat-b")] == engines
    assert foreign_is_whole()
    again = run(without_it)
    assert (again.rc, "changed=0" in again.output) == (0, True), again.output
    restore()


def test_remove_takes_all_that_is_ours_and_nothing_else() -> None:
    foreign()
    # One that is stopped while it starts goes all the same.
    sh("systemctl restart --no-block vllm@chat-a")
    refused = run(playbook(name="remove.yml"))
    assert refused.rc != 0
    assert "remove_confirmed=true" in refused.output
    done = run(playbook(name="remove.yml", remove_confirmed=True))
    assert done.rc == 0, done.output
    assert sh("docker ps -aq --filter label=io.llmops.gpu-inference.owner") == ""
    assert node.run("systemctl list-units --all --plain --no-legend 'vllm@*' 'litellm@*' gpu-inference.target").stdout == ""
    for path in ("/usr/local/lib/gpu-inference", "/etc/systemd/system/vllm@.service", "/run/gpu-inference"):
        assert not node.file(path).exists, path
    assert node.file("/var/lib/gpu-inference/vllm").exists, "models were not to be removed"
    assert foreign_is_whole()
    measured("remove.yml", play=done.seconds)
    sh("echo mine > /var/lib/gpu-inference/notes")
    done = run(playbook(name="remove.yml", remove_confirmed=True, remove_data=True))
    assert done.rc == 0, done.output
    assert node.file("/var/lib/gpu-inference").listdir() == ["notes"]
    assert foreign_is_whole()
    sh("rm /var/lib/gpu-inference/notes")
    done = run(playbook(name="remove.yml", remove_confirmed=True, remove_data=True))
    assert done.rc == 0, done.output
    assert not node.file("/var/lib/gpu-inference").exists
