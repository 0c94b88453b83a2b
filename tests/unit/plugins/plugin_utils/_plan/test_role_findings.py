# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables of roles against the roles' argument specs, for all hosts at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.role_findings import ROLES, role_findings

PLAY_GROUPS = {"inference_nodes", "gateways", "inference_clients"}


class Unresolved(Mapping[str, Any]):
    """Variables as Ansible hands them out: a template fails when it is read."""

    def __init__(self, **values: Any) -> None:
        self.values_ = values

    def __getitem__(self, name: str) -> Any:
        if isinstance(self.values_[name], Exception):
            raise self.values_[name]
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def found(groups: list[str], **variables: Any) -> list[str]:
    return [str(finding) for finding in role_findings({"a": {"groups": groups}}, {"a": Unresolved(**variables)})]


def test_all_that_is_wrong_is_told_at_once() -> None:
    told = found(["inference_nodes"], docker_start_timeout="soon", docker_source="snap", engines_progress=[], network_guard="perhaps")
    assert len(told) == 4, told
    assert [line.split(" (host a): ")[0] for line in told] == ["docker_start_timeout", "docker_source", "network_guard", "engines_progress"]
    assert "value of docker_source must be one of: auto" in told[1]


def test_what_the_specs_take_is_right() -> None:
    assert found(["inference_nodes", "gateways"], docker_start_timeout="30", docker_source="docker", litellm_port=8400, other=[]) == []


def test_roles_of_other_groups_do_not_matter() -> None:
    assert found(["inference_clients"], litellm_port="no number", engines_progress=[]) == []
    assert len(found(["gateways"], litellm_port="no number", engines_progress=[])) == 1


def test_no_secret_is_shown() -> None:
    (told,) = found(["gateways"], litellm_client_keys=["sk-top-secret"])
    assert "sk-top-secret" not in told
    assert told.startswith("litellm_client_keys (host a): must be a dict")


def test_what_only_the_role_can_read_is_left_to_it() -> None:
    assert found(["gateways"], docker_start_timeout=KeyError("x"), docker_source="{{ undefined }}") == []


def test_a_mistake_of_many_hosts_is_one_line() -> None:
    hosts = {name: {"groups": ["gateways"]} for name in ("a", "b", "c", "d")}
    (told,) = role_findings(hosts, {name: {"docker_source": "snap"} for name in hosts})
    assert told.variable == "docker_source (hosts a, b, c and 1 more)"


def test_the_roles_of_a_group_are_those_that_site_runs_there() -> None:
    """site.yml tells Ansible not to look at argument specs itself."""
    run: dict[str, set[str]] = {group: set() for group in ROLES}
    for play in yaml.safe_load((ROOT / "playbooks/site.yml").read_text(encoding="utf-8")):
        for task in play.get("tasks", []):
            included = task.get("ansible.builtin.include_role", {})
            role = task.get("ansible.builtin.import_role") or ("rolespec_validate" in included and included)
            if role:
                assert role["rolespec_validate"] is False, task["name"]
                for group in PLAY_GROUPS & set(re.findall(r"\w+", play["hosts"])):
                    run[group].add(role["name"].rpartition(".")[2])
    assert all(run.values())
    assert {group: roles - set(ROLES[group]) for group, roles in run.items()} == {group: set() for group in ROLES}
