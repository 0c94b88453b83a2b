# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What hosts make of the engines that they have, whichever these are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .base import Means
from .registry import DEFAULT, ENGINES


def engine_variables(engines: Sequence[str]) -> list[str]:
    """The users' variables that make a difference to the units of these; none of what is no engine."""
    return [f"{name}_{setting}" for name in engines if name in ENGINES for setting in ENGINES[name].settings]


def engine_units(
    host: Mapping[str, Any],
    variables: Mapping[str, Any] | None = None,
    api_key: str | None = None,
    huggingface_token: str | None = None,
    keys: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """The container units of a host's part of the plan. Raises ValueError with all that is wrong."""
    means = Means(host["data_dir"], variables or {}, api_key, huggingface_token, keys or {})
    units: list[dict[str, Any]] = []
    errors: list[str] = []
    for name, engine in ENGINES.items():
        try:
            units += engine.units(host[name], means)
        except ValueError as error:
            errors.append(str(error))
    if errors:
        raise ValueError("\n".join(errors))
    return units


def proxied_services(services: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The services of a host's proxy with what it lets through to their engine. Raises ValueError for an engine that there is not."""
    named = [{**service, "engine": service.get("engine") or DEFAULT} for service in services]
    unknown = sorted({str(service["engine"]) for service in named} - set(ENGINES))
    if unknown:
        raise ValueError(f"node_proxy_services: no such engine: {', '.join(unknown)}; known: {', '.join(ENGINES)}")
    return [{**service, "routes": list(ENGINES[service["engine"]].proxied)} for service in named]
