# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LoRA adapters as vLLM is told of them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_adapters import adapter_flags
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_unit import container_unit

ADAPTERS = {"a": "/adapters/a", "b": "org/b", "c": "/adapters/c"}
INSTANCE: dict[str, Any] = {"name": "chat", "model": "/models/chat", "image": "i", "port": 1}


def mounted(**changes: Any) -> list[str]:
    arguments = container_unit({**INSTANCE, **changes})["docker_arguments"]
    return [value.split(",")[1].removeprefix("source=") for flag, value in zip(arguments, arguments[1:]) if flag == "--mount"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, {"max-loras": 3}),
        ({"max-loras": 1}, {"max-loras": 1, "max-cpu-loras": 3}),
        ({"max-loras": "2", "max-cpu-loras": 2}, {"max-loras": 2}),
        ({"max-loras": 5}, {"max-loras": 5}),
        ({"max-cpu-loras": 2}, {"max-loras": 2}),
        ({"max-cpu-loras": 9}, {"max-loras": 3}),
    ],
)
def test_there_is_room_for_every_adapter_unless_the_user_says_less(arguments: dict[str, Any], expected: dict[str, int]) -> None:
    modules = ["a=/adapters/a", "b=org/b", "c=/adapters/c"]
    assert adapter_flags(ADAPTERS, arguments) == {"enable-lora": True, "lora-modules": modules, **expected}
    assert adapter_flags({}, arguments) == {}


def test_what_the_user_says_is_on_top() -> None:
    unit = container_unit({**INSTANCE, "adapters": ADAPTERS, "engine_args": {"max_loras": 2, "max_lora_rank": 64}})
    config = yaml.safe_load(unit["files"]["config.yaml"])
    assert {key: config[key] for key in config if "lora" in key} == {
        "enable-lora": True,
        "lora-modules": ["a=/adapters/a", "b=org/b", "c=/adapters/c"],
        "max-loras": 2,
        "max-cpu-loras": 3,
        "max-lora-rank": 64,
    }


def test_a_place_with_a_comma_is_written_as_json() -> None:
    assert adapter_flags({"a": "/x, y"}, {})["lora-modules"] == ['{"name": "a", "path": "/x, y"}']


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["/models/chat"]),
        ({"adapters": ADAPTERS}, ["/models/chat", "/adapters/a", "/adapters/c"]),
        ({"adapters": {"a": "/adapters/a", "again": "/adapters/a/"}}, ["/models/chat", "/adapters/a"]),
        ({"adapters": {"a": "/models/chat/adapter", "b": "/models/chats"}}, ["/models/chat", "/models/chats"]),
        ({"adapters": ADAPTERS, "mounts": [{"source": "/nfs", "target": "/adapters"}]}, ["/models/chat"]),
        ({"model": "org/model", "adapters": {"b": "org/b"}}, []),
    ],
)
def test_folders_are_mounted_once_at_the_same_place(changes: dict[str, Any], expected: list[str]) -> None:
    assert mounted(**changes) == expected


def test_an_adapter_of_the_hub_is_fetched_with_the_token() -> None:
    unit = container_unit({**INSTANCE, "adapters": ADAPTERS}, huggingface_token="hf_token")
    assert '"name": "org/b"' in unit["download_command"][2]
    assert "/adapters" not in unit["download_command"][2]
    assert unit["secret_environment"] == {"HF_TOKEN": "hf_token"}


def test_an_engine_without_adapters_is_told_what_it_always_was() -> None:
    with_none = container_unit({**INSTANCE, "adapters": {}})
    assert with_none == container_unit(INSTANCE)
    assert "further_models" not in with_none["probe"]
    assert "lora" not in with_none["files"]["config.yaml"]
