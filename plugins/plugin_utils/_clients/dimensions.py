# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Dimensions of embedding models that client programs are told of: which are not known yet, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._gateway.plain import plain
from .base import ClientModel
from .registry import CLIENTS


def models_to_measure(files: Sequence[Mapping[str, Any]], models: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The embedding models whose dimension a file needs and nobody has given: to be asked for before rendering."""
    catalogue = [plain(model) for model in models]
    needed: list[dict[str, Any]] = []
    for raw in files:
        entry = plain(raw)
        client = CLIENTS.get(str(entry.get("type")))
        if client is None:
            continue
        for key, given in client.dimensions.items():
            model = _first(catalogue, client.needs[key], entry.get(key), entry.get("key")) if entry.get(given) is None else None
            if model is not None and model.get("dimension") is None and model not in needed:
                needed.append(model)
    return needed


def _first(catalogue: Sequence[dict[str, Any]], capability: str, name: str | None, client: str | None) -> dict[str, Any] | None:
    for model in catalogue:
        known = ClientModel.from_plan(model)
        if known.capability == capability and known.is_for(client) and (name is None or known.answers_to(name)):
            return model
    return None


def with_dimensions(models: Sequence[Mapping[str, Any]], measured: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`models` with the dimensions found in the rows that verify_gateway returned."""
    found = {row["model"]: row["dimension"] for row in plain(list(measured)) if row.get("dimension") is not None}
    return [{**plain(model), **({"dimension": found[model["name"]]} if model["name"] in found else {})} for model in models]
