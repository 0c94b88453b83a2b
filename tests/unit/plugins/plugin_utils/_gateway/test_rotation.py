# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from support.inventories import dgpu, gpu, host, inventory, service, variables

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.rotation import NothingToDrainError, drained, rotation_of
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

MODELS = {
    "chat": {"source": "a/c", "adapters": {"sql": "org/sql"}},
    "small": {"source": "qwen3:4b", "engine": "ollama"},
    "tiny": {"source": "qwen3:1b", "engine": "ollama"},
}


def planned(**changes: Any) -> dict[str, Any]:
    own = variables(service("chat", memory="10GiB"), service("small", 8071, memory="8GiB"), service("tiny", 8071), inference_models=MODELS)
    node = host("inference_nodes", hardware=dgpu(gpu()), **own)
    gateway = {
        **own,
        "inference_external_endpoints": [{"name": "lab", "base_url": "http://lab:1/v1", "engine": "openai", "models": ["big"]}],
    }
    hosts = {"n0": host("inference_nodes", "gateways", hardware=dgpu(gpu()), **gateway), "n1": node, **changes}
    found: dict[str, Any] = build_plan(inventory(**hosts))
    assert found["gateway"] is not None
    return found


@pytest.mark.parametrize(
    ("service_", "backends", "units"),
    [
        ("", ["chat-n1", "small-n1", "sql-chat-n1", "tiny-n1"], ["ollama", "vllm@chat.service"]),
        ("chat", ["chat-n1", "sql-chat-n1"], ["vllm@chat.service"]),
        ("small", ["small-n1"], ["ollama"]),
    ],
)
def test_what_goes_of_a_host(service_: str, backends: list[str], units: list[str]) -> None:
    found = drained(planned(), "n1", service_)
    assert found["backends"] == backends
    assert [unit if unit.startswith("vllm") else unit.partition("@")[0] for unit in found["units"]] == units


def test_services_of_one_unit_go_by_its_name() -> None:
    (unit,) = drained(planned(), "n1", "small")["units"]
    name = unit.partition("@")[2].removesuffix(".service")
    assert drained(planned(), "n1", name) == {"backends": ["small-n1", "tiny-n1"], "units": [unit]}


@pytest.mark.parametrize(
    ("host_", "service_", "said"),
    [
        ("n7", "", "no gateway sends anybody to n7; there are engines on n0, n1"),
        ("", "", "a host without a name .give -e host=NAME."),
        ("n1", "big", "n1 has no service big; it has .*chat"),
    ],
)
def test_what_is_not_there(host_: str, service_: str, said: str) -> None:
    with pytest.raises(NothingToDrainError, match=said):
        drained(planned(), host_, service_)


def test_without_a_gateway_there_is_nothing_to_do() -> None:
    with pytest.raises(NothingToDrainError, match="no gateway, so nobody"):
        drained({"gateway": None}, "n1")


def test_what_a_host_may_take_out_while_it_changes() -> None:
    found = rotation_of(planned(), "n1")
    assert found["gateways"] == ["n0"]
    assert found["backends"]["vllm/chat"] == ["chat-n1", "sql-chat-n1"]
    (shared,) = [names for instance, names in found["backends"].items() if instance.startswith("ollama/")]
    assert shared == ["small-n1", "tiny-n1"]
    assert found["models"]["vllm/chat"] == ["chat", "sql"]
    assert rotation_of(planned(), "n7") == {}
    assert rotation_of({"gateway": None}, "n1") == {}
