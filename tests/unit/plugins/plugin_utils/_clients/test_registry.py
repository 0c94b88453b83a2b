# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client program is its file and its line in the registry; what must be written by hand besides is held to that."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from support.inventories import everything
from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.filter.units import unit_kinds
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.base import Client
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.entries import keys_of
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.keys import COMMON_KEYS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.registry import CLIENTS

PAGE = (ROOT / "roles/clients/README.md").read_text(encoding="utf-8")
CONTAINERS = {name: client.container for name, client in CLIENTS.items() if client.container is not None}


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_a_program_has_a_file_of_its_name() -> None:
    assert [type(client).__module__.rpartition(".")[2] for client in CLIENTS.values()] == list(CLIENTS)


def test_the_role_describes_every_program() -> None:
    described = " ".join(load("roles/clients/meta/argument_specs.yml")["argument_specs"]["main"]["options"]["clients_files"]["description"])
    (types,) = re.findall(r"C\(type\) \(([^)]*\)(?:[^()]*\([^)]*\))*)\)", described)
    assert re.findall(r"V\((\w+)\)", types) == list(CLIENTS)


@pytest.mark.parametrize("client", CLIENTS.values(), ids=list(CLIENTS))
def test_the_page_of_the_role_names_the_keys(client: Client) -> None:
    (row,) = re.findall(rf"^\| `{client.name}` \|[^|]*\|([^|]*)\|$", PAGE, re.M)
    further = [name for name in keys_of(client) if name not in COMMON_KEYS]
    assert [name for name in further if f"`{name}`" not in row] == []


def test_the_page_lists_no_other_program() -> None:
    (table,) = re.findall(r"^\| type \|.*\n\| ---.*\n((?:\|.*\n)+)", PAGE, re.M)
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == list(CLIENTS)


def test_the_launcher_installs_a_template_unit_for_each_kind() -> None:
    assert unit_kinds(["engines", "gateway", "clients"], described=True) == [
        {"kind": "vllm", "description": "vLLM engine"},
        {"kind": "ollama", "description": "Ollama server"},
        {"kind": "llama_cpp", "description": "llama.cpp server"},
        {"kind": "container", "description": "Inference server"},
        {"kind": "litellm", "description": "LiteLLM gateway"},
        {"kind": "crawl4ai", "description": "Crawl4AI server"},
        {"kind": "open_webui", "description": "Open WebUI server"},
    ]


def test_variables_of_images_have_the_image_of_the_program() -> None:
    defaults = load("roles/clients/defaults/main.yml")
    named = load("roles/clients/vars/main.yml")["__clients_images"]
    for kind, template in named.items():
        variable = re.fullmatch(r"\{\{ (\w+) \}\}", template)
        assert variable is not None
        assert defaults[variable[1]] == CONTAINERS[kind].image


def test_the_inventory_with_everything_has_every_program() -> None:
    entries = everything()["hosts"]["node1"]["vars"]["inference_clients_config"]
    assert [entry["type"] for entry in entries] == list(CLIENTS)


@pytest.mark.parametrize(("name", "client"), CLIENTS.items(), ids=list(CLIENTS))
def test_what_a_program_says_of_itself_fits_together(name: str, client: Client) -> None:
    assert client.name == name
    assert set(client.dimensions) <= {key for key, capability in client.needs.items() if capability == "embedding"}
    assert {key.partition("[")[0] for key in (*client.needs, *client.dimensions.values())} <= set(client.keys)
    assert not set(client.keys) & set(COMMON_KEYS)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    if client.container and client.container.token:
        assert keys_of(client)[client.container.token.key].hide is not None


@pytest.mark.parametrize(
    ("groups", "kinds"),
    [
        (["engines"], ["vllm", "ollama", "llama_cpp", "container"]),
        (["gateway", "clients"], ["litellm", "crawl4ai", "open_webui"]),
        (["clients", "gateway"], ["crawl4ai", "open_webui", "litellm"]),
        ([], []),
    ],
)
def test_kinds_of_groups(groups: list[str], kinds: list[str]) -> None:
    assert unit_kinds(groups) == kinds
