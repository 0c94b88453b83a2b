# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_unit import (
    container_unit,
    cpu_limit_mib,
    cpu_utilization,
    engine_config,
    image_layers,
)


def instance(**changes: Any) -> dict[str, Any]:
    return {
        "name": "chat",
        "model": "Qwen/Qwen3-8B",
        "served_model_names": ["chat"],
        "capability": "chat",
        "image": "vllm/vllm-openai:v0.32.0",
        "engine_version": "0.32.0",
        "image_has_entrypoint": True,
        "port": 8070,
        "device": "gpu",
        "gpus": ["GPU-1"],
        "gpu_access": "runtime",
        "gpu_memory_utilization": 0.38,
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, {"model": "Qwen/Qwen3-8B", "served-model-name": ["chat"], "gpu-memory-utilization": 0.38}, id="chat"),
        pytest.param({"capability": "embedding"}, {"runner": "pooling", "task": None}, id="embedding"),
        pytest.param({"capability": "rerank"}, {"runner": "pooling"}, id="rerank"),
        pytest.param({"capability": "transcription"}, {"runner": None, "task": None}, id="transcription"),
        pytest.param({"capability": "embedding", "engine_version": "0.9.2"}, {"runner": None, "task": "embed"}, id="old-pooling"),
        pytest.param({"engine_version": "0.10.1.1"}, {"shutdown-timeout": None, "disable-access-log-for-endpoints": None}, id="old-flags"),
        pytest.param({"stop_timeout": 90}, {"shutdown-timeout": 60}, id="drain-within-stop"),
        pytest.param({"stop_timeout": 10}, {"shutdown-timeout": 0}, id="no-drain"),
        pytest.param({"tensor_parallel_size": 2}, {"tensor-parallel-size": 2}, id="two-gpus"),
        pytest.param({"tensor_parallel_size": 1}, {"tensor-parallel-size": None}, id="one-gpu"),
        pytest.param({"device": "cpu"}, {"gpu-memory-utilization": None}, id="cpu-without-memory"),
        pytest.param({"kv_cache_memory_bytes": 1024}, {"kv-cache-memory-bytes": 1024}, id="kv-cache"),
        pytest.param({"engine_args": {"max_num_seqs": 8}}, {"max-num-seqs": 8}, id="underscores"),
        pytest.param({"engine_args": {"--max-num-seqs": 8}}, {"max-num-seqs": 8}, id="leading-dashes"),
        pytest.param(
            {"engine_args": {"enable-prefix-caching": False}},
            {"no-enable-prefix-caching": True, "enable-prefix-caching": None},
            id="false-is-spelled-out",
        ),
        pytest.param({"engine_args": {"disable-fastapi-docs": None}}, {"disable-fastapi-docs": None}, id="null-takes-ours-back"),
        pytest.param({"engine_args": {"limit-mm-per-prompt": {"image": 4}}}, {"limit-mm-per-prompt": {"image": 4}}, id="dict-stays-a-dict"),
    ],
)
def test_engine_config(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    config = engine_config(instance(**changes))
    assert {key: config.get(key) for key in expected} == expected


def test_gpus_are_handed_over_by_uuid() -> None:
    unit = container_unit(instance())
    assert "--runtime=nvidia" in unit["docker_arguments"]
    assert "--gpus" not in unit["docker_arguments"]
    assert unit["environment"]["NVIDIA_VISIBLE_DEVICES"] == "GPU-1"


def test_config_file_is_named_in_two_words() -> None:
    """vllm#43252: --config=FILE is ignored and another model is served."""
    assert container_unit(instance())["command"] == ["--config", "/etc/vllm/config.yaml"]
    without_entrypoint = container_unit(instance(image_has_entrypoint=False))
    assert without_entrypoint["command"] == ["vllm", "serve", "--config", "/etc/vllm/config.yaml"]


def test_keys_are_in_the_secret_environment_alone() -> None:
    unit = container_unit(instance(), api_key="engine-key-1", huggingface_token="hf-token-1")
    assert unit.pop("secret_environment") == {"VLLM_API_KEY": "engine-key-1", "HF_TOKEN": "hf-token-1"}
    assert "engine-key-1" not in repr(unit)
    assert "hf-token-1" not in repr(unit)


def test_local_model_is_mounted_read_only_and_gets_no_hub_token() -> None:
    unit = container_unit(instance(model="/srv/models/tiny-chat"), huggingface_token="hf-token-1")
    assert "type=bind,source=/srv/models/tiny-chat,target=/srv/models/tiny-chat,readonly" in unit["docker_arguments"]
    assert unit["secret_environment"] == {}


def test_local_model_below_a_mount_of_the_user_is_not_mounted_again() -> None:
    mounts = [{"source": "/data/models", "target": "/srv/models", "read_only": True}]
    arguments = container_unit(instance(model="/srv/models/tiny-chat", mounts=mounts))["docker_arguments"]
    assert [argument for argument in arguments if "/srv/models" in argument] == ["/data/models:/srv/models:ro"]


def test_port_is_published_on_loopback_only() -> None:
    arguments = container_unit(instance())["docker_arguments"]
    assert arguments[arguments.index("--publish") + 1] == "127.0.0.1:8070:8000"


@pytest.mark.parametrize(
    ("budget", "host", "limit", "utilization"),
    [
        pytest.param(1024, None, 4096, 0.25, id="small"),
        pytest.param(16384, None, 34816, 0.47, id="large"),
        pytest.param(16384, 24000.0, 34816, 0.682, id="limit-beyond-the-host"),
        pytest.param(16384, 256000.0, 34816, 0.47, id="limit-within-the-host"),
    ],
)
def test_a_cpu_engine_keeps_to_its_budget_below_its_limit(budget: int, host: float | None, limit: int, utilization: float) -> None:
    assert (cpu_limit_mib(budget), cpu_utilization(budget, host)) == (limit, utilization)


def test_host_memory_of_a_cpu_engine_is_limited() -> None:
    """The files that a start reads count as used for vLLM until the limit is reached, so there is room for them beside the budget."""
    unit = container_unit(instance(device="cpu", memory_mib=1024, gpu_memory_utilization=None))
    assert unit["memory_limit_mib"] == 4096
    assert "gpu-memory-utilization: 0.25\n" in unit["files"]["config.yaml"]
    assert "--memory" not in unit["docker_arguments"]
    planned = container_unit(instance(device="cpu", memory_mib=1024, gpu_memory_utilization=0.3))
    assert "gpu-memory-utilization: 0.3\n" in planned["files"]["config.yaml"]
    sized = container_unit(instance(device="cpu", memory_mib=1024, kv_cache_memory_bytes=2**20))
    assert "gpu-memory-utilization" not in sized["files"]["config.yaml"]
    assert "memory_limit_mib" not in container_unit(instance(memory_mib=4096))
    assert "memory_limit_mib" not in container_unit(instance(device="cpu"))


@pytest.mark.parametrize(
    ("changes", "locks"),
    [({}, ["GPU-1"]), ({"gpus": []}, ["gpu"]), ({"device": "cpu"}, [])],
)
def test_start_locks(changes: dict[str, Any], locks: list[str]) -> None:
    assert container_unit(instance(**changes))["locks"] == locks


def test_config_file_parses_back() -> None:
    with_dict = instance(engine_args={"override-generation-config": {"temperature": 0.7}})
    assert yaml.safe_load(container_unit(with_dict)["files"]["config.yaml"]) == engine_config(with_dict)


def test_layers() -> None:
    with_audio = instance(image_packages=["vllm[audio]==0.32.0"])
    layers = image_layers([with_audio, {**with_audio, "name": "other"}, instance()])
    assert [layer["packages"] for layer in layers] == [["vllm[audio]==0.32.0"]]
    assert layers[0]["proxy"] == {}
    (behind,) = image_layers([{**with_audio, "env": {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "", "A": "1"}}])
    assert behind["proxy"] == {"HTTPS_PROXY": "http://proxy:3128"}
    unit = container_unit(with_audio)
    assert unit["image"] == layers[0]["tag"]
    assert unit["pull"] == "never"
    assert unit["layer"] == layers[0]
    assert layers[0]["folder"] == "/var/lib/gpu-inference/images/" + unit["image"].partition(":")[2]
    elsewhere = container_unit(with_audio, data_dir="/srv", install_command="pip install")["layer"]
    assert (elsewhere["folder"][:12], elsewhere["install_command"]) == ("/srv/images/", "pip install")
    assert "layer" not in container_unit(instance())


def test_the_check_reads_the_engines_file_and_is_a_program() -> None:
    unit = container_unit(instance())
    assert unit["check"]["input"] in unit["files"]
    for program in (unit["check"]["command"][1], unit["download_command"][1]):
        compile(program, "program", "exec")


def test_an_image_without_the_parser_is_not_held_up() -> None:
    """As on this machine, which has no vLLM."""
    check = container_unit(instance())["check"]
    done = subprocess.run([sys.executable, *check["command"]], input="a: 1", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("not checked: ModuleNotFoundError: No module named 'vllm'")
