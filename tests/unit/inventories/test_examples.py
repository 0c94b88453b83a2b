# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every example inventory plans without a host, with the ports and names that its users have in their programs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from support.inventories import cpu, dgpu, gpu, jetson, spark

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.checks import plan_findings
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.containers import container_units
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.render import render_client_files
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._init.inventory import Seen, first_inventory
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.inventory import collect_inventory
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

ROOT = Path(__file__).parents[3]
# The demo's node is made by the test bed, so nothing is known of it beforehand.
EXAMPLES = sorted(path.parent.name for path in (ROOT / "inventories").glob("*/hosts.yml") if path.parent.name != "demo")
Plan = dict[str, Any]


def beside_clear_keys(plan: dict[str, Any]) -> list[str]:
    """Its warnings. That keys leave their host in clear is how an example is to begin with; docs/tls.md has the other way."""
    return [warning for warning in plan["warnings"] if not warning.startswith("keys leave their host in clear")]


def inventory_of(file: Path) -> dict[str, Any]:
    """As `ansible-playbook -i FILE playbooks/plan.yml` reads it."""
    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=[str(file)])
    variables = VariableManager(loader=loader, inventory=inventory)
    hosts = [host.name for host in inventory.get_hosts()]
    task_vars = {
        "groups": {group: [host.name for host in inventory.groups[group].get_hosts()] for group in inventory.groups},
        "hostvars": HostVars(inventory, variable_manager=variables, loader=loader),
        "ansible_play_hosts": hosts,
    }
    collected, unreadable = collect_inventory(task_vars, {})
    assert unreadable == []
    return collected


def plan_of(name: str) -> Plan:
    return build_plan(inventory_of(ROOT / "inventories" / name / "hosts.yml"))


def offered(plan: Plan) -> dict[str, set[str]]:
    """Each model at the gateway with all its names."""
    return {model["name"]: {model["name"], *model["aliases"]} for model in plan["gateway"]["models"]}


def instances(plan: Plan, host: str, engine: str = "vllm") -> dict[str, dict[str, Any]]:
    return {instance["name"]: instance for instance in plan["hosts"][host][engine]}


@pytest.mark.parametrize("name", EXAMPLES)
def test_plans_offline_without_a_mistake_or_a_warning(name: str) -> None:
    plan = plan_of(name)
    assert beside_clear_keys(plan) == []
    assert plan["gateway"]["models"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_client_files_can_be_written(name: str) -> None:
    plan = plan_of(name)
    assert plan_findings(plan) == []
    models = [
        {"dimension": 384, **model, **({"dimension": 384} if model["dimension"] is None else {})} for model in plan["gateway"]["models"]
    ]
    for entries in plan["clients"].values():
        rendered = render_client_files(
            entries,
            gateway_url="http://192.0.2.1:8400",
            network_url="http://litellm-gateway:4000",
            models=models,
            api_keys={client: f"sk-{client}-0123456789" for client in plan["gateway"]["client_names"]},
            tokens={"crawl4ai": "tok-0123456789"},
            controller_dir="/inventory/clients",
        )
        assert len(rendered) == len(entries)
        container_units(entries, rendered)


def test_crawl4ai() -> None:
    plan = plan_of("crawl4ai")
    instance = instances(plan, "gpu01")["qwen2.5-vl-7b"]
    assert (instance["port"], instance["max_model_len"], instance["gpu_memory_utilization"]) == (8000, 32768, 0.9)
    assert instance["engine_args"]["limit-mm-per-prompt"] == {"image": 4}
    assert offered(plan) == {"qwen2.5-vl-7b": {"qwen2.5-vl-7b", "Qwen/Qwen2.5-VL-7B-Instruct"}}
    assert plan["gateway"]["models"][0]["backends"][0]["container"] == "vllm-qwen2.5-vl-7b"
    assert "crawl4ai-network" in plan["gateway"]["networks"]
    assert plan["gateway"]["client_names"] == ["crawl4ai"]


def test_chat_studio() -> None:
    plan = plan_of("chat-studio")
    assert plan["hosts"]["gateway01"]["vllm"] == plan["hosts"]["gateway01"]["ollama"] == []
    external = {backend["external"]: backend for model in plan["gateway"]["models"] for backend in model["backends"]}
    assert external["vllm-external"]["url"] == "http://192.0.2.20:8000/v1"
    assert external["local-ollama"]["url"] == "http://192.0.2.21:11434/v1"
    assert not any(backend["health"] for backend in external.values())
    assert "meta-llama/Llama-2-7b-chat-hf" in offered(plan)["llama-2-7b-chat"]
    entry = plan["clients"]["gateway01"][0]
    assert entry["connections"][0]["id"] == "vllm-external"


def test_four_capabilities() -> None:
    plan = plan_of("four-capabilities")
    assert plan["gateway"]["port"] == 8400
    found = {name: (instance["port"], instance["gpu_memory_utilization"]) for name, instance in instances(plan, "workstation").items()}
    assert found == {"chat": (8070, 0.38), "ocr": (8080, 0.15), "embedding": (8090, 0.15), "asr": (8000, 0.20)}
    assert offered(plan) == {
        "chat": {"chat", "Qwen/Qwen3-VL-4B-Instruct-FP8"},
        "ocr": {"ocr", "zai-org/GLM-OCR"},
        "embedding": {"embedding", "shigureui/Qwen3-VL-Embedding-2B-FP8"},
        "asr": {"asr", "Qwen/Qwen3-ASR-1.7B"},
    }
    assert [(entry["path"], entry["model"]) for entry in plan["gateway"]["passthrough"]] == [
        ("/api/embeddings", "embedding"),
        ("/embeddings/v1/embeddings", "embedding"),
    ]
    dimensions = {model["name"]: model["dimension"] for model in plan["gateway"]["models"]}
    assert dimensions["embedding"] == 2048


def test_two_dgx_sparks() -> None:
    plan = plan_of("two-dgx-sparks")
    parts = [instances(plan, name)["big"]["group"] for name in ("spark1", "spark2")]
    assert [part["rank"] for part in parts] == [0, 1]
    assert [member["address"] for member in parts[1]["members"]] == ["198.51.100.1", "198.51.100.2"]
    assert parts[0]["digest"] == parts[1]["digest"]
    assert offered(plan) == {"big": {"big", "LLM", "nvidia/Qwen3-235B-A22B-FP4"}}
    # The gateway on the first one asks its proxy, at the address that all know and not on the cable.
    assert plan["gateway"]["models"][0]["backends"][0]["url"] == "http://192.0.2.71:8070/v1"
    assert [len(plan["hosts"][name]["proxy"]) for name in ("spark1", "spark2")] == [1, 0]
    assert plan["hosts"]["spark2"]["cluster"]["members"] == ["198.51.100.1", "198.51.100.2"]


def test_group_with_fallback() -> None:
    plan = plan_of("group-with-fallback")
    models = {model["name"]: model for model in plan["gateway"]["models"]}
    assert {name: model["fallbacks"] for name, model in models.items()} == {"big": ["small"], "small": ["big"]}
    assert {name: [backend["host"] for backend in model["backends"]] for name, model in models.items()} == {
        "big": ["server1"],
        "small": ["workstation"],
    }
    for name in ("server1", "server2"):
        big = instances(plan, name)["big"]
        assert (len(big["gpus"]), big["tensor_parallel_size"], big["pipeline_parallel_size"]) == (8, 8, 2)


def test_dgpu_and_jetson() -> None:
    plan = plan_of("dgpu-and-jetson")
    assert plan["gateway"]["port"] == 8989
    backends = {model["name"]: {(b["host"], b["engine"], b["order"]) for b in model["backends"]} for model in plan["gateway"]["models"]}
    assert backends["qwen3-4b"] == {("gpu01", "vllm", 1), ("jetson01", "ollama", 2)}
    assert backends["qwen3-vl-4b"] == {("gpu01", "ollama", 1), ("jetson01", "ollama", 2)}
    names = offered(plan)
    for model, aliases in {
        "qwen3-4b": {"LLM", "LLM_QWEN3", "LLM_DEFAULT"},
        "qwen3-vl-4b": {"VLM", "VLM_QWEN3", "VLM_DEFAULT"},
        "qwen2.5-3b": {"LLM_SMALL"},
        "qwen2.5vl-3b": {"VLM_SMALL"},
        "e5-small": {"Embedding", "Embbeding"},
    }.items():
        assert aliases <= names[model]
    rules = {row["service"]: row["rule"] for row in plan["table"] if row["host"] == "jetson01"}
    assert rules["qwen2.5-3b"].startswith("2")
    assert instances(plan, "gpu01")["e5-small"]["device"] == "cpu"
    limits = {model["name"]: model["max_images"] for model in plan["gateway"]["models"]}
    assert limits["qwen3-vl-4b"] == 8


def test_metis() -> None:
    plan = plan_of("metis")
    assert plan["gateway"]["port"] == 8888
    found = instances(plan, "gpu01")
    assert (found["chat"]["port"], found["chat"]["tensor_parallel_size"], found["chat"]["shm_size"]) == (8000, 2, "32g")
    assert (found["embedding"]["port"], found["embedding"]["max_model_len"], found["embedding"]["shm_size"]) == (8001, 512, "16g")
    assert set(offered(plan)) == {"Qwen/Qwen2.5-14B-Instruct", "intfloat/e5-small-v2"}


STARTS = dict(
    re.findall(
        r"^## ([^\n]+)\n(?:(?!^## ).)*?```yaml\n(.*?)```", (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8"), re.M | re.S
    )
)
CARD, L40S = dgpu(), {"name": "NVIDIA L40S", "memory_mib": 46068, "compute_capability": "8.9"}
MACHINES: dict[str, dict[str, Any]] = {
    "One card": {"rtx": CARD},
    "Several cards": {"server": dgpu(gpu(0, **L40S), gpu(1, **L40S))},
    "DGX Spark": {"spark": spark()},
    "Jetson": {"orin": jetson(memory_mib=15656)},
    "CPU only": {"box": cpu()},
    "A gateway on its own host": {"gpu1": CARD, "gpu2": CARD, "gateway": cpu(memory_mib=4096)},
}


def test_getting_started_has_an_inventory_for_each_machine() -> None:
    assert list(STARTS) == list(MACHINES)


@pytest.mark.parametrize("title", MACHINES)
def test_an_inventory_of_getting_started_plans(title: str, tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").write_text(STARTS[title], encoding="utf-8")
    inventory = inventory_of(tmp_path / "inventory.yml")
    assert build_plan(inventory)["gateway"]["models"]  # nothing is known of the hosts
    assert set(inventory["hosts"]) == set(MACHINES[title])
    for name, hardware in MACHINES[title].items():
        inventory["hosts"][name]["hardware"] = hardware
    plan = build_plan(inventory)
    assert beside_clear_keys(plan) == []
    assert all(row["memory_left"] is not None for row in plan["table"])


FIRST, SECOND = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)


def test_the_first_inventory_of_the_readme_is_what_init_writes() -> None:
    written = first_inventory([Seen("192.168.10.20", CARD, {"ansible_user": "alice"})], schema="", file="").text
    assert [line for line in written.splitlines() if not line.lstrip().startswith(("#", "---"))] == FIRST.splitlines()


def test_the_second_inventory_of_the_readme_plans(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(SECOND, encoding="utf-8")
    inventory = inventory_of(tmp_path / "hosts.yml")
    for name, hardware in {"rtx": CARD, "orin": jetson(memory_mib=15656)}.items():
        inventory["hosts"][name]["hardware"] = hardware
    plan = build_plan(inventory)
    assert beside_clear_keys(plan) == []
    assert [backend["host"] for backend in plan["gateway"]["models"][0]["backends"]] == ["rtx", "orin"]
