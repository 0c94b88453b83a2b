# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What C(endpoint_ready) is to ask of a gateway, and of the engines behind it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .._engines.registry import dialect_of
from .models import Backend, models_of
from .urls import gateway_url
from .variables import MASTER_KEY_VARIABLE


def build_endpoints(gateway: Mapping[str, Any], host: str, away: Collection[str] = (), ca: str = "") -> dict[str, list[dict[str, Any]]]:
    """What C(endpoint_ready) is to ask: C(gateway) from the host through the gateway, C(engines) from inside the gateway's container.

    C(key_variable) takes the place of the key; the role puts the value in at the last moment. Nobody waits for engines on hosts that are
    C(away), nor for models that only those serve; their routes stay. C(ca): the authority of our own certificates.
    """
    base_url = f"{gateway_url(str(gateway.get('bind') or ''), int(gateway.get('port') or 8400), tls='tls' in gateway)}/v1"
    through: list[dict[str, Any]] = []
    engines: list[dict[str, Any]] = []

    def waited_for(backend: Backend) -> bool:
        return backend.health and backend.host not in away

    for model in models_of(gateway):
        through.append(
            {
                "name": f"gateway/{model.name}",
                "base_url": base_url,
                "health_path": "/health/readiness",
                "level": "answer",
                "capability": model.capability,
                "modalities": list(model.modalities),
                "model": model.name,
                "key_variable": MASTER_KEY_VARIABLE,
                "required": any(map(waited_for, model.backends)),
            }
        )
        if "tls" in gateway:
            through[-1]["ca"] = ca
        if model.capability == "embedding" and model.dimension:
            through[-1]["dimension"] = model.dimension
        for backend in model.backends:
            dialect = dialect_of(backend.engine)
            endpoint: dict[str, Any] = {
                "name": backend.id,
                "base_url": backend.openai_base(host),
                "health_path": dialect.health_path,
                "level": "model" if dialect.lists_models else "health",
                "capability": model.capability,
                "modalities": list(model.modalities),
                "model": backend.model,
                "required": waited_for(backend),
            }
            if backend.host is not None and endpoint["base_url"].startswith("https:"):
                endpoint["ca"] = ca
            if backend.key_variable:
                endpoint["key_variable"] = backend.key_variable
            engines.append(endpoint)
    return {"gateway": through, "engines": engines}


def with_keys(endpoints: Iterable[Mapping[str, Any]], secrets: Mapping[str, str]) -> list[dict[str, Any]]:
    """C(key_variable) of each endpoint replaced by C(api_key), the variable's value."""
    result: list[dict[str, Any]] = []
    for endpoint in endpoints:
        item = dict(endpoint)
        variable = item.pop("key_variable", None)
        if variable and secrets.get(variable):
            item["api_key"] = secrets[variable]
        result.append(item)
    return result
