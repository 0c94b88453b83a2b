# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_hub import (
    TEXTS,
    WEIGHTS,
    Repository,
    download_command,
    repositories,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_unit import container_unit

MODEL = Repository("Qwen/Qwen3-8B", None, WEIGHTS)


def instance(**changes: Any) -> dict[str, Any]:
    return {"name": "chat", "model": "Qwen/Qwen3-8B", "image": "vllm/vllm-openai:v0.32.0", "port": 8070, **changes}


def with_arguments(**arguments: Any) -> dict[str, Any]:
    return instance(engine_args={key.replace("__", "."): value for key, value in arguments.items()})


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param(instance(), [MODEL], id="hub"),
        pytest.param(instance(revision="abc"), [Repository("Qwen/Qwen3-8B", "abc", WEIGHTS)], id="revision"),
        pytest.param(with_arguments(load_format="safetensors"), [MODEL], id="safetensors"),
        pytest.param(with_arguments(load_format="gguf"), [], id="other-format"),
        pytest.param(instance(model="/srv/models/x"), [], id="path"),
        pytest.param(instance(model="s3://bucket/x"), [], id="object-store"),
        pytest.param(
            with_arguments(download_dir="/cache"), [Repository("Qwen/Qwen3-8B", None, WEIGHTS, "/cache")], id="folder-of-the-weights"
        ),
        pytest.param(
            with_arguments(speculative_config={"model": "a/draft", "method": "eagle3", "revision": "r"}),
            [MODEL, Repository("a/draft", "r", WEIGHTS)],
            id="draft",
        ),
        pytest.param(
            with_arguments(speculative_config='{"model": "a/draft", "num_speculative_tokens": 3}'),
            [MODEL, Repository("a/draft", None, WEIGHTS)],
            id="draft-as-json",
        ),
        pytest.param(
            with_arguments(speculative_config__model="a/draft", speculative_config__method="eagle3"),
            [MODEL, Repository("a/draft", None, WEIGHTS)],
            id="draft-by-field",
        ),
        pytest.param(with_arguments(spec_model="a/draft"), [MODEL, Repository("a/draft", None, WEIGHTS)], id="draft-by-flag"),
        pytest.param(with_arguments(speculative_config={"model": "/models/draft"}), [MODEL], id="draft-on-disk"),
        pytest.param(with_arguments(speculative_config={"method": "mtp", "num_speculative_tokens": 1}), [MODEL], id="no-draft"),
        pytest.param(with_arguments(speculative_config={"model": "[ngram]"}), [MODEL], id="old-name-for-no-draft"),
        pytest.param(with_arguments(speculative_config={"model": "Qwen/Qwen3-8B"}), [MODEL], id="the-model-itself"),
        pytest.param(with_arguments(tokenizer="a/tokenizer"), [MODEL, Repository("a/tokenizer", None, TEXTS)], id="tokenizer"),
        pytest.param(
            with_arguments(tokenizer="a/tokenizer", tokenizer_revision="t"),
            [MODEL, Repository("a/tokenizer", "t", TEXTS)],
            id="tokenizer-revision",
        ),
        pytest.param(with_arguments(tokenizer="./tokenizer", tokenizer_mode="auto"), [MODEL], id="tokenizer-on-disk"),
        pytest.param(with_arguments(hf_config_path="a/config"), [MODEL, Repository("a/config", None, ("*.json", "*.py"))], id="config"),
        pytest.param(
            with_arguments(generation_config="a/generation"), [MODEL, Repository("a/generation", None, ("*.json",))], id="generation"
        ),
        pytest.param(with_arguments(generation_config="vllm"), [MODEL], id="no-generation"),
        pytest.param(with_arguments(lora_modules=["sql=a/sql", "x=/adapters/x"]), [MODEL, Repository("a/sql")], id="adapters"),
        pytest.param(with_arguments(lora_modules="sql=a/sql"), [MODEL, Repository("a/sql")], id="adapter"),
        pytest.param(with_arguments(lora_modules=[{"name": "sql", "path": "a/sql"}]), [MODEL, Repository("a/sql")], id="adapter-mapping"),
        pytest.param(with_arguments(lora_modules=['{"name": "sql", "path": "a/sql"}']), [MODEL, Repository("a/sql")], id="adapter-json"),
        pytest.param(with_arguments(default_mm_loras={"audio": "a/sound"}), [MODEL, Repository("a/sound")], id="adapters-of-media"),
        pytest.param(
            {**with_arguments(speculative_config={"model": "a/draft"}), "model": "/srv/models/x"},
            [Repository("a/draft", None, WEIGHTS)],
            id="a-draft-beside-a-path",
        ),
        pytest.param(
            with_arguments(speculative_config=5, lora_modules=[1, None], tokenizer=3, default_mm_loras=[2]), [MODEL], id="nonsense"
        ),
    ],
)
def test_what_an_engine_loads_from_the_hub(wanted: dict[str, Any], found: list[Repository]) -> None:
    assert repositories(wanted) == found


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        pytest.param(instance(), ["Qwen/Qwen3-8B"], id="hub"),
        pytest.param(instance(env={"HF_HUB_OFFLINE": "0"}), ["Qwen/Qwen3-8B"], id="online"),
        pytest.param(instance(env={"HF_HUB_OFFLINE": 1}), [], id="offline"),
        pytest.param(instance(env={"TRANSFORMERS_OFFLINE": "true"}), [], id="offline-too"),
        pytest.param(instance(env={"VLLM_USE_MODELSCOPE": True}), [], id="other-hub"),
        pytest.param(instance(model="/srv/models/x"), [], id="path"),
    ],
)
def test_it_is_fetched_before_the_gpu_is_locked(wanted: dict[str, Any], names: list[str]) -> None:
    unit = container_unit(wanted)
    assert [item["name"] for item in json.loads((unit["download_command"] or ["", "", "[]"])[2])] == names
    assert unit["download_entrypoint"] == ("python3" if names else None)


@pytest.mark.parametrize(
    ("wanted", "token"),
    [
        (instance(), True),
        (instance(model="/srv/models/x"), False),
        ({**with_arguments(lora_modules=["sql=a/sql"]), "model": "/srv/models/x"}, True),
    ],
)
def test_who_asks_the_hub_has_the_token(wanted: dict[str, Any], token: bool) -> None:
    assert ("HF_TOKEN" in container_unit(wanted, huggingface_token="hf_x")["secret_environment"]) is token


def test_the_command_is_a_program_and_what_to_fetch() -> None:
    command = download_command(instance(revision="abc"))
    assert command[0] == "-c"
    compile(command[1], "program", "exec")
    (wanted,) = json.loads(command[2])
    assert wanted == {"name": "Qwen/Qwen3-8B", "revision": "abc", "files": list(WEIGHTS), "folder": None}
