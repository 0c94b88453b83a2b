# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.inventories import cpu, dgpu

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.inventory import (
    collect_inventory,
    plain,
    read_known_hardware,
    without_secrets,
    write_known_hardware,
)

SECRET = "sk-top-secret"


class Lazy(Mapping[str, Any]):
    """Variables that are resolved when they are read, and may fail then, as Ansible's own are."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values_ = values
        self.seen: list[str] = []

    def __getitem__(self, key: str) -> Any:
        self.seen.append(key)
        value = self.values_[key]
        if isinstance(value, Exception):
            raise value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def task_vars(**hosts: dict[str, Any]) -> dict[str, Any]:
    return {
        "groups": {"inference_nodes": list(hosts), "gateways": ["n1"]},
        "ansible_play_hosts": ["n1"],
        "hostvars": {name: Lazy(values) for name, values in hosts.items()},
    }


def test_inventory_has_only_what_the_plan_reads() -> None:
    variables = task_vars(
        n1={"inference_engine": "vllm", "other": 1, "ansible_host": "10.0.0.1", "ansible_facts": {"gpu_inference": dgpu()}},
        n2={"inference_plan": {"old": 1}},
    )
    inventory, unreadable = collect_inventory(variables, {"n2": {"platform": "jetson"}})
    assert unreadable == []
    assert inventory["in_play"] == ["n1"]
    assert inventory["hosts"]["n1"]["vars"] == {"inference_engine": "vllm", "ansible_host": "10.0.0.1"}
    assert inventory["hosts"]["n1"]["groups"] == ["inference_nodes", "gateways"]
    assert inventory["hosts"]["n1"]["hardware"]["platform"] == "dgpu"
    assert inventory["hosts"]["n2"] == {
        "groups": ["inference_nodes"],
        "vars": {},
        "unreadable": [],
        "hardware": None,
        "known_hardware": {"platform": "jetson"},
    }


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({}, "jetson"), ({"inference_platform_expected": "dgpu"}, "dgpu"), ({"inference_platform_expected": "auto"}, "auto")],
)
def test_the_group_of_a_platform_says_what_is_expected(variables: dict[str, str], expected: str) -> None:
    given = task_vars(n1=variables, n2={})
    given["groups"]["jetson"] = ["n1"]
    inventory, _unreadable = collect_inventory(given, {})
    assert inventory["hosts"]["n1"]["vars"] == {"inference_platform_expected": expected}
    assert inventory["hosts"]["n2"]["vars"] == {}


def test_secrets_are_not_even_read() -> None:
    variables = task_vars(
        n1={
            "inference_master_key": RuntimeError("no vault password"),
            "inference_gateway": {
                "client_keys": {"alice": SECRET, "bob": None, "eve": {"key": SECRET, "parallel": 4}},
                "redis": {"host": "r", "password": SECRET},
            },
            "inference_external_endpoints": [{"name": "x", "api_key": SECRET}, {"name": "y", "api_key": ""}, "rubbish"],
        }
    )
    inventory, unreadable = collect_inventory(variables, {})
    assert unreadable == []
    found = inventory["hosts"]["n1"]["vars"]
    assert SECRET not in json.dumps(found)
    assert found["inference_gateway"]["client_keys"] == {"alice": True, "bob": None, "eve": {"key": True, "parallel": 4}}
    assert found["inference_external_endpoints"][1]["api_key"] is None


def test_client_files_lose_tokens_variables_and_settings() -> None:
    entry = {
        "type": "crawl4ai",
        "path": "/a",
        "api_token": SECRET,
        "variables": {"LLM_API_KEY": SECRET},
        "settings": {"psql_database": {"password": SECRET}},
    }
    seen = without_secrets("inference_clients_config", [entry, "odd"])
    assert SECRET not in json.dumps(seen)
    assert (seen[0]["path"], seen[0]["api_token"], list(seen[0]["variables"]), seen[1]) == ("/a", True, ["LLM_API_KEY"], "odd")


def test_a_variable_that_cannot_be_evaluated_is_a_finding() -> None:
    broken = RuntimeError("'nope' is undefined\nand more")
    inventory, (finding,) = collect_inventory(task_vars(n1={"inference_models": broken}, n2={"inference_models": broken}), {})
    assert str(finding) == "inference_models (hosts n1, n2): cannot be evaluated: nope is not defined"
    assert inventory["hosts"]["n1"]["unreadable"] == ["inference_models"]


def test_what_was_registered_is_of_this_run_and_cached_facts_may_not_be() -> None:
    registered = {"__planning_gpu_facts": {"ansible_facts": {"gpu_inference": dgpu()}}}
    cached = {"ansible_facts": {"gpu_inference": cpu()}}
    variables = task_vars(n1={**registered, **cached}, n2=cached, n3={"__planning_gpu_facts": {"skipped": True}})
    inventory, _findings = collect_inventory(variables, {"n2": dgpu(), "n3": dgpu()}, cached_facts_are_fresh=False)
    hosts = inventory["hosts"]
    assert [hosts[name]["hardware"] and hosts[name]["hardware"]["platform"] for name in hosts] == ["dgpu", None, None]
    assert [hosts[name]["known_hardware"]["platform"] for name in ("n2", "n3")] == ["cpu", "dgpu"]
    inventory, _findings = collect_inventory(variables, {})
    assert inventory["hosts"]["n2"]["hardware"]["platform"] == "cpu"


def test_hosts_without_any_hardware_are_not_judged() -> None:
    inventory, _findings = collect_inventory(task_vars(n1={}), {})
    assert inventory["in_play"] == []


def test_plain_strips_subclasses() -> None:
    class Tagged(str):
        pass

    result = plain({Tagged("a"): [Tagged("b"), True, 1, 1.5, None, (Tagged("c"),)]})
    assert result == {"a": ["b", True, 1, 1.5, None, ["c"]]}
    assert all(type(text) is str for text in [*result, result["a"][0], result["a"][5][0]])


def test_known_hardware_is_kept_for_hosts_that_are_away(tmp_path: Path) -> None:
    path = tmp_path / ".secrets" / "known_hardware.json"
    write_known_hardware(path, {}, {"n1": dgpu(memory_available_mib=1)})
    write_known_hardware(path, read_known_hardware(path), {"n2": dgpu()})
    known = read_known_hardware(path)
    assert sorted(known) == ["n1", "n2"]
    assert "memory_available_mib" not in known["n1"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [item.name for item in path.parent.iterdir()] == ["known_hardware.json"]


def test_known_hardware_is_not_written_again_when_nothing_changed(tmp_path: Path) -> None:
    path = tmp_path / "known_hardware.json"
    write_known_hardware(path, {}, {"n1": dgpu()})
    before = path.stat().st_mtime_ns, path.stat().st_ino
    write_known_hardware(path, read_known_hardware(path), {"n1": dgpu(memory_available_mib=5)})
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00"])
def test_a_broken_file_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "known_hardware.json"
    path.write_text(content, encoding="utf-8")
    assert read_known_hardware(path) == {}
