# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from support.inventories import dgpu, gpu, host, inventory, one, service, variables

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.table import render

EXPECTED = """\
HOST   PLATFORM  HARDWARE  GPU  SERVICE    ENGINE  PORT    MEMORY      LEFT  IMAGE                                RULE
node1  dgpu      as seen   0    chat       vllm    8070  12.0 GiB  18.3 GiB  vllm/vllm-openai:v0.32.0             otherwise vLLM
node1  dgpu      as seen   -    embedding  vllm    8090         ?  57.6 GiB  vllm/vllm-openai-cpu:v0.32.0-x86_64  otherwise vLLM

Gateway on node1, port 8400:
MODEL      CAPABILITY  ALSO CALLED                     SERVED BY
chat       chat        LLM, Qwen/Qwen3-8B              node1
embedding  embedding   intfloat/multilingual-e5-small  node1, lab (external)"""


def test_table() -> None:
    external = {"name": "lab", "base_url": "http://lab", "models": [{"name": "embedding", "capability": "embedding"}]}
    plan = build_plan(
        one(
            service(memory="12GiB"),
            service("embedding", 8090, device="cpu"),
            inference_model_aliases={"LLM": "chat"},
            inference_external_endpoints=[external],
        )
    )
    assert render(plan) == EXPECTED


def test_what_was_not_reached_does_not_look_verified() -> None:
    declared = {"platform": "dgpu", "gpus": [{"memory": "32GiB"}]}
    plan = build_plan(
        inventory(
            in_play=["seen", "declared"],
            seen=host(hardware=dgpu(), **variables(service(memory=0.5))),
            declared=host(**variables(service(memory=0.5), inference_hardware=declared)),
            before=host(known=dgpu(), **variables(service(memory=0.5))),
            never=host(**variables(service(memory=0.5), inference_platform="dgpu")),
        )
    )
    lines = render(plan, ["declared", "never"]).splitlines()
    assert [line.split("  ")[0].strip() for line in lines[1:5]] == ["seen", "declared", "before", "never"]
    assert [
        word for line, word in zip(lines[1:5], ("as seen", "declared", "earlier run", "unknown")) if f"dgpu      {word} " not in line
    ] == []
    assert "Not reached, and so not verified: declared (declared), never (unknown)" in lines
    assert "No host was asked: nothing of this is verified." in render(plan, asked=False)
    assert "verified" not in render(plan)


def test_warnings_come_last() -> None:
    plan = build_plan(one(service(memory=0.5), hardware=dgpu(gpu(memory_mib=None))))
    assert render(plan).splitlines()[-1].startswith("warning: the memory of GPU 0 (NVIDIA GeForce RTX 5090) is not known")


def test_nothing_to_run() -> None:
    assert render(build_plan(inventory(node1=host(hardware=dgpu())))) == "No service is enabled on any host."
