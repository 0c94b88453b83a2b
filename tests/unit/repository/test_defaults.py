# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A default that stands in several places (plan, roles, argument specs, modules, pages) is the same in all of them."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

import pytest
import yaml
from support.inventories import dgpu, one, service
from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.filter.engines import ollama_units
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import Spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_options import INSTANCE
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines import ollama_unit, vllm_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.models import DEFAULT_STREAM_TIMEOUT, DEFAULT_TIMEOUT
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.settings import DEFAULT_CACHE_TTL, DEFAULT_HEALTH_CHECK_INTERVAL
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.unit import container_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan import defaults
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.images import LITELLM_IMAGE
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.model import Gateway, Settings
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.keys import MINIMUM_LENGTH, weakness

PAGE = (ROOT / "docs/inventory.md").read_text(encoding="utf-8")


def specs(role: str) -> dict[str, Any]:
    text = (ROOT / "roles" / role / "meta/argument_specs.yml").read_text(encoding="utf-8")
    options: dict[str, Any] = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    return options


def spec_defaults(options: dict[str, Any]) -> dict[str, Any]:
    return {name: option["default"] for name, option in options.items() if "default" in option}


def planned() -> dict[str, Any]:
    """A plan in which nothing is said that need not be."""
    models = {"chat": {"source": "a/b"}, "small": {"source": "qwen3:4b"}, "embedding": {"source": "a/e", "capability": "embedding"}}
    services = [service(memory="4GiB"), {"model": "small", "memory": "4GiB"}, service("embedding", 8071, memory="4GiB")]
    return build_plan(one(*services, hardware=dgpu(), inference_models=models))


PLAN = planned()
#: What the plan decides for each instance, so that the role's default is only for a use of the role without a plan.
DECIDED = {"modalities", "gpus", "gpu_access", "image_has_entrypoint"}


@pytest.mark.parametrize("engine", ["vllm", "ollama"])
def test_the_plan_says_what_the_role_would(engine: str) -> None:
    options = spec_defaults(specs(engine)[f"{engine}_instances"]["options"])
    instance = PLAN["hosts"]["node1"][engine][0]
    said = {name: instance[name] for name in options if name in instance and name not in DECIDED}
    assert said == {name: options[name] for name in said}
    assert {"ready_timeout", "stop_timeout", "pull", "networks"} <= set(said)


def test_a_vllm_instance_of_the_role_is_as_its_spec_says() -> None:
    """The same unit with the defaults of the spec filled in."""
    options = spec_defaults(specs("vllm")["vllm_instances"]["options"])
    given = {"name": "x", "model": "a/b", "image": "i:1", "port": 1, "gpu_access": "runtime", "gpus": []}
    assert vllm_unit.container_unit({**options, **given}) == vllm_unit.container_unit(given)


def test_an_ollama_instance_of_the_role_is_as_its_spec_says() -> None:
    options = specs("ollama")["ollama_instances"]["options"]
    fields = {field.name: field.default for field in dataclasses.fields(ollama_unit.Instance)}
    for name, default in spec_defaults(options).items():
        empty = {"env": (), "mounts": ()}.get(name)
        assert (tuple(default) if isinstance(default, list) else default) == fields[name] or (not default and fields[name] == empty), name


def test_the_node_reads_what_the_module_writes() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(Spec)}
    different = {
        # Whoever writes a unit says these.
        "start_timeout",
        "probe",
    }
    for name, default in spec_defaults(INSTANCE).items():
        if name in fields and name not in different and not isinstance(default, (dict, list)):
            assert default == fields[name], name
    written: Any = INSTANCE["stop_timeout"]
    assert written["default"] == defaults.STOP_TIMEOUT


def parameters(function: Any) -> dict[str, Any]:
    return {
        name: item.default for name, item in inspect.signature(function).parameters.items() if item.default is not inspect.Parameter.empty
    }


@pytest.mark.parametrize(
    ("role", "values"),
    [
        ("vllm", {"data_dir": Settings().data_dir, "watchdog_seconds": parameters(vllm_unit.container_unit)["watchdog"]}),
        ("ollama", {"data_dir": Settings().data_dir, "watchdog_seconds": parameters(ollama_unit.container_unit)["watchdog"]}),
        (
            "litellm",
            {
                "image": LITELLM_IMAGE,
                "port": Gateway().port,
                "bind": Gateway().bind,
                "networks": [Settings().network.name, Settings().engines_network.name],
                "start_timeout": parameters(container_unit)["start_timeout"],
                "stop_timeout": parameters(container_unit)["stop_timeout"],
                "watchdog_seconds": parameters(container_unit)["watchdog"],
            },
        ),
    ],
)
def test_a_role_has_the_defaults_of_the_code(role: str, values: dict[str, Any]) -> None:
    defaults = yaml.safe_load((ROOT / "roles" / role / "defaults/main.yml").read_text(encoding="utf-8"))
    assert {name: defaults[f"{role}_{name}"] for name in values} == values


def test_the_function_has_the_defaults_of_the_gateway() -> None:
    found = parameters(container_unit)
    assert (found["port"], found["bind"]) == (Gateway().port, Gateway().bind)
    assert list(found["networks"]) == [Settings().network.name, Settings().engines_network.name]


@pytest.mark.parametrize(
    ("path", "function"),
    [
        ("vllm_units.yml", vllm_unit.container_unit),
        ("ollama_units.yml", ollama_units),
        ("litellm_unit.yml", container_unit),
    ],
)
def test_the_page_of_a_filter_names_the_defaults_of_the_code(path: str, function: Any) -> None:
    text = (ROOT / "plugins/filter" / path).read_text(encoding="utf-8")
    options = yaml.safe_load(text)["DOCUMENTATION"]["options"]
    for name, default in parameters(function).items():
        if name in options:
            found = options[name].get("default")
            assert found == (list(default) if isinstance(default, tuple) else default) or (not found and not default), name


def row(section: str, key: str) -> list[str]:
    body = re.split(rf"^##+ .*\b{re.escape(section)}\b.*$", PAGE, maxsplit=1, flags=re.M)[1]
    found = re.search(rf"^\| (?:\[)?`{key}`.*\|$", body, re.M)
    assert found is not None, (section, key)
    return [cell.strip() for cell in found[0].strip("|").split(" | ")]


VLLM, OLLAMA = PLAN["hosts"]["node1"]["vllm"][0], PLAN["hosts"]["node1"]["ollama"][0]


@pytest.mark.parametrize(
    ("section", "key", "default"),
    [
        ("inference_services", "ready_timeout", VLLM["ready_timeout"]),
        ("inference_services", "stop_timeout", VLLM["stop_timeout"]),
        ("inference_services", "stop_timeout", OLLAMA["stop_timeout"]),
        ("inference_services", "pull", VLLM["pull"]),
        ("inference_services", "port", OLLAMA["port"]),
        ("inference_services", "drop_page_cache", VLLM["drop_page_cache"]),
        (
            "inference_services",
            "shm_size",
            vllm_unit.container_unit(VLLM)["docker_arguments"][vllm_unit.container_unit(VLLM)["docker_arguments"].index("--shm-size") + 1],
        ),
        ("inference_models", "timeout", DEFAULT_TIMEOUT),
        ("inference_models", "stream_timeout", DEFAULT_STREAM_TIMEOUT),
        ("inference_models", "max_model_len", ollama_unit.CONTEXT_LENGTH),
        ("inference_gateway", "port", PLAN["gateway"]["port"]),
        ("inference_gateway", "bind", PLAN["gateway"]["bind"]),
        ("inference_gateway", "health_check_interval", DEFAULT_HEALTH_CHECK_INTERVAL),
        ("inference_gateway.cache", "ttl", DEFAULT_CACHE_TTL),
        ("Address and folder", "inference_data_dir", Settings().data_dir),
        ("Networks", "inference_network", Settings().network.subnet),
        ("Networks", "inference_engines_network", Settings().engines_network.subnet),
        ("GPUs", "inference_gpu_access", Settings().gpu_access),
    ],
)
def test_the_page_of_the_inventory_names_the_default(section: str, key: str, default: Any) -> None:
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    cell = row(section, key)[3 if section == "inference_models" else 2]
    cells = row(section, key)
    assert any(re.search(rf"(?<![\w.]){re.escape(shown)}(?![\w])", text) for text in (cell, cells[2])), (shown, cells)


def test_one_length_of_keys() -> None:
    places = {
        "docs/inventory.md": r"at least (\d+) characters, six different",
        "roles/vllm/tasks/preflight.yml": r"length >= (\d+)|shorter than (\d+)",
        "roles/node_proxy/tasks/preflight.yml": r"\{(\d+),\}|shorter than (\d+)",
        "roles/node_proxy/meta/argument_specs.yml": r"At least (\d+) letters",
        "roles/litellm/meta/argument_specs.yml": r"At least (\d+) characters",
    }
    for path, pattern in places.items():
        found = [
            int(number)
            for match in re.findall(pattern, (ROOT / path).read_text(encoding="utf-8"))
            for number in ([match] if isinstance(match, str) else match)
            if number
        ]
        assert found, path
        assert set(found) == {MINIMUM_LENGTH}, path
    assert weakness("abcdefgh" * 2) is None
    assert str(MINIMUM_LENGTH) in (weakness("abcdefg" * 2) or "")
