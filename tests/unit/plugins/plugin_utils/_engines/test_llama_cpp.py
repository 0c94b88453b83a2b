# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""llama.cpp in the plan, and its units. What the server does with them was measured, see llama_cpp.py."""

from __future__ import annotations

from typing import Any

import pytest
from support.inventories import cpu, dgpu, gpu, jetson, one, service, spark

from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_signs import signs_of
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launch_rules import activity
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import CONTAINER_KEYS, LAUNCHER_KEYS, want
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.choice import source_kind
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.units import engine_units
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan

FILE = "/srv/models/small.gguf"
HUB = "ggml-org/Qwen3-4B-GGUF:Q4_K_M"


def plan(source: str = FILE, hardware: dict[str, Any] | None = None, model: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    models = {"chat": {"source": source, **(model or {})}}
    return build_plan(one(service(**{"memory": "4GiB", **changes}), hardware=hardware or dgpu(), inference_models=models))


def unit(source: str = FILE, hardware: dict[str, Any] | None = None, model: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    (found,) = engine_units(plan(source, hardware, model, **changes)["hosts"]["node1"], {}, api_key="k" * 20, huggingface_token="hf_token")
    return found


def refused(*arguments: Any, **changes: Any) -> str:
    with pytest.raises(PlanError) as found:
        plan(*arguments, **changes)
    return "\n".join(str(finding) for finding in found.value.findings)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (FILE, "gguf"),
        ("/srv/models/SMALL.GGUF", "gguf"),
        ("ggml-org/Qwen3-4B-GGUF", "gguf"),
        (HUB, "gguf"),
        ("google/gemma-4-31B-it-qat-q4_0-gguf", "gguf"),
        ("hf.co/bartowski/Qwen3-GGUF:Q4_K_M", "ollama"),
        ("/srv/models/gguf", "path"),
        ("/srv/gguf/model", "path"),
        ("Qwen/Qwen3-8B", "hub"),
        ("gguf-org/Qwen3-8B", "hub"),
        ("qwen3:4b", "ollama"),
        ("someone/gguf/x", "hub"),
    ],
)
def test_what_is_a_gguf(source: str, kind: str) -> None:
    assert source_kind(source) == kind


@pytest.mark.parametrize(
    ("source", "model", "hardware", "engine"),
    [
        (FILE, {}, dgpu(), "llama_cpp"),
        (HUB, {}, dgpu(), "llama_cpp"),
        (HUB, {}, cpu(), "llama_cpp"),
        (FILE, {"capability": "embedding"}, cpu(), "llama_cpp"),
        (FILE, {"engine": "vllm"}, dgpu(), "vllm"),
        (HUB, {"engine": "ollama"}, dgpu(), "ollama"),
        ("hf.co/bartowski/Qwen3-GGUF:Q4_K_M", {}, dgpu(), "ollama"),
        ("Qwen/Qwen3-8B", {}, dgpu(), "vllm"),
    ],
)
def test_who_serves_a_gguf(source: str, model: dict[str, Any], hardware: dict[str, Any], engine: str) -> None:
    assert [row["engine"] for row in plan(source, hardware, model)["table"]] == [engine]


def test_the_table_says_why() -> None:
    assert plan()["table"][0]["rule"] == "the source is a GGUF"


@pytest.mark.parametrize(("forced", "engine"), [("llama_cpp", "llama_cpp"), ("vllm", "vllm")])
def test_an_engine_that_is_forced_may_read_the_file(forced: str, engine: str) -> None:
    found = build_plan(one(service(memory="4GiB"), hardware=dgpu(), inference_models={"chat": {"source": FILE}}, inference_engine=forced))
    assert found["table"][0]["engine"] == engine


@pytest.mark.parametrize(
    ("hardware", "image"),
    [
        (cpu(), "ghcr.io/ggml-org/llama.cpp:server-v0.7.0"),
        (dgpu(), "ghcr.io/ggml-org/llama.cpp:server-cuda-v0.7.0"),
        (spark(), "ghcr.io/ggml-org/llama.cpp:server-cuda13-v0.7.0"),
        (jetson("38.2.0"), "ghcr.io/nvidia-ai-iot/llama_cpp:r38.2.arm64-sbsa-cu130-24.04"),
    ],
)
def test_images(hardware: dict[str, Any], image: str) -> None:
    assert unit(FILE, hardware)["image"] == image


def test_a_jetson_without_an_image_says_what_to_do() -> None:
    told = refused(FILE, jetson())
    assert "inference_images.llama_cpp.jetson" in told
    assert "name one, such as a build of ghcr.io/nvidia-ai-iot/llama_cpp" in told


@pytest.mark.parametrize(("driver", "hardware", "least"), [("520.1", dgpu(), 525), ("570.1", spark(), 580)])
def test_old_drivers(driver: str, hardware: dict[str, Any], least: int) -> None:
    old = {**hardware, "driver": {**hardware["driver"], "version": driver}}
    assert f"needs the NVIDIA driver {least} or newer, the host has {driver}" in refused(FILE, old)


def test_a_whole_unit() -> None:
    found = unit(hardware=dgpu(gpu(0)), max_model_len=4096, env={"LLAMA_ARG_N_PARALLEL": 2})
    assert found.pop("memory_limit_mib") > 8192
    assert found == {
        "kind": "llama_cpp",
        "name": "chat",
        "image": "ghcr.io/ggml-org/llama.cpp:server-cuda-v0.7.0",
        "pull": "missing",
        "entrypoint": None,
        "docker_arguments": [
            "--init",
            "--security-opt",
            "no-new-privileges",
            "--cap-drop",
            "ALL",
            "--cap-add",
            "DAC_OVERRIDE",
            "--publish",
            "127.0.0.1:8070:8080",
            "--mount",
            f"type=bind,source={FILE},target={FILE},readonly",
            "--runtime=nvidia",
        ],
        "networks": ["inference_engines"],
        "environment": {
            "LLAMA_ARG_HOST": "0.0.0.0",
            "LLAMA_ARG_PORT": "8080",
            "LLAMA_ARG_ALIAS": "chat",
            "LLAMA_ARG_ENDPOINT_METRICS": "1",
            "LLAMA_ARG_N_PARALLEL": "2",
            "LLAMA_ARG_CTX_SIZE": "8192",
            "LLAMA_ARG_N_GPU_LAYERS": "999",
            "LLAMA_ARG_CACHE_RAM": "1024",
            "LLAMA_ARG_SSE_PING_INTERVAL": "2",
            "LLAMA_ARG_MODEL": FILE,
            "NVIDIA_VISIBLE_DEVICES": "GPU-00000000",
            "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        },
        "secret_environment": {"LLAMA_API_KEY": "k" * 20},
        "locks": ["GPU-00000000"],
        "probe": {
            "base_url": "http://127.0.0.1:8070/v1",
            "health_path": "/health",
            "level": "answer",
            "capability": "chat",
            "model": "chat",
            "modalities": ["text"],
            "dimension": None,
            "api_key_variable": "LLAMA_API_KEY",
        },
        "start_timeout": 1800,
        "silence_timeout": 600,
        "stop_timeout": 60,
        "watchdog": 120,
    }
    assert "k" * 20 not in want({**dict.fromkeys(CONTAINER_KEYS + LAUNCHER_KEYS), **found}).files["service.json"]


def test_a_model_of_the_hub_goes_into_its_cache() -> None:
    found = unit(HUB)
    assert found["environment"]["LLAMA_ARG_HF_REPO"] == HUB
    assert "LLAMA_ARG_MODEL" not in found["environment"]
    assert found["secret_environment"]["HF_TOKEN"] == "hf_token"
    assert "/var/lib/gpu-inference/huggingface:/root/.cache/huggingface" in found["docker_arguments"]


def test_on_the_cpu_it_has_what_the_user_grants() -> None:
    found = unit(FILE, cpu(), memory="2GiB")
    assert (found["memory_limit_mib"], found["locks"]) == (2048, [])
    assert found["environment"]["LLAMA_ARG_N_GPU_LAYERS"] == "0"
    assert found["environment"]["LLAMA_ARG_CACHE_RAM"] == "512"


def test_a_text_to_embed_fits_into_one_batch() -> None:
    found = unit(FILE, cpu(), {"capability": "embedding", "dimension": 384}, max_model_len=2048)
    environment = found["environment"]
    assert [environment[f"LLAMA_ARG_{name}"] for name in ("EMBEDDINGS", "BATCH", "UBATCH", "CTX_SIZE")] == ["1", "2048", "2048", "2048"]
    assert found["probe"]["dimension"] == 384


def test_a_folder_that_holds_the_file_is_enough() -> None:
    arguments = unit(mounts=[{"source": "/nfs/models", "target": "/srv/models"}])["docker_arguments"]
    assert "/nfs/models:/srv/models:ro" in arguments
    assert "--mount" not in arguments


@pytest.mark.parametrize(
    ("model", "changes", "text"),
    [
        ({"engine_args": {"ctx-size": 1}}, {}, "llama.cpp takes its settings from env"),
        ({"revision": "main"}, {}, "llama.cpp takes the newest of a repository"),
        ({"env": {"LLAMA_ARG_CTX_SIZE": 1}}, {}, "use max_model_len"),
        ({"env": {"LLAMA_API_KEY": "x"}}, {}, "engine keys are generated"),
        ({"engine": "llama_cpp", "capability": "rerank"}, {}, "llama.cpp has no rerank"),
        ({}, {"name": "a" * 54}, "has more than 53 characters: the gateway asks for llama_cpp-NAME"),
        ({}, {"tensor_parallel_size": 2, "gpus": [0]}, "is an engine setting of vLLM; llama.cpp divides a model"),
    ],
)
def test_what_is_refused(model: dict[str, Any], changes: dict[str, Any], text: str) -> None:
    assert text in refused(FILE, dgpu(), model, **changes)


def test_another_source_for_it_is_refused() -> None:
    with pytest.raises(PlanError) as found:
        build_plan(one(service(memory="4GiB"), hardware=dgpu(), inference_models={"chat": {"source": "a/b"}}, inference_engine="llama_cpp"))
    assert "which needs a GGUF" in str(found.value)


def test_the_gateway_asks_it_as_any_openai_server() -> None:
    found = plan()
    (route,) = [entry for entry in build_config(found["gateway"], "node1")["model_list"] if entry["model_name"] == "chat"]
    assert route["litellm_params"]["model"] == "hosted_vllm/chat"
    assert route["litellm_params"]["api_base"] == "http://llama_cpp-chat:8080/v1"


def test_its_counters_tell_that_it_works() -> None:
    lines = ["# HELP llamacpp:prompt_tokens_total x", "llamacpp:prompt_tokens_total 5", "llamacpp:tokens_predicted_total 7"]
    metrics = "\n".join([*lines, "llamacpp:requests_processing 1", ""])
    assert activity(metrics, signs_of("llama_cpp").counted) == 12.0


@pytest.mark.parametrize(
    ("source", "mounted"),
    [
        (FILE, FILE),
        ("/srv/models/q-00001-of-00003.gguf", "/srv/models"),
        ("/srv/models/Q-00001-OF-00003.GGUF", "/srv/models"),
        ("/srv/models/q-1-of-3.gguf", "/srv/models/q-1-of-3.gguf"),
    ],
)
def test_a_model_in_several_files_is_there_as_a_whole(source: str, mounted: str) -> None:
    found = unit(source)
    assert f"type=bind,source={mounted},target={mounted},readonly" in found["docker_arguments"]
    assert found["environment"]["LLAMA_ARG_MODEL"] == source
