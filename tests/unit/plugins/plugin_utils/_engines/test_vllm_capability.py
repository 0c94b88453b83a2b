# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from support.inventories import dgpu, gpu, jetson, one, service

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_capability import capability_doubt, capability_troubles
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan


@pytest.mark.parametrize(
    ("arguments", "capability", "key", "words"),
    [
        ({"dtype": "bfloat16"}, (7, 5), "dtype", "bfloat16 needs 8.0; write half"),
        ({"dtype": "BFloat16"}, (7, 5), "dtype", "needs 8.0"),
        ({"dtype": "bfloat16"}, (8, 0), None, ""),
        ({"dtype": "half"}, (7, 5), None, ""),
        ({"dtype": "auto"}, (7, 5), None, ""),
        ({}, (7, 5), None, ""),
        ({"quantization": "mxfp4"}, (7, 5), "quantization", "mxfp4 needs 8.0"),
        ({"quantization": "modelopt"}, (7, 5), "quantization", "modelopt needs 8.0"),
        ({"quantization": "fp_quant"}, (9, 0), "quantization", "fp_quant needs 10.0"),
        ({"quantization": "nvfp4_per_token"}, (12, 0), "quantization", "needs 10.0 or 10.3"),
        ({"quantization": "nvfp4_per_token"}, (10, 3), None, ""),
        ({"quantization": "awq_marlin"}, (7, 5), None, ""),
        ({"quantization": "gptq_marlin"}, (7, 5), None, ""),
        ({"quantization": "fp8"}, (7, 5), None, ""),
        ({"quantization": "modelopt_fp4"}, (7, 5), None, ""),
        ({"quantization": "modelopt_fp4"}, (11, 0), None, ""),
        ({"quantization": "of_tomorrow"}, (7, 5), None, ""),
        ({"kv-cache-dtype": "fp8"}, (7, 5), "kv-cache-dtype", "fp8 needs 8.0; leave it out"),
        ({"kv-cache-dtype": "fp8_e4m3"}, (8, 6), None, ""),
        ({"kv-cache-dtype": "fp8", "attention-backend": "triton_attn"}, (8, 6), "kv-cache-dtype", "needs 8.9"),
        ({"kv-cache-dtype": "fp8", "attention-backend": "TRITON_ATTN"}, (8, 9), None, ""),
        ({"kv-cache-dtype": "bfloat16"}, (7, 5), "kv-cache-dtype", "bfloat16 needs 8.0"),
        ({"kv-cache-dtype": "auto"}, (7, 5), None, ""),
        ({"attention-backend": "FLASH_ATTN"}, (7, 5), "attention-backend", "FLASH_ATTN runs on 8.0 and newer"),
        ({"attention-backend": "flashinfer"}, (7, 5), "attention-backend", "runs on 8.0 to 12.1"),
        ({"attention-config": {"backend": "CUTLASS_MLA"}}, (9, 0), "attention-config", "runs on 10.x"),
        ({"attention-config.backend": "FLASHMLA"}, (12, 0), "attention-config.backend", "runs on 9.0 to 10.9"),
        ({"attention-backend": "TRITON_ATTN"}, (7, 5), None, ""),
    ],
)
def test_what_a_gpu_cannot_do(arguments: dict[str, Any], capability: tuple[int, int], key: str | None, words: str) -> None:
    found = list(capability_troubles(arguments, capability))
    assert [name for name, _message in found] == ([key] if key else [])
    assert words in "".join(message for _name, message in found)


@pytest.mark.parametrize(
    ("source", "arguments", "capability", "words"),
    [
        ("Qwen/Qwen3-8B-FP8", {}, (8, 6), "FP8, with which GPUs compute from 8.9"),
        ("/models/qwen3-8b-fp8/", {}, (8, 0), "FP8"),
        ("Qwen/Qwen3-8B-FP8", {}, (8, 9), None),
        ("Qwen/Qwen3-8B-FP8", {"quantization": "fp8"}, (8, 6), None),
        ("nvidia/Qwen3-30B-A3B-NVFP4", {}, (9, 0), "FP4, with which GPUs compute from 10.0"),
        ("nvidia/Qwen3-30B-A3B-NVFP4", {}, (11, 0), None),
        ("nvidia/Llama-3.1-8B-Instruct-FP8", {}, (7, 5), "the engine will not start"),
        ("openai/gpt-oss-20b", {}, (7, 5), "the engine will not start"),
        ("openai/gpt-oss-20b", {}, (8, 6), None),
        ("a/b-MXFP4", {}, (7, 5), "MXFP4"),
        ("Qwen/Qwen3-4B-AWQ", {}, (7, 5), None),
        ("FP8-lab/model", {}, (8, 6), None),
        ("Qwen/Qwen3-8B", {}, (7, 5), None),
    ],
)
def test_what_a_name_makes_one_expect(source: str, arguments: dict[str, Any], capability: tuple[int, int], words: str | None) -> None:
    doubt = capability_doubt(source, arguments, capability)
    assert (doubt is None) if words is None else (words in (doubt or ""))


T4 = gpu(0, name="Tesla T4", compute_capability="7.5", memory_mib=15360)
BF16 = {"chat": {"source": "a/b", "engine_args": {"dtype": "bfloat16"}}}


def test_the_plan_names_the_variable_the_gpu_and_what_to_write() -> None:
    with pytest.raises(PlanError) as caught:
        build_plan(one(service(memory=0.5), hardware=dgpu(T4), inference_models=BF16))
    (finding,) = caught.value.findings
    assert str(finding) == (
        'inference_models.chat.engine_args.dtype (host node1) = "bfloat16": GPU 0 (Tesla T4) has compute capability 7.5; '
        "bfloat16 needs 8.0; write half, or leave it out, and vLLM takes float16"
    )


def test_the_weakest_gpu_counts_and_only_those_of_the_service() -> None:
    hardware = dgpu(T4, gpu(1))
    plan = build_plan(one(service(memory=0.5, gpus=[1]), hardware=hardware, inference_models=BF16))
    assert plan["table"]
    with pytest.raises(PlanError, match="Tesla T4"):
        build_plan(one(service(memory=0.5, gpus=[1, 0]), hardware=hardware, inference_models=BF16))


def test_a_newer_vllm_may_have_learnt_it() -> None:
    models = {"chat": {**BF16["chat"], "image": "vllm/vllm-openai:v0.33.0"}}
    plan = build_plan(one(service(memory=0.5), hardware=dgpu(T4), inference_models=models))
    assert any("bfloat16 needs 8.0" in text and "true of vLLM 0.32.0" in text for text in plan["warnings"])


def test_a_name_is_a_warning() -> None:
    models = {"chat": {"source": "Qwen/Qwen3-8B-FP8", "engine": "vllm"}}
    plan = build_plan(one(service(memory=0.5), hardware=jetson(), inference_models=models))
    assert any("its model's name speaks of FP8" in text for text in plan["warnings"])
    assert not build_plan(one(service(memory=0.5), inference_models=models))["warnings"]
