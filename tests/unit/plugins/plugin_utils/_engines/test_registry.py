# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the plan and the gateway take from the classes of all engines."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support.inventories import dgpu, one, service
from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.dialect import HOSTED_VLLM
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.registry import (
    ANY_SERVER,
    DEFAULT,
    ENGINES,
    EXTERNAL,
    INTERCHANGEABLE,
    PROVIDERS,
    dialect_of,
    engines_for,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.environment import RESERVED_ENV
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.model import CAPABILITIES
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan

GATEWAY = sorted((ROOT / "plugins/plugin_utils/_gateway").glob("*.py"))


@pytest.mark.parametrize(
    ("server", "health_path", "own"),
    [
        ("vllm", "/health", {}),
        ("ollama", "/", {"chat": "ollama_chat"}),
        ("llama_cpp", "/health", {}),
        ("openai", "", {}),
        ("tei", "/health", {"rerank": "huggingface"}),
        ("sglang", "", {}),
    ],
)
def test_how_the_gateway_speaks(server: str, health_path: str, own: dict[str, str]) -> None:
    dialect = dialect_of(server)
    assert dialect.health_path == health_path
    assert {capability: dialect.provider(capability).name for capability in CAPABILITIES} == {
        **dict.fromkeys(CAPABILITIES, HOSTED_VLLM.name),
        **own,
    }


@pytest.mark.parametrize(
    ("provider", "at_root", "bearer"),
    [
        ("hosted_vllm", False, True),
        ("openai", False, True),
        ("ollama_chat", True, True),
        ("ollama", True, False),
        ("huggingface", True, True),
    ],
)
def test_providers(provider: str, at_root: bool, bearer: bool) -> None:
    assert (PROVIDERS[provider].at_root, PROVIDERS[provider].bearer) == (at_root, bearer)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_has_its_own_way_only_for_what_it_serves(name: str) -> None:
    assert set(ENGINES[name].dialect.own) <= ENGINES[name].capabilities


def test_external_endpoints_are_any_server_or_an_engine() -> None:
    assert set(EXTERNAL) == {*INTERCHANGEABLE, ANY_SERVER, "tei"}
    assert DEFAULT in ENGINES


@pytest.mark.parametrize(
    ("capability", "engines"), [("chat", ["vllm", "ollama", "llama_cpp"]), ("rerank", ["vllm"]), ("transcription", ["vllm"]), ("video", [])]
)
def test_engines_for(capability: str, engines: list[str]) -> None:
    assert engines_for(capability) == engines


@pytest.mark.parametrize(
    "variable",
    [
        "VLLM_PORT",
        "VLLM_API_KEY",
        "VLLM_SERVER_DEV_MODE",
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "NVIDIA_VISIBLE_DEVICES",
        "CUDA_VISIBLE_DEVICES",
        "OLLAMA_HOST",
        "OLLAMA_MODELS",
        "LLAMA_API_KEY",
        "LLAMA_ARG_MODEL",
    ],
)
def test_variables_of_an_engine_are_reserved_with_a_remedy(variable: str) -> None:
    """Of every engine, whichever serves the model."""
    with pytest.raises(PlanError) as refused:
        build_plan(one(service(env={variable: "x"}), hardware=dgpu()))
    (finding,) = refused.value.findings
    assert f"inference_services[0].env.{variable} (host node1): is reserved: " in str(finding)
    assert RESERVED_ENV[variable] in str(finding)


@pytest.mark.parametrize("path", GATEWAY, ids=lambda path: path.stem)
def test_the_gateway_names_no_engine(path: Path) -> None:
    """Else a new engine would be an edit there."""
    texts = {node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)}
    assert not texts & {*EXTERNAL, *PROVIDERS}
