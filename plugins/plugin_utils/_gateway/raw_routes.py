# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""C(pass_through_endpoints): raw routes to a server, past LiteLLM's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .error import GatewayError
from .models import DEFAULT_TIMEOUT, Model


def raw_routes(gateway: Mapping[str, Any], models: Sequence[Model], aliases: Mapping[str, str], host: str) -> list[dict[str, Any]]:
    by_name = {model.name: model for model in models}
    return [_raw_route(entry, by_name, aliases, host) for entry in gateway.get("passthrough") or ()]


def _raw_route(entry: Mapping[str, Any], models: Mapping[str, Model], aliases: Mapping[str, str], host: str) -> dict[str, Any]:
    """A raw route to the first backend of a model, for what LiteLLM's own route would refuse (embeddings of images)."""
    path = str(entry.get("path") or "")
    problems: list[str] = []
    if not re.fullmatch(r"/[A-Za-z0-9._~/-]+", path):
        problems.append(f"passthrough path {path!r} must start with / and hold plain characters only")
    name = str(entry.get("model") or "")
    model = models.get(aliases.get(name, name))
    target = entry.get("target")
    key_variable = entry.get("key_variable")
    timeout = entry.get("timeout")
    if target is None:
        if model is None:
            raise GatewayError([*problems, f"passthrough {path!r} names the model {name!r}, which the gateway does not have"])
        backend = min(model.backends, key=lambda item: item.order if item.order is not None else 1)
        target = backend.openai_base(host) + str(entry.get("target_path") or "/embeddings")
        key_variable = key_variable or backend.key_variable
        timeout = timeout or model.timeout
    if problems:
        raise GatewayError(problems)
    headers: dict[str, str] = {"Content-Type": "application/json"}
    if key_variable:
        headers["Authorization"] = f"Bearer os.environ/{key_variable}"
    return {
        "path": path,
        "target": str(target),
        "methods": list(entry.get("methods") or ["POST"]),
        "auth": True,
        "timeout": timeout or DEFAULT_TIMEOUT,
        "headers": dict(sorted(headers.items())),
    }
