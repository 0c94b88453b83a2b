# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An upgrade of the collection restarts no engine without need: what makes its container has the hash that it had.

The hashes are recorded. Where a change has to reach running containers, record the new one and say in the changelog fragment that these
engines restart once.
"""

from __future__ import annotations

from typing import Any

import pytest
from support.inventories import dgpu, one, service

from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import CONTAINER_KEYS, LAUNCHER_KEYS, want
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines import ollama_unit, vllm_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.units import engine_units
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

VLLM: dict[str, Any] = {
    "name": "chat",
    "model": "Qwen/Qwen3-8B",
    "served_model_names": ["chat", "Qwen/Qwen3-8B"],
    "capability": "chat",
    "image": "vllm/vllm-openai:v0.32.0",
    "engine_version": "0.32.0",
    "image_has_entrypoint": True,
    "port": 8070,
    "device": "gpu",
    "gpus": ["GPU-1"],
    "gpu_access": "runtime",
    "gpu_memory_utilization": 0.38,
    "max_model_len": 8192,
    "memory_mib": 12288,
    "engine_args": {"max-num-seqs": 8},
    "env": {"A": "1"},
    "networks": ["inference_engines"],
}
OLLAMA: dict[str, Any] = {
    "name": "11434",
    "image": "ollama/ollama:0.32.15",
    "port": 11434,
    "models": [{"tag": "qwen3:4b"}],
    "gpus": ["GPU-1"],
}


def config_hash(unit: dict[str, Any]) -> str:
    return want({**dict.fromkeys(CONTAINER_KEYS + LAUNCHER_KEYS), **unit}).config_hash[:16]


@pytest.mark.parametrize(
    ("changes", "recorded"),
    [
        pytest.param({}, "247177a4c1c3d633", id="gpu"),
        pytest.param({"container_extra_arguments": ["--ulimit", "memlock=-1:-1"]}, "f12bd9932325bcd7", id="gpu-with-extra-arguments"),
        # Room for the page cache; 67222015581ef12c before.
        pytest.param({"device": "cpu", "gpus": [], "gpu_memory_utilization": None}, "4a3fcdf6d70ffb08", id="cpu"),
    ],
)
def test_vllm(changes: dict[str, Any], recorded: str) -> None:
    assert config_hash(vllm_unit.container_unit({**VLLM, **changes}, api_key="k" * 16)) == recorded


def test_ollama() -> None:
    assert config_hash(ollama_unit.container_unit(ollama_unit.read_instance(OLLAMA))) == "729d76f6f032ede1"


@pytest.mark.parametrize(
    ("model", "device", "recorded"),
    [
        pytest.param({"source": "/srv/models/x.gguf"}, "gpu", "2c85497cb579e402", id="llama_cpp"),
        pytest.param({"source": "o/x-GGUF:Q4_K_M"}, "cpu", "9a98e507c3bc6e3f", id="llama_cpp-on-cpu"),
        pytest.param(
            {"engine": "container", "image": "a/b:1", "source": "/srv/q", "key_variable": "API_KEY"},
            "gpu",
            "42d031970ee1a149",
            id="container",
        ),
        pytest.param(
            {"engine": "container", "image": "a/b:1", "source": "o/q", "speaks": "tei", "capability": "rerank"},
            "cpu",
            "4653727268c74611",
            id="tei",
        ),
    ],
)
def test_engines_that_only_a_plan_has(model: dict[str, Any], device: str, recorded: str) -> None:
    plan = build_plan(one(service(memory="4GiB", device=device), hardware=dgpu(), inference_models={"chat": model}))
    (unit,) = engine_units(plan["hosts"]["node1"], api_key="k" * 16, huggingface_token="h" * 16)
    assert config_hash(unit) == recorded
