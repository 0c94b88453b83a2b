# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What stands against a gateway: every problem of its models and aliases at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._engines.registry import ENGINES, engines_for
from .error import GatewayError
from .models import Model
from .parameters import MODES, ROUTING_KEYS


def aliases_of(gateway: Mapping[str, Any], models: Sequence[Model]) -> dict[str, str]:
    """Both alias layers as one map; an alias that means two models raises."""
    names = {model.name for model in models}
    aliases: dict[str, str] = {}
    problems: list[str] = []
    pairs = [(alias, model.name) for model in models for alias in model.aliases]
    pairs += [(str(alias), str(target)) for alias, target in (gateway.get("aliases") or {}).items()]
    for alias, target in pairs:
        if alias == target:
            continue
        if target not in names:
            problems.append(f"alias {alias!r} points to {target!r}, which no model at the gateway is called")
        elif alias in names:
            problems.append(f"alias {alias!r} of {target!r} is also the name of a model: requests for it would never reach {target!r}")
        elif aliases.setdefault(alias, target) != target:
            problems.append(f"alias {alias!r} points to both {aliases[alias]!r} and {target!r}")
    if problems:
        raise GatewayError(problems)
    return dict(sorted(aliases.items()))


def check_models(models: Sequence[Model], gateway_host: str) -> None:
    names = [model.name for model in models]
    identities = [backend.id for model in models for backend in model.backends]
    problems = [f"model {name!r} is listed more than once" for name in _repeated(names)]
    problems += [f"backend id {identity!r} is used more than once: replies could not be told apart" for identity in _repeated(identities)]
    for model in models:
        problems.extend(_problems_of(model, names, gateway_host))
    if problems:
        raise GatewayError(problems)


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _problems_of(model: Model, names: Sequence[str], gateway_host: str) -> Iterator[str]:
    if model.capability not in MODES:
        yield f"model {model.name!r}: capability {model.capability!r} is not one of {', '.join(MODES)}"
    if not model.backends:
        yield f"model {model.name!r} has no backend"
    for key in sorted(set(model.request_defaults) & ROUTING_KEYS):
        yield f"model {model.name!r}: request_defaults may not set {key!r}, it decides where requests go"
    for target in model.fallbacks:
        if target not in names:
            yield f"model {model.name!r}: fallback {target!r} is not a model at the gateway"
    for backend in model.backends:
        if not re.match(r"https?://[^/]+", backend.openai_base(gateway_host)):
            yield f"backend {backend.id!r} of model {model.name!r} cannot be reached from {gateway_host}: url is {backend.url!r}"
        engine, able = ENGINES.get(backend.engine), engines_for(model.capability)
        if engine and able and engine.name not in able and not backend.provider:
            yield f"backend {backend.id!r} of model {model.name!r}: {engine.title} has no {model.capability}; use {' or '.join(able)}"
