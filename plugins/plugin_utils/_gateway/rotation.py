# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What of a host is to go out of rotation: its backends by the gateway's names, and their units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...module_utils._node import Instance
from .._engines.registry import ENGINES
from .models import models_of


class NothingToDrainError(ValueError):
    """Why there is nothing to take out."""


def _unit_of(container: str) -> Instance:
    """What runs in this container."""
    kind = next(kind for kind in ENGINES if container.startswith(f"{kind}-"))
    return Instance(kind, container[len(kind) + 1 :])


def drained(plan: Mapping[str, Any], host: str, service: str = "") -> dict[str, list[str]]:
    """C(plan): that of all hosts. C(service): by the name of its unit or of the service; with it go LoRA adapters.

    An engine over several hosts goes with each of them, although only the first answers.
    """
    gateway = plan.get("gateway")
    if not gateway:
        raise NothingToDrainError("this inventory has no gateway, so nobody is sent to an engine")
    backends = [backend for model in models_of(gateway) for backend in model.backends if backend.host and backend.container]
    elsewhere = {
        (row["members"][0], f"{row['engine']}-{row['service']}")
        for row in plan.get("table") or ()
        if row["host"] == host and row.get("rank")
    }
    here = {
        backend.id: _unit_of(str(backend.container))
        for backend in backends
        if backend.host == host or (backend.host, backend.container) in elsewhere
    }
    if not here:
        hosts = sorted({str(backend.host) for backend in backends})
        wanted = host or "a host without a name (give -e host=NAME)"
        raise NothingToDrainError(f"no gateway sends anybody to {wanted}; there are engines on {', '.join(hosts) or 'no host'}")
    chosen = {name: unit for name, unit in here.items() if service in ("", unit.name) or name == f"{service}-{host}"}
    if not chosen:
        raise NothingToDrainError(f"{host} has no service {service}; it has {', '.join(sorted({unit.name for unit in here.values()}))}")
    return {"backends": sorted(chosen), "units": sorted({unit.unit for unit in chosen.values()})}


def rotation_of(plan: Mapping[str, Any], host: str) -> dict[str, Any]:
    """Where the backends of a host's engines go out of rotation, and by KIND/NAME what they are called there and what models they are for;
    empty where nobody is sent to any."""
    gateway = plan.get("gateway")
    if not gateway:
        return {}
    backends: dict[str, list[str]] = {}
    models: dict[str, list[str]] = {}
    for model in models_of(gateway):
        for backend in model.backends:
            if backend.host == host and backend.container:
                instance = _unit_of(str(backend.container)).instance
                backends.setdefault(instance, []).append(backend.id)
                models.setdefault(instance, []).append(model.name)
    return {"gateways": list(gateway["hosts"]), "backends": backends, "models": models} if backends else {}
