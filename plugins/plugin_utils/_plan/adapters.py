# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""LoRA adapters of a model: each is a name of its own at the gateway, answered by the engines of its model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .._secrets.secrecy import has_credentials
from .findings import Fields, Report
from .grammar import MODEL_NAME, MODEL_NAME_EXPECTED, path_trouble
from .keys import Schema, any_of, mapping_of, matching
from .model import Model, Variant

_HUB_ID = r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*"
#: What the key is to an editor.
ADAPTERS: Schema = mapping_of(any_of({"type": "string", "pattern": "^/"}, matching(_HUB_ID)), MODEL_NAME)


def read_adapters(fields: Fields) -> dict[str, str | None] | None:
    """Where each adapter is, by its name; null takes one out, below C(on_platform)."""
    if not fields.has("adapters"):
        return None
    found: dict[str, str | None] = {}
    for name, value in fields.mapping("adapters").items():
        trouble = _trouble(value)
        if not re.fullmatch(MODEL_NAME, name):
            fields.add(f"adapters.{name}", value, f"the name of an adapter must be {MODEL_NAME_EXPECTED}")
        elif trouble:
            fields.add(f"adapters.{name}", value, trouble)
        else:
            found[name] = value
    return found


def _trouble(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and has_credentials(value):
        return "is an address with a user, a password or a query in it; use inference_huggingface_token, or a folder on the node"
    if isinstance(value, str) and value.startswith("/"):
        return path_trouble(value)
    if isinstance(value, str) and re.fullmatch(_HUB_ID, value):
        return None
    return "must be the absolute path of the adapter's folder on the node, or a hub id such as org/name"


def adapters_of(variant: Variant) -> dict[str, str]:
    """The adapters that are served with these means of a model: name and place."""
    return {name: place for name, place in (variant.adapters or {}).items() if place is not None}


def adapter_names(model: Model) -> tuple[str, ...]:
    """Those that a model has on any platform."""
    variants = (model.base, *model.on_platform.values())
    return tuple(dict.fromkeys(name for variant in variants for name in adapters_of(variant)))


def as_model(model: Model, adapter: str) -> Model:
    """What the gateway offers under an adapter's name: as its model, without what is said of that model's name alone.

    A fallback of the model has not learnt what the adapter has.
    """
    return replace(model, name=adapter, path=_written(model, adapter)[0], aliases=(), fallbacks=(), passthrough="")


def _written(model: Model, adapter: str) -> tuple[str, str]:
    """Where an adapter is first named, and its place."""
    variants = {model.path: model.base, **{f"{model.path}.on_platform.{name}": variant for name, variant in model.on_platform.items()}}
    path, variant = next((path, variant) for path, variant in variants.items() if adapter in adapters_of(variant))
    return f"{path}.adapters.{adapter}", adapters_of(variant)[adapter]


def check_names(models: Sequence[Model], report: Report) -> None:
    """A name at the gateway means one thing. What is an alias too, is found where aliases are resolved."""
    names = {model.name.lower(): model.name for model in models}
    owners: dict[str, tuple[str, str]] = {}  # folded name -> the adapter and its model
    for model in models:
        sources = {variant.source for variant in (model.base, *model.on_platform.values())}
        for adapter in adapter_names(model):
            before, owner = owners.setdefault(adapter.lower(), (adapter, model.name))
            if adapter.lower() in names:
                clash = f"is also the name of the model {names[adapter.lower()]!r}"
            elif adapter in sources:
                clash = f"is also the source of {model.name!r}, the name of the model without an adapter"
            elif owner != model.name:
                clash = f"is also the name of an adapter of the model {owner!r}"
            elif before != adapter:
                clash = f"differs only in case from the adapter {before!r}"
            else:
                continue
            report.add(*_written(model, adapter), f"{clash}; a request could mean either. Give the adapter another name")
