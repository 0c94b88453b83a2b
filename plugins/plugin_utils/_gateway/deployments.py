# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""C(model_list): one deployment for each server behind a model."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Final

from .._engines.dialect import Provider
from .._engines.registry import PROVIDERS, dialect_of
from .models import Backend, Model
from .parameters import FREE, MODES

#: How long a failed backend is left out when others serve the same model.
COOLDOWN_TIME = 30
#: A client's own 404 would otherwise take the only backend of a model out for everybody.
SINGLE_BACKEND_ALLOWED_FAILS = 1000
#: Several backends: the first failure that is the server's fault moves the traffic. What a client can cause never does.
SEVERAL_BACKENDS_POLICY: Final[Mapping[str, int]] = {
    "TimeoutErrorAllowedFails": 0,
    "InternalServerErrorAllowedFails": 0,
    "ServiceUnavailableErrorAllowedFails": 0,
    "BadGatewayErrorAllowedFails": 0,
    "AuthenticationErrorAllowedFails": 0,
    "RateLimitErrorAllowedFails": 10,
    "NotFoundErrorAllowedFails": 100000,
}


def provider_of(backend: Backend, capability: str) -> Provider:
    """The one that was chosen for this server, or how its engine is asked."""
    if backend.provider:
        return PROVIDERS.get(backend.provider) or Provider(backend.provider, bearer=False)
    return dialect_of(backend.engine).provider(capability)


def deployments(models: Iterable[Model], gateway_host: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for model in models:
        group_has_order = any(backend.order is not None for backend in model.backends)
        found.extend(_deployment(model, backend, gateway_host, group_has_order) for backend in model.backends)
    return found


def _deployment(model: Model, backend: Backend, gateway_host: str, group_has_order: bool) -> dict[str, Any]:
    provider = provider_of(backend, model.capability)
    params: dict[str, Any] = {
        "model": f"{provider.name}/{backend.model}",
        "api_base": backend.server_root(gateway_host) if provider.at_root else backend.openai_base(gateway_host),
    }
    if backend.key_variable:
        params["api_key"] = f"os.environ/{backend.key_variable}"
    params["timeout"] = model.timeout
    if model.capability == "chat":
        params["stream_timeout"] = model.stream_timeout
    several = len(model.backends) > 1
    # A deployment without an order is tried before all others, so one order in a group means an order for all.
    if several and group_has_order:
        params["order"] = backend.order if backend.order is not None else 1
    if several and backend.weight is not None:
        params["weight"] = backend.weight
    params.update(copy.deepcopy(dict(model.request_defaults)))

    info: dict[str, Any] = {"id": backend.id, "mode": MODES[model.capability]}
    max_input_tokens = model.max_input_tokens if backend.max_input_tokens is None else backend.max_input_tokens
    if max_input_tokens is not None:
        info["max_input_tokens"] = max_input_tokens
    if "image" in model.modalities:
        info["supports_vision"] = True
    if several:
        info["cooldown_time"] = COOLDOWN_TIME
        info["allowed_fails_policy"] = dict(SEVERAL_BACKENDS_POLICY)
    else:
        info["allowed_fails"] = SINGLE_BACKEND_ALLOWED_FAILS
    if not backend.health:
        info["disable_background_health_check"] = True
    # A provider that somebody chose may be one that takes money.
    if not backend.provider and not any("cost" in key for key in model.request_defaults):
        info.update(FREE)
    return {"model_name": model.name, "litellm_params": params, "model_info": info}
