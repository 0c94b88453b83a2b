# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random inventories: a plan in which nothing collides and no memory is given out twice, or findings; never a traceback."""

from __future__ import annotations

import copy
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from support.inventories import cpu, dgpu, everything, gpu, jetson, spark

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.checks import plan_findings
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines import ollama_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.registry import ENGINES
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_unit import engine_config
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.endpoints import build_endpoints
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.policy import build_policy
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.unit import container_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.model import VARIABLES
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import Finding, PlanError, build_plan

# The default is quick; PLAN_EXAMPLES=5000 tries thousands.
EXAMPLES = int(os.environ.get("PLAN_EXAMPLES", "200"))
quick = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

NAMES = ["chat", "embedding", "Chat", "ocr", "small"]
SOURCES = ["Qwen/Qwen3-8B", "qwen3:4b", "qwen2.5vl:3b", "/models/x", "/models/x.gguf", "a/b", "user/model:q4", None, 3]
SIZES = ["4GiB", "12GiB", "20GiB", "4096MiB", 0.1, 0.38, "0.2", 1, None, "12 GB", 0, True]


def mostly(good: st.SearchStrategy[Any], bad: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A good value nine times of ten: with a mistake in every value no inventory would ever be planned."""
    return st.integers(0, 9).flatmap(lambda number: bad if number == 9 else good)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
models = st.fixed_dictionaries(
    {"source": mostly(st.sampled_from(SOURCES[:7]), st.sampled_from(SOURCES))},
    optional={
        "engine": mostly(st.just("auto"), st.sampled_from(["vllm", "ollama", "llama_cpp", "vlm"])),
        "capability": mostly(st.just("chat"), st.sampled_from(["embedding", "rerank", "transcription", "chatt"])),
        "modalities": st.sampled_from([["text"], ["text", "image"]]),
        "aliases": st.lists(st.sampled_from(["LLM", "VLM", "Small", "llm", "chat"]), max_size=1),
        "fallbacks": mostly(st.just([]), st.lists(st.sampled_from(NAMES), max_size=2)),
        "engine_args": st.sampled_from([{}, {"max-num-seqs": 4}, {"enforce-eager": False}]),
        "on_platform": st.dictionaries(
            st.sampled_from(["jetson", "dgpu", "cpu"]),
            st.fixed_dictionaries({}, optional={"engine": st.sampled_from(list(ENGINES)), "source": st.sampled_from(SOURCES[:7])}),
            max_size=2,
        ),
    },
)
services = st.fixed_dictionaries(
    {
        "model": mostly(st.sampled_from(["chat", "embedding", "small"]), st.sampled_from(NAMES)),
        "port": mostly(st.integers(8000, 9000), st.sampled_from([8400, "x", None])),
    },
    optional={
        "name": st.sampled_from(["one", "two", "three", "four", "five"]),
        "memory": mostly(st.sampled_from(SIZES[:7]), st.sampled_from(SIZES)),
        "gpus": mostly(st.none(), st.lists(st.integers(0, 3), max_size=2)),
        "device": mostly(st.none(), st.sampled_from(["gpu", "cpu"])),
        "tensor_parallel_size": mostly(st.none(), st.integers(1, 4)),
        "enabled": st.booleans(),
        "order": st.integers(1, 3),
        "host_memory": mostly(st.just(False), st.sampled_from(["4GiB", "20GiB", "200GiB", 0.5])),
        "engine_args": st.sampled_from([{}, {"kv-offloading-size": 4}, {"cpu-offload-gb": "20"}, {"mm-processor-cache-gb": 8}]),
    },
)
slices = st.lists(st.integers(0, 9), max_size=2, unique=True).map(
    lambda numbers: [{"uuid": f"MIG-{number}", "profile": "1g", "memory_mib": 10240} for number in numbers]
)
gpus = st.lists(st.tuples(st.sampled_from([8192, 24576, 32607, 81920, None]), mostly(st.just([]), slices)), min_size=1, max_size=4).map(
    lambda entries: [gpu(index, memory_mib=memory, mig=mig) for index, (memory, mig) in enumerate(entries)]
)
hardware = st.one_of(
    gpus.map(lambda found: dgpu(*found)),
    st.sampled_from([cpu(), jetson(), jetson("38.2.0"), jetson("35.1.0"), spark(), None, dgpu(driver={"version": "550.1", "state": "ok"})]),
)


@st.composite
def inventories(draw: st.DrawFn) -> dict[str, Any]:
    shared: dict[str, Any] = {
        "inference_models": {
            **{name: {"source": source} for name, source in (("chat", "Qwen/Qwen3-8B"), ("embedding", "a/b"), ("small", "qwen3:4b"))},
            **draw(st.dictionaries(st.sampled_from(NAMES), models, max_size=3)),
        },
        "inference_model_aliases": draw(
            st.dictionaries(st.sampled_from(["X", "Y", "LLM"]), st.sampled_from(["chat", "X", "small", "LLM"]), max_size=2)
        ),
        "inference_engine": draw(mostly(st.just("auto"), st.sampled_from(list(ENGINES)))),
    }
    hosts = {}
    for number in range(draw(st.integers(1, 3))):
        variables = {**shared, "inference_services": draw(st.lists(services, max_size=4))}
        if draw(st.booleans()):
            variables["inference_gpu_reserve"] = draw(st.sampled_from([0, "2GiB", 0.1, {"0": "1GiB"}]))
        hosts[f"node{number}"] = {
            "groups": ["inference_nodes", *draw(st.sampled_from([[], ["gateways"], ["gateways", "inference_clients"]]))],
            "vars": variables,
            "hardware": draw(hardware),
            "known_hardware": None,
        }
    return {"hosts": hosts, "in_play": draw(st.sampled_from([list(hosts), []]))}


def attempt(inventory: dict[str, Any]) -> dict[str, Any] | tuple[Finding, ...]:
    """A plan or findings; anything else is a failure of the test."""
    try:
        return build_plan(inventory)
    except PlanError as error:
        return error.findings


def budgets(facts: dict[str, Any] | None) -> dict[str, float]:
    """MiB of every pool by device key, computed apart from the plan; the main memory is ''."""
    if not facts:
        return {}
    if facts["unified_memory"]:
        return {"": facts["memory_mib"]}
    found = {"": facts["memory_mib"]}
    for item in facts["gpus"]:
        for entry in item["mig"] or [item]:
            if entry["memory_mib"] is not None:
                found[entry["uuid"]] = entry["memory_mib"]
    return found


def check(plan: dict[str, Any], inventory: dict[str, Any]) -> None:
    assert json.loads(json.dumps(plan, allow_nan=False)) == plan
    for name, host in plan["hosts"].items():
        facts = inventory["hosts"][name]["hardware"]
        pools = budgets(facts)
        taken: dict[str, float] = defaultdict(float)
        for engine, item in ((name_of, one) for name_of in ENGINES for one in host[name_of]):
            amount = item["memory_mib"] or 0
            keys = item["gpus"] if item["device"] == "gpu" and not (facts and facts["unified_memory"]) else [""]
            sizes = [pools[key] for key in keys if pools.get(key)]
            for key in keys:
                # vLLM takes the same share of each GPU; the plan tells what that is of the smallest.
                scale = pools[key] / min(sizes) if engine == "vllm" and key in pools and sizes else 1
                taken[key] += amount * scale
        for key, amount in taken.items():
            assert key not in pools or amount <= pools[key], f"{name} {key}: {amount} of {pools[key]} MiB"
        for key in pools:
            shares = [item["gpu_memory_utilization"] or 0 for item in host["vllm"] if key in item["gpus"]]
            assert sum(shares) <= 1.0001
        offloaded = sum(
            float(args.get("kv-offloading-size", 0)) + float(args.get("cpu-offload-gb", 0)) * max(1, len(item["gpus"]))
            for item in host["vllm"]
            for args in ([item["engine_args"]] if item["device"] == "gpu" else [])
        )
        assert not pools or pools[""] is None or taken[""] + 1024 * offloaded <= pools[""]
        for item in (item for engine in ENGINES for item in host[engine]):
            bound = item["host_memory_mib"]
            assert bound is None or (item["device"] == "gpu" and 0 < bound <= pools[""])
        ports = [item["port"] for item in (*host["vllm"], *host["ollama"])] + (
            [plan["gateway"]["port"]] if "gateway" in host["roles"] else []
        )
        assert len(set(ports)) == len(ports)
        containers = [f"vllm-{item['name']}" for item in host["vllm"]] + [f"ollama-{item['name']}" for item in host["ollama"]]
        assert len(set(containers)) == len(containers)
        for item in host["vllm"]:
            assert engine_config(item)["model"]
            assert item["device"] == "cpu" or item["gpu_access"] != "none"
        ollama_unit.read_instances(host["ollama"])
        enabled = [item for item in inventory["hosts"][name]["vars"]["inference_services"] if item.get("enabled", True)]
        assert len([row for row in plan["table"] if row["host"] == name]) == len(enabled)
    gateway = plan["gateway"]
    if gateway is None:
        return
    names = [item["name"] for item in gateway["models"]]
    everything = [name.lower() for name in names] + [
        alias.lower() for alias, target in gateway["aliases"].items() if alias.lower() != target.lower()
    ]
    twice = [name for name, count in Counter(everything).items() if count > 1]
    meanings = {name: {target for alias, target in gateway["aliases"].items() if alias.lower() == name} for name in twice}
    assert all(len(targets) == 1 and name not in {model.lower() for model in names} for name, targets in meanings.items()), meanings
    for host in gateway["hosts"]:
        build_config(gateway, host)


@quick
@given(inventories())
def test_a_sound_plan_or_findings(inventory: dict[str, Any]) -> None:
    result = attempt(inventory)
    if isinstance(result, dict):
        event("plan")
        check(result, inventory)
        return
    event("findings")
    assert result
    for finding in result:
        assert finding.variable.startswith(("inference_", "gateways", "inventory_hostname")), finding
        assert finding.message


@quick
@given(st.dictionaries(st.sampled_from(VARIABLES), json_values, max_size=5), st.sampled_from([None, dgpu(), jetson()]), st.data())
def test_any_values_give_findings_and_no_traceback(variables: dict[str, Any], facts: Any, data: st.DataObject) -> None:
    known = data.draw(json_values)
    host = {"groups": ["inference_nodes", "gateways", "inference_clients"], "vars": variables, "hardware": facts, "known_hardware": known}
    assert attempt({"hosts": {"node1": host}, "in_play": ["node1"]})


@quick
@given(
    st.fixed_dictionaries(
        {"source": json_values},
        optional=dict.fromkeys(("engine", "aliases", "modalities", "engine_args", "env", "on_platform", "fallbacks"), json_values),
    ),
    st.fixed_dictionaries(
        {"model": st.just("chat"), "port": json_values},
        optional=dict.fromkeys(("memory", "gpus", "name", "networks", "mounts", "shm_size", "host_memory", "engine_args"), json_values),
    ),
)
def test_any_values_inside_models_and_services(model: Any, service: Any) -> None:
    variables = {"inference_models": {"chat": model}, "inference_services": [service]}
    host = {"groups": ["inference_nodes", "gateways"], "vars": variables, "hardware": dgpu(), "known_hardware": None}
    assert attempt({"hosts": {"node1": host}, "in_play": ["node1"]})


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside a nested one."""
    for key in range(len(node)) if isinstance(node, list) else node if isinstance(node, dict) else ():
        yield (*path, key)
        yield from places(node[key], (*path, key))


PLACES = list(places(everything()["hosts"]["node1"]["vars"]))
ODD = ["http://[", "http://a:b", "http://x:99999", "it's", "a\nb", "-1", " ", "chat", "LLM", 10**30, [None], [[]], [{}], {"a": {}}]


def test_the_inventory_with_everything_is_a_plan() -> None:
    assert plan_findings(build_plan(everything())) == []


@quick
@given(st.sampled_from(PLACES), st.sampled_from(ODD) | json_values)
def test_one_wrong_value_anywhere_is_found_by_the_plan(path: tuple[Any, ...], value: Any) -> None:
    """What the plan lets through must serve all that is made from it: a role that fails later has changed hosts already."""
    inventory = everything()
    node: Any = inventory["hosts"]["node1"]["vars"]
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = copy.deepcopy(value)
    plan = attempt(inventory)
    if not isinstance(plan, dict) or plan_findings(plan):
        event("findings")
        return
    event("plan")
    gateway = plan["gateway"]
    build_endpoints(gateway, "node1")
    config, policy = build_config(gateway, "node1"), build_policy(gateway)
    container_unit(config, policy, image=gateway["image"], master_key="x", bind=gateway["bind"], port=gateway["port"])
    for instance in plan["hosts"]["node1"]["vllm"]:
        engine_config(instance)
    ollama_unit.read_instances(plan["hosts"]["node1"]["ollama"])
