# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""schemas/inventory.json: it is current, takes whatever the plan takes, and refuses what it can know to be wrong."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from support.inventory_page import MAPPINGS, PAGE, cells, names
from support.inventory_schema import FILE, file_text
from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.base import Mistake
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.entries import keys_of, read_entry
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.registry import CLIENTS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.findings import Report
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.model import VARIABLES
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_external import (
    parse_externals,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_gateway import (
    parse_gateway,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_hardware import (
    check_declared,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_models import parse_models
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_multinode import parse_multinodes
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_services import parse_services
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_settings import (
    SettingsKeys,
    parse_settings,
)

SCHEMA = json.loads(FILE.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
#: Of every type and form that occurs in inventories, right for some keys and wrong for others.
VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        "yes",
        "no",
        " On ",
        "1",
        "true",
        0,
        1,
        2,
        64,
        65,
        1000,
        1001,
        65535,
        65536,
        86400,
        86401,
        604800,
        604801,
        1_000_000,
    ),
    *(
        100_000_000,
        100_000_001,
        -1,
        0.5,
        1.0,
        1.5,
        "0.38",
        ".5",
        " 0.5 ",
        "8070",
        " 8070 ",
        "8070.0",
        "12GiB",
        " 1.5GiB ",
        "4096MiB",
        "12GB",
    ),
    *("16g", "1MiB", "512MiB", "", " ", "auto", "vllm", "ollama", "openai", "gpu", "cpu", "dgpu", "jetson", "missing", "always", "runtime"),
    *(
        "cdi",
        "chat",
        "embedding",
        "text",
        "x86_64",
        "Qwen/Qwen3-8B",
        "/srv/models/x",
        "qwen3:4b",
        "a b",
        "-x",
        "main",
        "sha256:0123456789ab",
    ),
    *("vllm/vllm-openai:v0.32.0", "Vllm/x:y", "0.32.0", "v0.32.0", "0.32", 0.32, "http://host:8000/v1", "https://llm.example", "ftp://x"),
    *(
        "http://user@host",
        "http://host:99999",
        "redis://host:6379/0",
        "rediss://host",
        "10.89.16.0/24",
        "10.89.16.1",
        "bridge",
        "inference",
    ),
    *(
        "localhost",
        "host.example",
        "::1",
        "GPU-1234",
        "MIG-1234",
        "ENGINE_KEY_X",
        "lower_case",
        "/embeddings/v1/embeddings",
        "/v1/models",
        "/",
    ),
    *([], ["text"], ["text", "image"], ["smell"], ["chat"], [0], ["0"], [0, 1], ["GPU-12"], [-1], [1000], ["--cap-add=X"], ["a==1"], ["a"]),
    *({}, {"a": 1}, {"A": None}, {"a": "12GiB"}, {"0": "2GiB"}, {"vllm": "vllm/vllm-openai:v0.32.0"}, {"vllm": {"dgpu": "a/b:c"}}),
    *({"name": "x", "subnet": "10.1.0.0/24"}, {"ttl": 5}, {"ttl": 0}, {"host": "r"}, {"host": "r", "port": "6379"}, {"client": None}),
    *({"http": "http://proxy:3128", "no_proxy": ["a", "b"]}, {"no_proxy": "a,b"}, {"allow_data": "yes", "allowed_domains": ["*.x"]}),
    *([{"source": "/a"}], [{"source": "/a", "target": "/b", "read_only": "off"}], [{"target": "/b"}], [{"path": "/a/b", "model": "x"}]),
    *(
        [{"uuid": "MIG-1", "profile": "1g.10gb"}],
        [{"memory": "32GiB"}],
        ["llama"],
        [{"name": "llama", "max_model_len": "8192"}],
        [{"nam": "x"}],
    ),
    *(
        {"version": "590.44.01"},
        {"version": 590},
        {"release": "36.4.7"},
        {"jetson": {"source": "a:b"}},
        {"jetson": {"sauce": "a"}},
        {"ttl": True},
    ),
]


def _parse_setting(variable: str, value: Any, report: Report) -> Any:
    return parse_settings({variable: value}, report)


def _beside(keys: Mapping[str, Any]) -> dict[str, str]:
    """What an answer of a user needs beside these keys."""
    if keys.keys() & {"audio", "says", "word_error_rate"}:
        return {"audio": "a.wav", "says": "x"}
    if keys.keys() & {"nearer", "than"}:
        return {"prompt": "x", "nearer": "y", "than": "z"}
    return {} if "messages" in keys else {"prompt": "x"}


@dataclass(frozen=True)
class Place:
    """Where a mapping stands: its variable, who reads that, and a right value of it with further keys in the mapping."""

    variable: str
    parse: Callable[[Any, Report], Any]
    around: Callable[[dict[str, Any]], Any]


PLACES: dict[str, Place] = {
    "inference_models": Place("inference_models", parse_models, lambda more: {"chat": {"source": "x", **more}}),
    "inference_services": Place("inference_services", parse_services, lambda more: [{"model": "chat", **more}]),
    "inference_multinode_services": Place(
        "inference_multinode_services",
        parse_multinodes,
        lambda more: [{"model": "chat", "hosts": ["a", "b"], "port": 8070, "tensor_parallel_size": 2, **more}],
    ),
    "inference_services[].mounts[]": Place(
        "inference_services", parse_services, lambda more: [{"model": "chat", "mounts": [{"source": "/a", **more}]}]
    ),
    "inference_gateway": Place("inference_gateway", parse_gateway, lambda more: more),
    "inference_gateway.cache": Place("inference_gateway", parse_gateway, lambda more: {"cache": more}),
    "inference_gateway.media": Place("inference_gateway", parse_gateway, lambda more: {"media": more}),
    "inference_gateway.redis": Place("inference_gateway", parse_gateway, lambda more: {"redis": {"host": "r", **more}}),
    "inference_gateway.client_keys": Place("inference_gateway", parse_gateway, lambda more: {"client_keys": {"a": more}}),
    "inference_gateway.passthrough[]": Place(
        "inference_gateway", parse_gateway, lambda more: {"passthrough": [{"path": "/a/b", "model": "x", **more}]}
    ),
    "inference_external_endpoints": Place(
        "inference_external_endpoints",
        parse_externals,
        lambda more: [{"name": "lab", "base_url": "http://host", "models": ["x"], **more}],
    ),
    "inference_external_endpoints[].models[]": Place(
        "inference_external_endpoints",
        parse_externals,
        lambda more: [{"name": "lab", "base_url": "http://host", "models": [{"name": "x", **more}]}],
    ),
    "inference_hardware": Place("inference_hardware", check_declared, lambda more: more),
    "inference_hardware.driver": Place("inference_hardware", check_declared, lambda more: {"driver": more}),
    "inference_hardware.gpus[]": Place("inference_hardware", check_declared, lambda more: {"gpus": [more]}),
    "inference_hardware.gpus[].mig[]": Place(
        "inference_hardware", check_declared, lambda more: {"gpus": [{"mig": [{"uuid": "MIG-1", **more}]}]}
    ),
    "inference_hardware.l4t": Place("inference_hardware", check_declared, lambda more: {"l4t": more}),
    "inference_network, inference_engines_network": Place(
        "inference_network", partial(_parse_setting, "inference_network"), lambda more: more
    ),
    "inference_metrics": Place(
        "inference_metrics", partial(_parse_setting, "inference_metrics"), lambda more: {"textfile_directory": "/x", **more}
    ),
    "inference_rollout": Place("inference_rollout", partial(_parse_setting, "inference_rollout"), lambda more: more),
    "inference_rollout.proof": Place("inference_rollout", partial(_parse_setting, "inference_rollout"), lambda more: {"proof": more}),
    "inference_rollout.proof.answers": Place(
        "inference_rollout",
        partial(_parse_setting, "inference_rollout"),
        lambda more: {"proof": {"answers": {"chat": [{**_beside(more), **more}]}}},
    ),
    "inference_proxy": Place("inference_proxy", partial(_parse_setting, "inference_proxy"), lambda more: more),
    # Each is a variable of its own.
    **{f"the variable {name}": Place(name, partial(_parse_setting, name), itemgetter(name)) for name in SettingsKeys.names()},
}


def keys_at(heading: str) -> tuple[str, ...]:
    return MAPPINGS[heading].names() if heading in MAPPINGS else (PLACES[heading].variable,)


CASES = [pytest.param(place, name, id=f"{heading}-{name}") for heading, place in PLACES.items() for name in keys_at(heading)]


def accepts(place: Place, name: str, value: Any) -> bool:
    return bool(VALIDATOR.is_valid({place.variable: place.around({name: value})}))


def reads(place: Place, name: str, value: Any) -> bool:
    report = Report()
    place.parse(place.around({name: value}), report)
    return report.is_good


def test_the_file_is_current() -> None:
    assert FILE.read_text(encoding="utf-8") == file_text(), "run make docs"


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(("place", "name"), CASES)
def test_an_editor_takes_what_the_plan_takes(place: Place, name: str) -> None:
    # True stands in a plan's inventory for a secret that is there; a user writes none such.
    stand_ins = [True, {"ttl": True}] if name in ("api_key", "client_keys", "key", "password") else []
    assert [value for value in VALUES if reads(place, name, value) and not accepts(place, name, value) and value not in stand_ins] == []


@pytest.mark.parametrize(("program", "name"), [(program, name) for program, client in CLIENTS.items() for name in keys_of(client)])
def test_an_editor_takes_what_a_client_file_takes(program: str, name: str) -> None:
    def entry(value: Any) -> dict[str, Any]:
        return {"type": program, "path": "/x", name: value}

    def is_read(value: Any) -> bool:
        mistakes: list[Mistake] = []
        read_entry(entry(value), "inference_clients_config[0]", mistakes)
        return not mistakes

    stand_ins = [True] if name in ("api_token", "secret_key") else []
    taken = [value for value in VALUES if is_read(value) and value not in stand_ins]
    assert [value for value in taken if not VALIDATOR.is_valid({"inference_clients_config": [entry(value)]})] == []


@pytest.mark.parametrize("heading", PLACES)
def test_an_editor_sees_most_of_what_the_plan_refuses(heading: str) -> None:
    """What a schema cannot say (a subnet that is taken, a path of LiteLLM's own) is left to the plan."""
    place = PLACES[heading]
    refused = [(name, value) for name in keys_at(heading) for value in VALUES if not reads(place, name, value)]
    seen = [case for case in refused if not accepts(place, *case)]
    assert len(seen) >= 0.6 * len(refused)


def patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        for word, part in schema.items():
            if word == "pattern" and isinstance(part, str):
                yield part
            yield from patterns(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from patterns(part)


def test_editors_know_every_expression() -> None:
    """JavaScript has no inline flags, no \\Z and \\A, and writes named groups otherwise."""
    assert [pattern for pattern in set(patterns(SCHEMA)) if re.search(r"\(\?[aiLmsuxP]|\\[AZ]", pattern)] == []


NUMBER = r"(\d+) to (\d+)"


@pytest.mark.parametrize("heading", MAPPINGS)
def test_the_page_gives_bounds_and_choices_as_they_are_declared(heading: str) -> None:
    for name, kind in [(name, row[1]) for row in cells(heading) for name in names(row)]:
        schema = MAPPINGS[heading].all()[name].schema
        number = next((part for part in schema.get("anyOf", ()) if part.get("type") == "integer"), None)
        bounds = re.search(NUMBER, kind)
        if bounds and number:
            assert (number["minimum"], number["maximum"]) == tuple(map(int, bounds.groups())), name
        if "enum" in schema and not kind.startswith("as in"):
            assert set(re.findall(r"`([^`]+)`", kind)) == set(schema["enum"]), name


def described(schema: Any) -> Iterator[tuple[str, bool]]:
    if isinstance(schema, Mapping):
        for name, part in (schema.get("properties") or {}).items():
            yield name, "description" in part
        for word, part in schema.items():
            if word != "allOf":  # keys of one client program; the page of role clients has them
                yield from described(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from described(part)


def test_every_key_is_described() -> None:
    variables = {name: part for name, part in SCHEMA["definitions"].items() if name in VARIABLES}
    keys = [found for part in variables.values() for found in described(part)]
    assert len(keys) > 150
    assert [name for name, has_one in keys if not has_one] == []
    assert all("description" in part for part in variables.values())
    model = SCHEMA["definitions"]["inference_models"]["anyOf"][0]["additionalProperties"]["anyOf"][0]
    assert model["properties"]["max_images"]["description"].startswith("The gateway keeps the latest images")
    mount = SCHEMA["definitions"]["inference_services"]["anyOf"][0]["items"]["anyOf"][0]["properties"]["mounts"]["anyOf"][0]["items"]
    assert mount["anyOf"][0]["properties"]["read_only"]["description"] == "Whether the container may only read it. Default: true."


EXAMPLES = sorted((ROOT / "inventories").glob("*/**/*.yml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_example_inventories_name_the_schema_and_fit_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    line = re.search(r"^# yaml-language-server: \$schema=(\S+)$", text, re.M)
    assert line is not None
    assert Path(os.path.normpath(path.parent / line[1])) == FILE
    assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))] == []


def test_the_examples_of_the_page_fit_it() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    assert len(blocks) > 5
    for block in blocks:
        assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(block))] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"inference_modles": {}},
        {"inference_models": {"chat": {"sauce": "x"}}},
        {"inference_models": {"chat": {"source": "x", "engine": "sglang"}}},
        {"inference_models": {"chat": {"source": "x", "max_model_len": 0}}},
        {"inference_models": {"chat": {"source": "x", "on_platform": {"windows": {}}}}},
        {"inference_services": {"model": "chat"}},
        {"inference_services": [{"port": 8070}]},
        {"inference_services": [{"model": "chat", "port": 80700}]},
        {"inference_services": [{"model": "chat", "memory": "12GB"}]},
        {"inference_gateway": {"cache": {"ttl": 0}}},
        {"inference_clients_config": [{"type": "unheard-of"}]},
        {"inference_clients_config": [{"type": "metis", "path": "/x", "doc_chunk_size": 0}]},
        {"inference_clients_config": [{"type": "openai", "path": "/x", "doc_chunk_size": 8}]},
        {"inference_clients_config": [{"type": "chat_studio", "path": "/x", "connections": [{"modle": "x"}]}]},
        {"inference_nodes": {"hosts": {"gpu01": {"inference_engine": "tgi"}}}},
        {"all": {"children": {"gateways": {"vars": {"inference_platform": "mac"}}}}},
        {"all": {"hots": {}}},
    ],
    ids=str,
)
def test_mistakes_are_seen_while_typing(wrong: Any) -> None:
    assert not VALIDATOR.is_valid(wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"inference_services": [{"model": "chat", "port": "{{ chat_port }}", "memory": "{{ chat_memory }}"}]},
        {"inference_services": "{{ common_services + own_services }}"},
        {"inference_models": {"chat": {"source": "x", "engine_args": None}}},
        {"inference_clients_config": [{"type": "metis", "path": "/x", "doc_chunk_size": "{{ size }}", "settings": {"a": 1}}]},
        {"docker_daemon_config": {"log-driver": "journald"}, "my_own": 1},
        {"all": {"hosts": {"gpu01": None}, "children": {"inference_nodes": {"hosts": {"gpu01": {"ansible_host": "192.0.2.10"}}}}}},
    ],
    ids=str,
)
def test_what_ansible_knows_besides_is_let_through(right: Any) -> None:
    assert VALIDATOR.is_valid(right)
