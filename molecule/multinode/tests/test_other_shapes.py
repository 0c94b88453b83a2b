# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Engines over several hosts of other shapes, side by side: stages of a pipeline, and replicas on three hosts, the first with the gateway.

Only with LLMOPS_ALL_FAULTS=1.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from group_nodes import GATEWAY, MODELS, NETWORK, ONE, REPLY, SCENARIO, TWO, ask, container, docker, hosts, playbook, sh, wait

SERVICES = SCENARIO["provisioner"]["inventory"]["group_vars"]["all"]["inference_multinode_services"]
CHAT = {"source": "/srv/models/tiny-chat", "max_model_len": 2048, "timeout": 20}
STAGED = {"model": "staged", "hosts": [TWO, ONE], "port": 8080, "memory": "2GiB", "pipeline_parallel_size": 2}
REPLICAS = {"model": "replicas", "hosts": [GATEWAY, ONE, TWO], "port": 8090, "memory": "2GiB", "data_parallel_size": 3}
VARIABLES: dict[str, Any] = {
    "inference_models": {**MODELS, "staged": CHAT, "replicas": CHAT},
    "inference_multinode_services": [*SERVICES, STAGED, REPLICAS],
}
GROUPS = {"big": (ONE, TWO), **{str(service["model"]): tuple(service["hosts"]) for service in (STAGED, REPLICAS)}}
ADDRESS = "172.30.18.228"


def site(inventory: Path) -> str:
    done = playbook("-i", str(inventory), **VARIABLES)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def with_the_gateway_as_a_node(folder: Path) -> Path:
    host = {"inference_platform": "cpu", "inference_cluster_address": ADDRESS, "inference_services": []}
    inventory = folder / "third_node.yml"
    inventory.write_text(yaml.safe_dump({"inference_nodes": {"hosts": {GATEWAY: host}}}))
    return inventory


def containers() -> dict[str, list[str]]:
    return {name: [container(host, name) for host in members] for name, members in GROUPS.items()}


def is_another_one(name: str, before: list[str]) -> bool:
    return all(container(host, name) not in ("", old) for host, old in zip(GROUPS[name], before, strict=True))


def answers(model: str) -> bool:
    return ask(model)[:2] == (200, REPLY)


def replicas_that_answered() -> set[str]:
    """By the counters of the engine itself."""
    program = (
        "import re,urllib.request as u;"
        "k=[l.split('=',1)[1].strip() for l in open('/etc/gpu-inference/instances/vllm/replicas/env') if l.startswith('VLLM_API_KEY=')][0];"
        "r=u.urlopen(u.Request('http://127.0.0.1:8090/metrics',headers={'Authorization':'Bearer '+k}),timeout=10).read().decode();"
        "print('\\n'.join(l for l in r.splitlines() if l.startswith('vllm:generation_tokens_total')))"
    )
    lines = sh(GATEWAY, f'python3 -c "{program}"').splitlines()
    return {line.split('engine="')[1].split('"')[0] for line in lines if float(line.rsplit(" ", 1)[1]) > 0}


def test_stages_and_replicas_serve_side_by_side_and_each_lives_for_itself(tmp_path: Path) -> None:
    inventory = with_the_gateway_as_a_node(tmp_path)
    docker("network", "connect", "--ip", ADDRESS, NETWORK, GATEWAY)
    site(inventory)
    assert [(model, answers(model)) for model in GROUPS] == [(model, True) for model in GROUPS]
    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(answers, ["replicas"] * 24)) == {True}
    assert replicas_that_answered() == {"0", "1", "2"}
    before = containers()
    for name, members in before.items():
        assert len({found.split()[1] for found in members}) == 1, f"{name} runs in different generations: {members}"

    assert site(inventory).count("changed=0") == 3
    assert containers() == before

    # A rank of each of two groups dies, on one host; the third one goes on.
    for name in ("staged", "replicas"):
        sh(ONE, f"docker kill vllm-{name}")
    wait("both are others and answer", lambda: all(is_another_one(name, before[name]) and answers(name) for name in ("staged", "replicas")))
    after = containers()
    assert after["big"] == before["big"]
    for name in ("staged", "replicas"):
        assert not set(after[name]) & set(before[name])
        assert len({found.split()[1] for found in after[name]}) == 1
    assert answers("big")

    done = playbook("-i", str(inventory), inference_models={"small": CHAT}, inference_multinode_services=[])
    assert done.returncode == 0, done.stdout[-6000:]
    for name, members in GROUPS.items():
        for host in members:
            assert hosts[host].run(f"docker inspect vllm-{name}").rc != 0
    assert answers("small")
    assert "gpu_inference_cluster" not in json.dumps([hosts[host].run("nft list tables").stdout for host in (ONE, TWO, GATEWAY)])
