# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._ollama import OllamaError
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.ollama_unit import container_unit, read_instances, server

DIGEST = "1343d82ebee3" + "0" * 52
GPU = "GPU-8a1f0c52-7d52-4a5e-9a0c-3c3f2c9f1f11"
SMALL: dict[str, Any] = {"name": "small", "image": "ollama/ollama:0.32.15", "port": 11434, "models": [{"tag": "qwen3:4b"}]}


def unit(**changes: Any) -> dict[str, Any]:
    (instance,) = read_instances([{**SMALL, **changes}])
    return container_unit(instance)


def test_a_whole_unit() -> None:
    assert unit(
        gpus=[GPU],
        models=[
            {"tag": "qwen3-vl:4b", "modalities": ["text", "image"], "max_model_len": 16384},
            {"tag": "nomic-embed-text", "capability": "embedding"},
        ],
        mounts=[{"source": "/srv/gguf", "target": "/gguf", "read_only": True}],
        container_extra_arguments=["--dns=192.0.2.1"],
        env={"OLLAMA_DEBUG": True},
    ) == {
        "kind": "ollama",
        "name": "small",
        "image": "ollama/ollama:0.32.15",
        "pull": "missing",
        "entrypoint": None,
        "command": ["serve"],
        "docker_arguments": [
            "--init",
            "--security-opt",
            "no-new-privileges",
            "--runtime=nvidia",
            "--publish",
            "127.0.0.1:11434:11434",
            "--volume",
            "/var/lib/gpu-inference/ollama/small:/root/.ollama",
            "--volume",
            "/srv/gguf:/gguf:ro",
            "--dns=192.0.2.1",
        ],
        "networks": ["inference_engines"],
        "files": {},
        "environment": {
            "OLLAMA_HOST": "0.0.0.0:11434",
            "OLLAMA_KEEP_ALIVE": "-1",
            "OLLAMA_NO_CLOUD": "1",
            "OLLAMA_CONTEXT_LENGTH": "16384",
            "NVIDIA_VISIBLE_DEVICES": GPU,
            "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
            "OLLAMA_DEBUG": "1",
        },
        "secret_environment": {},
        "locks": [GPU],
        "probe": {
            "base_url": "http://127.0.0.1:11434/v1",
            "health_path": "/api/version",
            "level": "answer",
            "capability": "chat",
            "model": "qwen3-vl:4b",
            "modalities": ["text", "image"],
            "dimension": None,
            "api_key_variable": None,
        },
        "start_timeout": 1800,
        "silence_timeout": 600,
        "stop_timeout": 60,
        "watchdog": 120,
        "drop_page_cache": False,
        "pull_models": ["qwen3-vl:4b", "nomic-embed-text:latest"],
        "afterwards": {
            "tasks": "models",
            "data": {
                "name": "small",
                "base_url": "http://127.0.0.1:11434",
                "device": "gpu",
                "models": [{"tag": "qwen3-vl:4b", "digest": None}, {"tag": "nomic-embed-text:latest", "digest": None}],
            },
        },
    }


FIVE = [{"tag": f"m{number}"} for number in range(5)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"OLLAMA_CONTEXT_LENGTH": "8192", "OLLAMA_MAX_LOADED_MODELS": None, "OLLAMA_NUM_PARALLEL": None, "JETSON_JETPACK": None}),
        ({"context_length": 4096, "models": [{"tag": "a", "max_model_len": 16384}]}, {"OLLAMA_CONTEXT_LENGTH": "4096"}),
        ({"keep_alive": "5m"}, {"OLLAMA_KEEP_ALIVE": "5m"}),
        ({"keep_alive": None}, {"OLLAMA_KEEP_ALIVE": "-1"}),
        ({"keep_alive": 0}, {"OLLAMA_KEEP_ALIVE": "0"}),
        ({"num_parallel": 4}, {"OLLAMA_NUM_PARALLEL": "4"}),
        ({"max_loaded_models": 2}, {"OLLAMA_MAX_LOADED_MODELS": "2"}),
        ({"models": FIVE, "gpus": [GPU]}, {"OLLAMA_MAX_LOADED_MODELS": "5"}),
        ({"models": FIVE, "gpus": [GPU, "GPU-2"]}, {"OLLAMA_MAX_LOADED_MODELS": None}),
        ({"models": FIVE, "gpus": ["a", "b"], "device": "cpu"}, {"OLLAMA_MAX_LOADED_MODELS": "5"}),
        ({"flash_attention": True}, {"OLLAMA_FLASH_ATTENTION": "1"}),
        ({"flash_attention": False, "kv_cache_type": "q8_0"}, {"OLLAMA_FLASH_ATTENTION": "0", "OLLAMA_KV_CACHE_TYPE": "q8_0"}),
        ({"gpu_access": "jetson", "jetpack": "6"}, {"JETSON_JETPACK": "6", "NVIDIA_VISIBLE_DEVICES": "all"}),
        ({"gpu_access": "jetson", "jetpack": "5.1.6"}, {"JETSON_JETPACK": "5"}),
        ({"gpu_access": "jetson", "jetpack": "7.2"}, {"JETSON_JETPACK": None}),
        ({"gpu_access": "runtime", "jetpack": "6"}, {"JETSON_JETPACK": None}),
        ({"device": "cpu", "gpu_access": "jetson", "jetpack": "6"}, {"JETSON_JETPACK": None, "NVIDIA_VISIBLE_DEVICES": "void"}),
        ({"gpu_access": "cdi", "gpus": [GPU]}, {"NVIDIA_VISIBLE_DEVICES": "void"}),
        ({"gpu_access": "none", "device": "cpu"}, {"NVIDIA_VISIBLE_DEVICES": None}),
        ({"gpu_access": "runtime"}, {"NVIDIA_VISIBLE_DEVICES": "all"}),
        (
            {"env": {"OLLAMA_KEEP_ALIVE": "1h", "HTTPS_PROXY": "http://proxy:3128"}},
            {"OLLAMA_KEEP_ALIVE": "1h", "HTTPS_PROXY": "http://proxy:3128"},
        ),
    ],
)
def test_environment(changes: dict[str, Any], expected: dict[str, str | None]) -> None:
    environment = unit(**changes)["environment"]
    assert {name: environment.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("changes", "arguments", "locks"),
    [
        ({"gpus": [GPU]}, ["--runtime=nvidia"], [GPU]),
        ({"gpu_access": "jetson"}, ["--runtime=nvidia"], ["gpu"]),
        ({"gpu_access": "cdi", "gpus": [GPU]}, ["--device", f"nvidia.com/gpu={GPU}"], [GPU]),
        ({"gpu_access": "cdi"}, ["--device", "nvidia.com/gpu=all"], ["gpu"]),
        ({"device": "cpu"}, [], []),
        ({"device": "cpu", "gpu_access": "cdi", "gpus": [GPU]}, [], []),
    ],
)
def test_gpu_access(changes: dict[str, Any], arguments: list[str], locks: list[str]) -> None:
    made = unit(**changes)
    before, after = made["docker_arguments"].index("no-new-privileges") + 1, made["docker_arguments"].index("--publish")
    assert made["docker_arguments"][before:after] == arguments
    assert made["locks"] == locks
    assert not any(argument.startswith("--gpus") for argument in made["docker_arguments"])


def test_an_image_without_entrypoint_gets_one() -> None:
    assert unit(image_has_entrypoint=False)["entrypoint"] == "ollama"


def test_servers() -> None:
    (instance,) = read_instances([{**SMALL, "device": "cpu", "models": [{"tag": "qwen3", "digest": DIGEST}]}])
    assert server(instance) == {
        "name": "small",
        "base_url": "http://127.0.0.1:11434",
        "device": "cpu",
        "models": [{"tag": "qwen3:latest", "digest": DIGEST}],
    }


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"models": []}, "models is empty"),
        ({"models": None}, "models is empty"),
        ({"models": [{"tag": "qwen3"}, {"tag": "library/Qwen3:latest"}]}, "more than once"),
        ({"models": [{"tag": ""}]}, "models[0]: tag is missing"),
        ({"models": [{"tag": "a", "digest": "sha256:xyz"}]}, "digest is 'sha256:xyz'"),
        ({"models": [{"tag": "a", "capability": "vision"}]}, "capability is 'vision'"),
        ({"models": [{"tag": "a", "quantisation": "q4"}]}, "has no key quantisation"),
        ({"image": None}, "image is missing"),
        ({"port": 0}, "port is 0"),
        ({"port": 70000}, "port is 70000"),
        ({"port": "http"}, "port is 'http'"),
        ({"name": "Small"}, "name is 'Small'"),
        ({"keepalive": "5m"}, "has no key keepalive"),
        ({"gpu_access": "legacy"}, "gpu_access is 'legacy'"),
        ({"kv_cache_type": "q2"}, "kv_cache_type is 'q2'"),
        ({"num_parallel": "many"}, "num_parallel is 'many'"),
        ({"flash_attention": "perhaps"}, "flash_attention is 'perhaps'"),
        ({"mounts": [{"source": "/a"}]}, "mounts[0]: target is missing"),
    ],
)
def test_bad_instances_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(OllamaError) as failure:
        read_instances([{**SMALL, **changes}])
    assert text in str(failure.value)
    assert "ollama_instances[0]" in str(failure.value)


def test_every_error_is_in_one_message() -> None:
    with pytest.raises(OllamaError) as failure:
        read_instances([{**SMALL, "port": 0}, {**SMALL, "name": "B"}, SMALL, SMALL])
    text = str(failure.value)
    assert "ollama_instances[0] small: port" in text
    assert "ollama_instances[1]: name is 'B'" in text
    assert "name small is used more than once" in text
    assert "port 11434 is used more than once" in text
