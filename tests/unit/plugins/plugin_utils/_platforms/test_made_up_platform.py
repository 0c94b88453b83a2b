# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A platform that does not exist, added to a copy of the plugins by its own file and its line in the registry, and by nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import made_up
from support.inventories import host, inventory, service, variables

PROGRAM = """
import json, sys
from ansible_collections.llmops.gpu_inference.plugins.filter.engines import FilterModule as Engines
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._init.inventory import Seen, first_inventory
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.groups import check_groups
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_models import ModelKeys
given = json.load(sys.stdin)
try:
    plan = build_plan(given["inventory"])
except PlanError as refused:
    print(json.dumps({"refused": [str(finding) for finding in refused.findings]}))
    sys.exit()
print(json.dumps({
    "plan": plan,
    "units": Engines().filters()["engine_units"](plan["hosts"]["node1"], {}, api_key="k" * 20),
    "groups": check_groups({"made_up": ["node1"], "gateways": ["node1"]}, ["node1"]).warnings,
    "first": first_inventory([Seen("node1", given["hardware"], {})], schema="s.json", file="i.yml").data,
    "schema": ModelKeys.schema(),
}))
"""
HARDWARE = {
    "platform": "made_up",
    "architecture": "x86_64",
    "memory_mib": 65536,
    "gpus": [{"index": 7, "uuid": "7", "name": "Made-up 1", "memory_mib": 40960, "compute_capability": "9.0"}],
}
#: The first is served by another engine elsewhere, the second by the engine that the platform prefers.
MODELS = {
    "chat": {"source": "qwen3:4b", "on_platform": {"made_up": {"source": "a/b", "engine": "vllm"}}},
    "other": {"source": "qwen3:4b", "image": "example/ollama:1.0"},
    "gguf": {"source": "someone/some-GGUF:Q4_K_M"},
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the collection with the platform."""
    own = Path(__file__).with_name("made_up_platform.py")
    return made_up.plugins_with(tmp_path_factory.mktemp("collections"), own, "_platforms", before="jetson", last="Cpu()")


def run(plugins: Path, *services: dict[str, Any]) -> dict[str, Any]:
    node = host("inference_nodes", "gateways", hardware=HARDWARE, inference_address="192.0.2.20")
    node["vars"].update(variables(*services, inference_models=MODELS))
    return made_up.run(plugins, PROGRAM, {"inventory": inventory(node1=node), "hardware": HARDWARE})


@pytest.fixture(scope="module")
def found(plugins: Path) -> dict[str, Any]:
    return run(plugins, service(memory="8GiB", gpus=[7]), service("other", 8099, memory="4GiB", device="cpu"))


def test_it_is_planned(found: dict[str, Any]) -> None:
    node = found["plan"]["hosts"]["node1"]
    assert (node["platform"], node["toolkit"]) == ("made_up", {"enabled": False, "platform": "made_up", "cdi": False})
    assert [(row["rule"].partition(" ")[2], row["image"], row["memory_left"]) for row in found["plan"]["table"]] == [
        ("on_platform.made_up.engine of the model is vllm", "example/vllm-made-up:1.0", 22.0),  # of 40 GiB a quarter is kept free
        ("Made-up prefers Ollama", "example/ollama:1.0", 53.6),
    ]
    assert any("the made-up driver is not known" in warning for warning in found["plan"]["warnings"])


def test_containers_get_its_devices(found: dict[str, Any]) -> None:
    on_gpu, on_cpu = found["units"]
    assert "--device=/dev/made-up7" in on_gpu["docker_arguments"]
    assert on_gpu["environment"]["MADE_UP"] == "7"
    assert not any("/dev/made-up" in argument for argument in on_cpu["docker_arguments"])
    assert on_cpu["environment"]["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_inventories_have_its_group_and_its_key(found: dict[str, Any]) -> None:
    assert any("the group made_up has hosts that are not in inference_nodes" in warning for warning in found["groups"])
    assert "made_up" in json.dumps(found["schema"])
    assert list(found["first"]["all"]["children"]["inference_nodes"]["children"]) == ["made_up"]


def test_what_has_no_image_is_told(plugins: Path) -> None:
    (refused,) = run(plugins, service("gguf", 8099, memory="4GiB"))["refused"]
    assert "there is no image of llama.cpp for Made-up" in refused
