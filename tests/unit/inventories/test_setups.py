# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Set-ups as people have them, from public reports and recipes of 2026: each is planned as its user wants, or refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.inventories.test_examples import inventory_of

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_unit import container_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan

SETUPS = Path(__file__).parents[2] / "setups"

#: Per set-up the services that run, as host, service, engine, GPUs, and a part of the image.
PLANNED: dict[str, list[tuple[str, str, str, str, str]]] = {
    "air-gapped": [
        ("box", "qwen", "vllm", "0", "registry.air:5000/vllm-openai@sha256:"),
        ("box", "hubbed", "vllm", "0", "registry.air:5000/vllm-openai@sha256:"),
        ("box", "asr", "vllm", "0", "registry.air:5000/vllm-openai@sha256:"),
    ],
    "deepseek-eight-h200": [("hgx", "dsv4", "vllm", "0,1,2,3,4,5,6,7", "v0.32.0")],
    "four-capabilities-rtx-4090": [("pc", name, "vllm", "0", "v0.32.0-cu129") for name in ("asr", "embed", "rerank", "chat")],
    "gemma-four-rtx-3090": [("rig", "gemma-4-31b", "vllm", "0,1,2,3", "v0.27.1")],
    "gpt-oss-two-rtx-pro-6000": [("ws", "gpt-oss-120b", "vllm", "0,1", "v0.32.0")],
    "lmcache-image": [("rig", "qwen", "vllm", "0,1", "lmcache/vllm-openai@sha256:")],
    "lora-adapters": [("pc", "chat", "vllm", "0", "v0.32.0")],
    "mig-h100": [("h100", "a", "vllm", "0:0", "v0.32.0"), ("h100", "b", "vllm", "0:1", "v0.32.0")],
    "mtp-dotted-flags": [("rig", "qwen3.6-27b", "vllm", "0,1", "v0.32.0")],
    "open-webui-in-front": [("box", "qwen", "vllm", "0", "v0.32.0")],
    "orin-nano-ollama": [("nano", "chat", "ollama", "0", "0.32.15"), ("nano", "embed", "ollama", "0", "0.32.15")],
    "pipeline-parallel-three-rtx-3090": [("rig", "q", "vllm", "0,1,2", "v0.32.0")],
    "proxy-private-ca": [("box", "qwen", "vllm", "0", "registry.corp:5000/vllm/vllm-openai:v0.32.0")],
    "qwen36-dgx-spark": [("spark", "qwen36", "vllm", "0", "26.05.post1-py3")],
    "tei-external": [],
    "thor-nvfp4": [("thor", "nemotron", "vllm", "0", "v0.32.0")],
    "two-replicas-one-host": [("rig", "q-a", "vllm", "0", "v0.32.0"), ("rig", "q-b", "vllm", "1", "v0.32.0")],
    "wsl2-rtx-3090": [("wsl", "qwen", "vllm", "0", "v0.32.0")],
}

#: Per set-up the variables that the user has to change, as written, and a part of the reason. All of them, and nothing else.
REFUSED: dict[str, list[tuple[str, str]]] = {
    "kv-offload-beyond-memory": [
        ("inference_models.qwen.engine_args.cpu-offload-gb (host rig)", "of which others ask for: qwen (kv-offloading-size) 48.0 GiB"),
    ],
    "glm-dotted-flags": [
        ("inference_models.c.engine_args.-tp", "use tensor_parallel_size"),
        ("inference_models.c.engine_args.tensor_parallel_size", "use tensor_parallel_size"),
    ],
    "prefill-decode": [
        ("inference_services[0].engine_args.kv-transfer-config (host d)", "kv_role kv_producer makes this engine one half of a pair"),
        ("inference_services[1].engine_args.kv-transfer-config (host d)", "kv_role kv_consumer makes this engine one half of a pair"),
    ],
    "sleep-mode": [
        ("inference_models.qwen.env.VLLM_SERVER_DEV_MODE", "endpoints that need no key"),
        (
            "inference_models.qwen.engine_args.cpu-offload-gb (host rig)",
            "qwen (cpu-offload-gb) 30.0 GiB does not fit: main memory has 57.6",
        ),
    ],
    "t4-and-gtx-1080": [("inference_services[1].model (host rig)", "compute capability 6.1, vLLM needs 7.5")],
    "two-sparks-flags-by-hand": [
        ("inference_services[0].container_extra_arguments[2] (host spark2)", "is not allowed"),
        ("inference_models.gemma.engine_args.nnodes (hosts spark1, spark2)", "over several hosts"),
        ("inference_services[0].engine_args.node-rank (host spark2)", "over several hosts"),
        ("inference_services[0].engine_args.headless (host spark2)", "over several hosts"),
    ],
    "two-sparks-flags-by-hand-b": [
        ("inference_models.gemma.engine_args.tensor-parallel-size", "use tensor_parallel_size"),
        ("inference_models.gemma.engine_args.nnodes (hosts spark1, spark2)", "over several hosts"),
        ("inference_services[0].engine_args.node-rank (host spark2)", "over several hosts"),
        ("inference_services[0].engine_args.headless (host spark2)", "over several hosts"),
    ],
    "two-sparks-flags-by-hand-c": [
        ("inference_models.gemma.engine_args.nnodes (hosts spark1, spark2)", "over several hosts"),
        ("inference_services[0].engine_args.node-rank (host spark2)", "over several hosts"),
        ("inference_services[0].engine_args.headless (host spark2)", "over several hosts"),
    ],
}


def plan_of(name: str) -> dict[str, Any]:
    return build_plan(inventory_of(SETUPS / f"{name}.yml"))


def file_of(plan: dict[str, Any], host: str, name: str) -> dict[str, Any]:
    """What vLLM reads."""
    (instance,) = [item for item in plan["hosts"][host]["vllm"] if item["name"] == name]
    config: dict[str, Any] = yaml.safe_load(container_unit(instance)["files"]["config.yaml"])
    return config


def test_each_setup_is_judged() -> None:
    assert {path.stem for path in SETUPS.glob("*.yml")} == {*PLANNED, *REFUSED}


@pytest.mark.parametrize("name", PLANNED)
def test_a_setup_is_planned_as_its_user_wants(name: str) -> None:
    rows = plan_of(name)["table"]
    found = [(row["host"], row["service"], row["engine"], row["gpu"]) for row in rows]
    assert found == [row[:4] for row in PLANNED[name]]
    assert [image in row["image"] for row, (*_, image) in zip(rows, PLANNED[name], strict=True)] == [True] * len(rows)


@pytest.mark.parametrize("name", REFUSED)
def test_a_setup_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(PlanError) as caught:
        plan_of(name)
    findings = caught.value.findings
    assert [finding.variable for finding in findings] == [variable for variable, _reason in REFUSED[name]]
    for finding, (_variable, reason) in zip(findings, REFUSED[name], strict=True):
        assert reason in finding.message


def test_dotted_flags_reach_vllm_as_written() -> None:
    config = file_of(plan_of("mtp-dotted-flags"), "rig", "qwen3.6-27b")
    assert config["speculative-config.method"] == "mtp"
    assert config["speculative-config.num_speculative_tokens"] == 3
    assert config["default-chat-template-kwargs"] == {"enable_thinking": False}


def test_short_forms_and_dotted_flags_reach_vllm_as_written() -> None:
    inventory = inventory_of(SETUPS / "glm-dotted-flags.yml")
    variables = inventory["hosts"]["pc"]["vars"]
    variables["inference_models"]["c"]["engine_args"] = {"-dp": 2}
    variables["inference_services"][2]["tensor_parallel_size"] = 1
    plan = build_plan(inventory)
    first, second, third = (file_of(plan, "pc", name) for name in "abc")
    assert {key: first[key] for key in first if key.startswith(("speculative", "opt"))} == {
        "speculative-config.method": "mtp",
        "speculative-config.num_speculative_tokens": 3,
        "optimization-level": 3,
    }
    assert second["compilation-config.pass_config.fuse_rope_kvcache"] == "True"
    assert third["data-parallel-size"] == 2
    assert [row["gpu"] for row in plan["table"]] == ["0", "0", "0,1"]


def test_what_a_container_needs_is_passed_on() -> None:
    plan = plan_of("gemma-four-rtx-3090")
    (instance,) = plan["hosts"]["rig"]["vllm"]
    unit = container_unit(instance)
    assert "--ipc=host" in unit["docker_arguments"]
    assert {"/models:/models:ro", "/var/cache/triton:/root/.triton/cache"} <= set(unit["docker_arguments"])
    assert unit["environment"]["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] == "1"
    config = file_of(plan, "rig", "gemma-4-31b")
    assert config["speculative-config"] == {"model": "/models/gemma-4-31b-it-assistant", "num_speculative_tokens": 2}
    assert config["tensor-parallel-size"] == 4
    (backends,) = [model["backends"] for model in plan_of("two-replicas-one-host")["gateway"]["models"]]
    assert len(backends) == 2


def test_a_mirrored_image_gets_the_audio_packages() -> None:
    plan = plan_of("air-gapped")
    packages = {instance["name"]: instance["image_packages"] for instance in plan["hosts"]["box"]["vllm"]}
    assert packages == {"qwen": [], "hubbed": [], "asr": ["vllm[audio]==0.32.0"]}
    assert plan["warnings"] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gemma-four-rtx-3090", "vLLM 0.27.1 is vulnerable"),
        ("lmcache-image", "say engine_version"),
        ("lmcache-image", "has compute capability 8.6, and its model's name speaks of FP8"),
        ("qwen36-dgx-spark", "vLLM 0.20.1 is vulnerable"),
    ],
)
def test_what_has_to_be_known_of_an_image_is_told(name: str, words: str) -> None:
    assert sum(words in warning for warning in plan_of(name)["warnings"]) == 1


def test_a_slice_of_a_large_gpu_gets_its_batch() -> None:
    plan = plan_of("mig-h100")
    assert file_of(plan, "h100", "a")["max-num-batched-tokens"] == 8192
    assert "max-num-batched-tokens" not in file_of(plan, "h100", "b")
