# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.module_utils._releases import LATEST
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.status import table
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.usage import usage_table
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units.kinds import described_kinds
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units.turns import turns
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units.way_back import (
    instances_that_failed,
    parts_that_failed,
    to_go_back,
)


def unit_kinds(groups: Sequence[str], described: bool = False) -> list[Any]:
    try:
        kinds = described_kinds(groups)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from None
    return [{"kind": kind, "description": text} for kind, text in kinds.items()] if described else list(kinds)


def unit_status_table(hosts: Mapping[str, Any], plan: Mapping[str, Any] | None = None) -> list[str]:
    return table(hosts, plan or {})


def units_with_secrets(units: Sequence[Mapping[str, Any]], secrets: Mapping[str, str]) -> list[dict[str, Any]]:
    found = []
    for unit in units:
        environment = dict(unit.get("environment") or {})
        secret = {name: secrets[value] for name, value in environment.items() if isinstance(value, str) and value in secrets}
        rest = {name: value for name, value in environment.items() if name not in secret}
        found.append({**unit, "environment": rest, "secret_environment": {**(unit.get("secret_environment") or {}), **secret}})
    return found


def container_unit_endpoints(units: Sequence[Mapping[str, Any]], reconciled: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    endpoints = []
    for unit in units:
        if not unit.get("probe"):
            continue  # of an engine over several hosts the first answers for all
        probe = dict(unit["probe"])
        known = (reconciled or {}).get(f"{unit['kind']}/{unit['name']}") or {}
        key = (unit.get("secret_environment") or {}).get(probe.pop("api_key_variable", None))
        endpoints.append(
            {
                "name": unit["name"],
                "unit": f"{unit['kind']}@{unit['name']}.service",
                **{option: value for option, value in probe.items() if value is not None},
                **({"api_key": key} if key else {}),
                **({"config_hash": known["config_hash"]} if known.get("config_hash") else {}),
            }
        )
    return endpoints


def units_to_go_back(
    units: Sequence[Mapping[str, Any]],
    unproved: Mapping[str, int | None],
    waited: Mapping[str, Any] | None = None,
    proved: Mapping[str, Any] | None = None,
    elsewhere: Sequence[str] = (),
) -> dict[str, str]:
    failed = {*instances_that_failed(unproved, waited or {}, proved or {}), *elsewhere}
    return dict.fromkeys(to_go_back(units, unproved, failed), LATEST)


def unit_parts_that_failed(units: Sequence[Mapping[str, Any]], found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    return sorted(parts_that_failed(units, found))


def units_as_released(units: Sequence[Mapping[str, Any]], probes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**unit, "probe": probes[f"{unit['kind']}/{unit['name']}"]} for unit in units if f"{unit['kind']}/{unit['name']}" in probes]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "container_unit_endpoints": container_unit_endpoints,
            "gateway_usage_table": usage_table,
            "unit_kinds": unit_kinds,
            "unit_parts_that_failed": unit_parts_that_failed,
            "units_as_released": units_as_released,
            "units_in_turns": turns,
            "units_to_go_back": units_to_go_back,
            "unit_status_table": unit_status_table,
            "units_with_secrets": units_with_secrets,
        }
