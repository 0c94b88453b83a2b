# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""From the raw variables of all hosts to typed ones. The same value on many hosts is read once and its mistakes told once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Generic, TypeVar

from .findings import Report, hint
from .model import FACTS, VARIABLES, Host
from .schema_models import parse_models
from .schema_services import parse_services
from .schema_settings import SettingsKeys, parse_settings

Parsed = TypeVar("Parsed")


class Shared(Generic[Parsed]):
    """Reads one variable of every host, equal values only once."""

    def __init__(self, parse: Callable[[Any, Report], Parsed], *, always_name_hosts: bool = False) -> None:
        self._parse = parse
        self._always_name_hosts = always_name_hosts
        self._entries: dict[str, tuple[Parsed, Report, list[str]]] = {}

    def read(self, host: str, raw: Any) -> Parsed:
        key = repr(raw)
        if key not in self._entries:
            report = Report()
            self._entries[key] = (self._parse(raw, report), report, [])
        parsed, _report, hosts = self._entries[key]
        hosts.append(host)
        return parsed

    def finish(self, report: Report) -> None:
        name_hosts = self._always_name_hosts or len(self._entries) > 1
        for _parsed, own, hosts in self._entries.values():
            for finding in own.findings:
                report.add(finding.variable, finding.value, finding.message, hosts if name_hosts else ())
            for warning in own.warnings:
                report.warn(warning, hosts if name_hosts else ())


def read_hosts(inventory: Mapping[str, Any], report: Report) -> dict[str, Host]:
    """Every declared host with its typed variables."""
    in_play = set(inventory.get("in_play") or ())
    catalogues = Shared(parse_models)
    services = Shared(parse_services, always_name_hosts=True)
    settings = Shared(parse_settings)
    hosts: dict[str, Host] = {}
    misspelt: dict[str, list[str]] = {}
    for name, data in (inventory.get("hosts") or {}).items():
        variables = data.get("vars") or {}
        for variable in variables:
            if variable.startswith("inference_") and variable not in VARIABLES and variable not in FACTS:
                misspelt.setdefault(variable, []).append(name)
        host_settings = settings.read(name, {key: variables[key] for key in SettingsKeys.names() if key in variables})
        groups = frozenset(data.get("groups") or ())
        is_node = "inference_nodes" in groups
        hosts[name] = Host(
            name=name,
            groups=groups,
            in_play=name in in_play,
            address=host_settings.address or str(variables.get("ansible_host") or name),
            settings=host_settings,
            models=catalogues.read(name, variables["inference_models"]) if variables.get("inference_models") is not None else {},
            services=services.read(name, variables["inference_services"])
            if is_node and variables.get("inference_services") is not None
            else (),
            unreadable=frozenset(data.get("unreadable") or ()),
        )
    for variable, where in sorted(misspelt.items()):
        # The value may be anything, a secret too.
        report.add(
            variable,
            None,
            f"unknown variable; names that begin with inference_ belong to this collection.{hint(variable, VARIABLES)}",
            where,
        )
    for shared in (settings, catalogues, services):
        shared.finish(report)
    return hosts
