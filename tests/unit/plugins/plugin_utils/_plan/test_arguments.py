# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What engine arguments mean for a plan: merged over platforms and services, counted, and told as they were written."""

from __future__ import annotations

from typing import Any

import pytest
from support.inventories import dgpu, gpu, one, service

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan

FOUR = dgpu(*(gpu(index) for index in range(4)))


def models(**changes: Any) -> dict[str, Any]:
    return {"chat": {"source": "Qwen/Qwen3-8B", **changes}}


def chat(inventory: dict[str, Any]) -> dict[str, Any]:
    (found,) = build_plan(inventory)["hosts"]["node1"]["vllm"]
    return dict(found)


def findings(inventory: dict[str, Any]) -> list[str]:
    with pytest.raises(PlanError) as caught:
        build_plan(inventory)
    return [str(finding) for finding in caught.value.findings]


def test_fields_of_a_flag_are_merged_over_platform_and_service() -> None:
    catalogue = models(
        engine_args={"speculative_config": {"method": "mtp", "num_speculative_tokens": 3}, "-cc.mode": 3},
        on_platform={"dgpu": {"engine_args": {"speculative-config.num_speculative_tokens": 2}}},
    )
    wanted = service(engine_args={"speculative-config.num_speculative_tokens": 1, "compilation-config": None, "hf-overrides.a_b": 1})
    assert chat(one(wanted, inference_models=catalogue))["engine_args"] == {
        "speculative-config": {"method": "mtp", "num_speculative_tokens": 3},
        "speculative-config.num_speculative_tokens": 1,
        "hf-overrides.a_b": 1,
    }


@pytest.mark.parametrize(
    ("arguments", "changes", "gpus"),
    [
        ({"pipeline-parallel-size": "2"}, {"tensor_parallel_size": 2}, 4),
        ({"-pp": 2, "-dp": "2"}, {}, 4),
        ({"prefill-context-parallel-size": 2}, {}, 2),
        ({"decode-context-parallel-size": 2}, {"tensor_parallel_size": 2}, 2),
        ({"data-parallel-size": 4, "data-parallel-size-local": 4}, {}, 4),
    ],
)
def test_the_gpus_of_an_engine_are_counted(arguments: dict[str, Any], changes: dict[str, Any], gpus: int) -> None:
    assert len(chat(one(service(engine_args=arguments, memory=0.5, **changes), hardware=FOUR))["gpus"]) == gpus


@pytest.mark.parametrize(
    ("inventory", "finding"),
    [
        (one(service(engine_args={"-pp": 3})), "inference_services[0].engine_args.-pp (host node1) = 3: needs 3 GPUs, the host has 1"),
        (
            one(service(), inference_models=models(engine_args={"data_parallel_size": "2"})),
            "inference_models.chat.engine_args.data_parallel_size (host node1) = 2: needs 2 GPUs, the host has 1",
        ),
        (
            one(service(tensor_parallel_size=2), inference_models=models(on_platform={"dgpu": {"engine_args": {"-dp": 3}}}), hardware=FOUR),
            "inference_services[0].tensor_parallel_size (host node1) = 2: needs 6 GPUs (inference_services[0].tensor_parallel_size 2 x "
            "inference_models.chat.on_platform.dgpu.engine_args.-dp 3), the host has 4",
        ),
        (
            one(service(), inference_models=models(engine_args={"disable_log_requests": True})),
            "inference_models.chat.engine_args.disable_log_requests (host node1) = true: vLLM 0.32.0 no longer has this flag; "
            "remove it; requests are not logged unless enable-log-requests is set",
        ),
        (
            one(service(engine_args={"-cc.level": 3})),
            "inference_services[0].engine_args.-cc.level (host node1) = 3: vLLM 0.32.0 no longer has its key level; "
            "use optimization-level: 0 to 3",
        ),
        (
            one(service(max_model_len=4096), inference_models=models(engine_args={"max_model_len": 8192})),
            "inference_models.chat.engine_args.max_model_len (host node1) = 8192: max_model_len is set too; keep one of the two",
        ),
    ],
)
def test_a_mistake_is_told_by_the_key_that_the_user_wrote(inventory: dict[str, Any], finding: str) -> None:
    assert findings(inventory) == [finding]


def test_an_engine_over_several_hosts_is_told_once_and_not_as_too_few_gpus() -> None:
    found = findings(one(service(tensor_parallel_size=2, engine_args={"-n": 2, "-r": 1})))
    assert [line.partition(" (host node1)")[0] for line in found] == [
        "inference_services[0].engine_args.-n",
        "inference_services[0].engine_args.-r",
    ]


@pytest.mark.parametrize(("length", "told"), [("32K", 32768), ("4096", 4096), (-1, None), ("auto", None)])
def test_the_gateway_is_told_the_context_length_however_it_is_written(length: Any, told: int | None) -> None:
    plan = build_plan(one(service(), inference_models=models(engine_args={"max-model-len": length})))
    assert plan["gateway"]["models"][0]["max_input_tokens"] == told
