# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hostile and odd texts anywhere in an inventory: findings, or a plan of which every file and argument says what was written.

What is made of a plan is read back by the readers of the programs: PyYAML, Docker's flags, its env files and its CSV.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from support.inventories import changed, everything

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_flags as docker_flags
from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import parse_env_as_docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import create_argv
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import parse_env, parse_spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import env_text, want
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients import checks as clients
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines import vllm_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.units import engine_units
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config, config_text
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.endpoints import build_endpoints
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.policy import build_policy
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.unit import container_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import Finding, PlanError, build_plan
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.values import fit

# The default is quick, five seconds for all; PLAN_EXAMPLES=5000 tries thousands.
EXAMPLES = int(os.environ.get("PLAN_EXAMPLES", "40"))
quick = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside a nested one."""
    for key in range(len(node)) if isinstance(node, list) else node if isinstance(node, dict) else ():
        yield (*path, key)
        yield from places(node[key], (*path, key))


PLACES = list(places(everything()["hosts"]["node1"]["vars"]))
KEYED = [path for path in PLACES if isinstance(path[-1], str) and len(path) > 1]
PIECES = [
    *("\n", "\r", "\u2028", "\x85", "\x00", "\ud800", "\t", " ", "'", '"', "`", "\\", "$", "${A}", "%", "%n", "%%", "{{ x }}", "{% x %}"),
    *(";", "#", "&", "|", "<", ">", ",", ":", "=", "-", "--", "~", "!", "*", "@", "?", "/", "//", "/..", "../", ".", "]", "{", "ü", "日本"),
    *("\nExecStartPre=/bin/x\n", '",readonly=false,source="/', "\nVLLM_API_KEY=z", "os.environ/A", ": x", "- x", "!!python/name:os.system"),
    *("yes", "null", "1e3", "0x10", "0777", "2026-11-20", "12:30:00", "<<", "chat", "http://x", "/srv", "A", "1", "GiB"),
]
texts = (
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join) | st.text(max_size=12) | st.sampled_from(["a" * 300, "é" * 200])
)


def rendered(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All container units of the plan's only host."""
    host, gateway = plan["hosts"]["node1"], plan["gateway"]
    yield from engine_units(host, api_key="k" * 20)
    if gateway:
        config, policy = build_config(gateway, "node1"), build_policy(gateway)
        build_endpoints(gateway, "node1")
        yield container_unit(
            config, policy, image=gateway["image"], master_key="x", bind=gateway["bind"], port=gateway["port"], pull="missing"
        )


def check_unit(unit: dict[str, Any]) -> None:
    """The unit as the node reads it, and as Docker does."""
    variable = (unit.get("probe") or {}).get("api_key_variable")
    if variable:
        unit = {**unit, "secret_environment": {variable: "0" * 32, **(unit.get("secret_environment") or {})}}  # the roles do that
    wanted = want(unit)
    spec = parse_spec(wanted.files["service.json"], wanted.kind, wanted.name)
    environment = {**(unit.get("environment") or {}), **(unit.get("secret_environment") or {})}
    assert parse_env(wanted.files["env"]) == environment == parse_env_as_docker(wanted.files["env"])
    argv = create_argv(spec, "/env")
    assert argv[-1 - len(spec.command)] == unit["image"]
    flags, mistakes = docker_flags.read(argv[1 : -1 - len(spec.command)])
    assert not mistakes, mistakes
    for flag in flags:
        if flag.name == "mount":
            (fields,) = csv.reader([flag.value], strict=True)
            assert [field.partition("=")[0] for field in fields] == ["type", "source", "target", "readonly"]
        if flag.name == "volume":
            assert 2 <= len(flag.value.split(":")) <= 3
        assert "\n" not in flag.value
    for name, text in wanted.files.items():
        if name.endswith(".yaml"):
            assert isinstance(yaml.safe_load(text), dict)
        elif name.endswith(".json"):
            json.loads(text)


def attempt(inventory: dict[str, Any]) -> dict[str, Any] | tuple[Finding, ...]:
    """A plan or findings; anything else is a failure of the test."""
    try:
        return build_plan(inventory)
    except PlanError as error:
        return error.findings


def check(inventory: dict[str, Any]) -> None:
    plan = attempt(inventory)
    if not isinstance(plan, dict):
        event("findings")
        assert plan
        for finding in plan:
            assert finding.variable.startswith(("inference_", "gateways", "inventory_hostname")), finding
            assert finding.message
            assert "\n" not in str(finding), finding
        return
    if clients.plan_findings(plan):
        event("findings of client files")
        return
    event("plan")
    assert json.loads(json.dumps(plan, allow_nan=False)) == plan
    for instance in plan["hosts"]["node1"]["vllm"]:
        text = vllm_unit.container_unit(instance)["files"]["config.yaml"]
        assert yaml.safe_load(text) == vllm_unit.engine_config(instance)
    for unit in rendered(plan):
        check_unit(unit)
    gateway = plan["gateway"]
    if gateway:
        config = build_config(gateway, "node1")
        assert yaml.safe_load(config_text(config)) == config


@quick
@given(st.sampled_from(PLACES), texts)
@example(("inference_models", "chat", "source"), "/models/a,b\"c'd e")
def test_a_hostile_text_in_place_of_any_value(path: tuple[Any, ...], text: str) -> None:
    check(changed(path, text))


@quick
@given(st.sampled_from(KEYED), texts)
def test_a_hostile_key_beside_any_other(path: tuple[Any, ...], text: str) -> None:
    check(changed((*path[:-1], text), "x"))


@quick
@given(
    st.sampled_from(PLACES),
    st.recursive(texts, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2), max_leaves=4),
)
def test_hostile_structures_anywhere(path: tuple[Any, ...], value: Any) -> None:
    check(changed(path, value))


def engine(plan: dict[str, Any]) -> dict[str, Any]:
    return vllm_unit.container_unit(plan["hosts"]["node1"]["vllm"][0], data_dir=plan["hosts"]["node1"]["data_dir"])


def config_of(plan: dict[str, Any]) -> Any:
    return yaml.safe_load(engine(plan)["files"]["config.yaml"])


def environment_of(plan: dict[str, Any]) -> dict[str, str]:
    unit = engine(plan)
    return parse_env(env_text({**unit["environment"], **(unit.get("secret_environment") or {})}))


def arguments_of(plan: dict[str, Any], name: str) -> list[str]:
    flags, _mistakes = docker_flags.read(engine(plan)["docker_arguments"])
    return [flag.value for flag in flags if flag.name == name]


def gateway_of(plan: dict[str, Any]) -> Any:
    return yaml.safe_load(config_text(build_config(plan["gateway"], "node1")))


MODEL = ("inference_models", "chat")
#: Where anything may stand: the place, what is written there, and whether it has arrived.
FREE: list[tuple[tuple[Any, ...], Callable[[str], Any], Callable[[dict[str, Any], str], bool]]] = [
    ((*MODEL, "engine_args", "hf-overrides"), lambda x: {"a": x}, lambda plan, x: config_of(plan)["hf-overrides"] == {"a": x}),
    ((*MODEL, "engine_args", "hf-overrides"), lambda x: {x: [1]}, lambda plan, x: config_of(plan)["hf-overrides"] == {x: [1]}),
    ((*MODEL, "source"), lambda x: f"/srv/{x}", lambda plan, x: config_of(plan)["model"] == f"/srv/{x}"),
    (
        (*MODEL, "source"),
        lambda x: f"/data/{x}",
        lambda plan, x: next(csv.reader(arguments_of(plan, "mount")))[1:3] == [f"source=/data/{x}", f"target=/data/{x}"],
    ),
    ((*MODEL, "env"), lambda x: {"A": x}, lambda plan, x: environment_of(plan)["A"] == x),
    (
        ("inference_services", 0, "mounts"),
        lambda x: [{"source": f"/srv/{x}", "target": "/y"}],
        lambda plan, x: arguments_of(plan, "volume")[-1] == f"/srv/{x}:/y:ro",
    ),
    (
        ("inference_data_dir",),
        lambda x: f"/srv/{x}",
        lambda plan, x: f"/srv/{x}/vllm/chat:/root/.cache/vllm" in arguments_of(plan, "volume"),
    ),
    (
        ("inference_services", 0, "container_extra_arguments"),
        lambda x: ["--label", f"a={x}"],
        lambda plan, x: f"a={x}" in arguments_of(plan, "label"),
    ),
    (
        ("inference_gateway", "settings", "litellm_settings"),
        lambda x: {"own": [x]},
        lambda plan, x: gateway_of(plan)["litellm_settings"]["own"] == [x],
    ),
    (
        (*MODEL, "request_defaults"),
        lambda x: {"stop": [x]},
        lambda plan, x: any(item["litellm_params"].get("stop") == [x] for item in gateway_of(plan)["model_list"]),
    ),
]


@quick
@given(st.sampled_from(range(len(FREE))), texts)
def test_what_may_be_anything_arrives_as_it_was_written(number: int, text: str) -> None:
    path, write, arrived = FREE[number]
    plan = attempt(changed(path, write(text)))
    if not isinstance(plan, dict):
        event(f"{number} findings")
        # Nothing else is wrong with it.
        where = ".".join(str(key) for key in path if isinstance(key, str))
        for finding in plan:
            assert re.sub(r"\[[0-9]+\]", "", finding.variable).startswith(where), finding
        return
    event(f"{number} plan")
    assert arrived(plan, text)


@pytest.mark.parametrize("number", range(len(FREE)))
@pytest.mark.parametrize("text", ["plain", "a b", "it's", 'a"b', "$HOME %n", "größe", "a,b", "~"])
def test_what_is_odd_but_right_is_taken(number: int, text: str) -> None:
    path, write, arrived = FREE[number]
    assert arrived(build_plan(changed(path, write(text))), text)


@quick
@given(st.recursive(texts, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=3), max_leaves=6))
def test_what_is_left_can_be_written_down(value: Any) -> None:
    kept = fit(value, "x", [])
    assert json.loads(json.dumps(kept)) == kept
    json.dumps(kept, ensure_ascii=False).encode()
