# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task hears of a filter whose input is wrong: its own words, and no traceback."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.filter import (
    engines,
    litellm,
    plan_table,
    resolved_addresses,
    run_summary,
)


def unknown(_name: str) -> list[str]:
    raise OSError("Name or service not known")


@pytest.mark.parametrize(
    ("plugin", "name", "given", "told"),
    [
        (engines, "proxied_services", [[{"name": "x", "engine": "nope"}]], "node_proxy_services: no such engine: nope; known: vllm, "),
        (
            engines,
            "ollama_units",
            [[{"name": "small", "port": 1}]],
            "ollama_instances[0] small: image is missing.",
        ),
        (litellm, "litellm_secret_environment", [{"engine_keys": {"n-1": "a", "n_1": "b"}}], "'n-1' and 'n_1' would share the variable"),
        (plan_table, "plan_table", ["text"], "plan_table needs the plan that llmops.gpu_inference.plan returns"),
        (run_summary, "run_summary", [{"table": None}, {}], "run_summary needs the plan that llmops.gpu_inference.plan returns"),
        (resolved_addresses, "resolved_addresses", [["node1"], unknown], "its name could not be looked up on the controller"),
    ],
)
def test_what_is_wrong_is_told(plugin: ModuleType, name: str, given: list[Any], told: str) -> None:
    with pytest.raises(AnsibleFilterError) as error:
        plugin.FilterModule().filters()[name](*given)
    assert told in str(error.value)


def test_every_mistake_of_a_host_is_told_at_once() -> None:
    host = {"data_dir": "/srv", "vllm": [], "ollama": [{"name": "small", "port": 1}], "llama_cpp": [], "container": []}
    with pytest.raises(AnsibleFilterError, match=r"ollama_instances\[0\]"):
        engines.FilterModule().filters()["engine_units"](host)


def test_what_goes_through_a_proxy_follows_its_engine() -> None:
    proxied = engines.FilterModule().filters()["proxied_services"]
    chat, small = proxied([{"name": "chat"}, {"name": "small", "engine": "ollama"}])
    assert (chat["engine"], small["engine"]) == ("vllm", "ollama")
    assert chat["routes"] != small["routes"]


def test_addresses_of_names() -> None:
    resolve = resolved_addresses.FilterModule().filters()["resolved_addresses"]
    assert resolve(["192.0.2.0/24", "node1", "192.0.2.9"], lambda _name: ["192.0.2.9", "fe80::1%eth0"]) == [
        *("192.0.2.0/24", "192.0.2.9", "fe80::1")
    ]
