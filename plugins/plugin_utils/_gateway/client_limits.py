# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The limits of clients as the gateway's plug-ins read them (C(roles/litellm/files/gateway_quotas.py))."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .checks import aliases_of
from .models import models_of


def client_limits(gateway: Mapping[str, Any]) -> dict[str, Any]:
    """Limits by client: models by every name that they have at the gateway, and the raw routes that lead to them."""
    models = models_of(gateway)
    aliases = {**_own_aliases(gateway), **aliases_of(gateway, models)}
    found: dict[str, Any] = {}
    for client, limits in (gateway.get("client_limits") or {}).items():
        found[str(client)] = dict(limits)
        if limits.get("models") is not None:
            allowed = set(limits["models"])
            names = allowed | {alias for alias, target in aliases.items() if target in allowed}
            raw = [entry for entry in gateway.get("passthrough") or () if entry.get("path") and not entry.get("target")]
            routes = sorted(str(entry["path"]) for entry in raw if entry.get("model") in names)
            found[str(client)] |= {"models": sorted(names), "routes": routes}
    return found


def _own_aliases(gateway: Mapping[str, Any]) -> dict[str, str]:
    """Those that the user gave to LiteLLM itself."""
    router = (gateway.get("settings") or {}).get("router_settings") or {}
    aliases = router.get("model_group_alias") or {}
    return {str(alias): str(target.get("model") if isinstance(target, Mapping) else target) for alias, target in aliases.items()}
