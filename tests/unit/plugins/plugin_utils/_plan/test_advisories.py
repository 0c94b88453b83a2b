# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.inventories import dgpu, one, service

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.ollama import IMAGE as OLLAMA_IMAGE
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_images import VLLM_VERSION
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.advisories import (
    ADVISORIES,
    LITELLM,
    OLLAMA,
    TOOLKIT,
    VLLM,
    known,
    vulnerable,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.images import (
    LITELLM_IMAGE,
    version_in,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

ROOT = Path(__file__).parents[5]


@pytest.mark.parametrize(
    ("program", "version", "first"),
    [
        (VLLM, "0.8.4", "GHSA-4r2x-xpjr-7cvv"),
        (VLLM, "0.14.0", "GHSA-4r2x-xpjr-7cvv"),
        (VLLM, "v0.14.1", "CVE-2026-27893"),
        (VLLM, "0.31.0", "PYSEC-2026-4349"),
        (VLLM, "0.20.1.post2", "CVE-2026-41523"),
        (LITELLM, "1.82.7", "BerriAI/litellm#24512"),
        (LITELLM, "1.83.7-stable", "CVE-2026-40217"),
        (OLLAMA, "0.17.0", "CVE-2026-7482"),
        (TOOLKIT, "1.19.0", "CVE-2026-24260"),
    ],
)
def test_a_version_in_the_range_of_an_advisory_is_known(program: str, version: str, first: str) -> None:
    assert known(program, version)[0].identity == first
    told = vulnerable(program, version) or ""
    assert told.startswith(f"{program} {version.lstrip('v')} is vulnerable: ")
    assert first in told


@pytest.mark.parametrize("version", [None, "", "latest", "0.32.0", "1.0"])
def test_of_others_nothing_is_said(version: str | None) -> None:
    assert vulnerable(VLLM, version) is None


def test_a_message_names_the_worst_how_many_more_and_what_mends_all() -> None:
    assert vulnerable(OLLAMA, "0.12.10") == (
        "Ollama 0.12.10 is vulnerable: a model file reads the server's memory (CVE-2026-7482), and 1 more (CVE-2025-66960); "
        "0.17.1 and newer have the fix"
    )


def test_each_range_is_one() -> None:
    assert [item for item in ADVISORIES if not item.introduced < item.fixed] == []
    assert len({item.identity for item in ADVISORIES}) == len(ADVISORIES)


def test_what_this_collection_pins_is_in_no_range() -> None:
    pins = ((VLLM, VLLM_VERSION), (OLLAMA, version_in(OLLAMA_IMAGE)), (LITELLM, version_in(LITELLM_IMAGE)))
    assert [(program, version, known(program, version)) for program, version in pins if version is None or known(program, version)] == []


def test_the_role_of_the_toolkit_refuses_what_is_vulnerable() -> None:
    defaults = yaml.safe_load((ROOT / "roles/nvidia_container_toolkit/defaults/main.yml").read_text(encoding="utf-8"))
    assert known(TOOLKIT, defaults["nvidia_container_toolkit_minimum_version"]) == []


def test_a_plan_warns_of_each_version_that_the_user_named() -> None:
    inventory = one(
        service(memory="8GiB"),
        service("small", 11434, memory="4GiB"),
        service("mirrored", 8072, memory="4GiB"),
        hardware=dgpu(),
        inference_models={
            "chat": {"source": "a/b", "image": "vllm/vllm-openai:v0.30.0"},
            "small": {"source": "qwen3:4b"},
            "mirrored": {"source": "a/c", "image": f"registry.corp/vllm-openai@sha256:{'0' * 64}", "engine_version": "0.31.0"},
        },
        inference_images={"ollama": "registry.corp/ollama:0.12.3", "litellm": "registry.corp/litellm:v1.83.0-stable"},
    )
    warnings = build_plan(inventory)["warnings"]
    assert [warning.partition(" is vulnerable")[0].partition(" = ") for warning in warnings if "is vulnerable" in warning] == [
        ("inference_models.chat.image", " = ", "vllm/vllm-openai:v0.30.0: vLLM 0.30.0"),
        ("inference_images.ollama", " = ", "registry.corp/ollama:0.12.3: Ollama 0.12.3"),
        ("inference_models.mirrored.image", " = ", f"registry.corp/vllm-openai@sha256:{'0' * 64}: vLLM 0.31.0"),
        ("inference_images.litellm", " = ", "registry.corp/litellm:v1.83.0-stable: LiteLLM 1.83.0"),
    ]
