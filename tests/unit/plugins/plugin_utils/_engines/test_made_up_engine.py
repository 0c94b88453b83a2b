# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An engine that does not exist, added to a copy of the plugins by its own file and its line in the registry, and by nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import made_up
from support.inventories import everything, host, inventory, service, variables

PROGRAM = """
import json, sys
from ansible_collections.llmops.gpu_inference.plugins.filter.engines import FilterModule as Engines
from ansible_collections.llmops.gpu_inference.plugins.filter.units import FilterModule as Units
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import CONTAINER_KEYS, LAUNCHER_KEYS, want
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan
filters = {**Engines().filters(), **Units().filters()}
given = json.load(sys.stdin)
try:
    plan = build_plan(given["inventory"])
except PlanError as refused:
    print(json.dumps({"refused": [str(finding) for finding in refused.findings]}))
    sys.exit()
part = plan["hosts"]["node1"]
units = filters["engine_units"](part, given.get("variables"), api_key="k" * 20)
print(json.dumps({
    "plan": plan,
    "units": units,
    "services": [json.loads(want({**dict.fromkeys(CONTAINER_KEYS + LAUNCHER_KEYS), **unit}).files["service.json"]) for unit in units],
    "kinds": filters["unit_kinds"](["engines"]),
    "templates": filters["unit_kinds"](["engines"], described=True),
    "variables": filters["engine_variables"](filters["unit_kinds"](["engines"])),
    "proxied": filters["proxied_services"](part["proxy"]),
    "config": build_config(plan["gateway"], plan["gateway"]["hosts"][0]),
}))
"""
MODELS = {"chat": {"source": "a/b"}, "fast": {"source": "c/d", "engine": "made_up"}}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the collection with the engine."""
    own = Path(__file__).with_name("made_up_engine.py")
    return made_up.plugins_with(tmp_path_factory.mktemp("collections"), own, "_engines", before="ollama", last="Container()")


def run(plugins: Path, **given: Any) -> dict[str, Any]:
    return made_up.run(plugins, PROGRAM, given)


@pytest.fixture(scope="module")
def found(plugins: Path) -> dict[str, Any]:
    services = [service(memory="8GiB"), service("fast", 8099, memory="4GiB", env={"A": "1"})]
    node = host("inference_nodes", hardware=everything()["hosts"]["node1"]["hardware"], inference_address="192.0.2.20")
    node["vars"].update(variables(*services, inference_models=MODELS))
    front = host("gateways", inference_address="192.0.2.10", inference_models=MODELS)
    return run(plugins, inventory=inventory(node1=node, front=front), variables={"made_up_watchdog_seconds": "33"})


def test_it_is_planned(found: dict[str, Any]) -> None:
    assert [instance["name"] for instance in found["plan"]["hosts"]["node1"]["made_up"]] == ["fast"]
    assert [row["engine"] for row in found["plan"]["table"]] == ["vllm", "made_up"]


def test_its_units_are_made_with_the_others(found: dict[str, Any]) -> None:
    vllm, made_up = found["units"]
    assert (vllm["kind"], made_up["kind"], made_up["name"], made_up["watchdog"]) == ("vllm", "made_up", "fast", 33)
    assert found["services"][1]["probe"] == {"base_url": "http://127.0.0.1:8099/v1", "model": "fast"}
    assert found["services"][1]["secret_names"] == ["MADE_UP_KEY"]


def test_playbooks_know_it(found: dict[str, Any]) -> None:
    assert found["kinds"] == ["vllm", "ollama", "llama_cpp", "container", "made_up"]
    assert found["templates"][-1] == {"kind": "made_up", "description": "Made-up engine"}
    assert "made_up_watchdog_seconds" in found["variables"]


def test_the_proxy_and_the_gateway_know_it(found: dict[str, Any]) -> None:
    assert [(one["engine"], one["routes"]) for one in found["proxied"]] == [
        ("vllm", ["/v1/", "/health", "/metrics"]),
        ("made_up", ["/v1/generate"]),
    ]
    (route,) = [entry for entry in found["config"]["model_list"] if entry["model_name"] == "fast"]
    assert route["litellm_params"]["model"] == "hosted_vllm/fast"


def test_what_it_cannot_do_is_told_by_the_plan(plugins: Path) -> None:
    models = {"words": {"source": "c/d", "engine": "made_up", "capability": "embedding"}}
    node = host("inference_nodes", hardware=everything()["hosts"]["node1"]["hardware"])
    node["vars"].update(variables(service("words", 8099, memory="4GiB"), inference_models=models))
    (refused,) = run(plugins, inventory=inventory(node1=node))["refused"]
    assert "Made-up has no embedding" in refused
    assert "use engine: vllm or ollama or llama_cpp" in refused
