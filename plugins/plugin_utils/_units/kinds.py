# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The kinds of units, by what they are for: a unit is C(KIND@NAME.service)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .._clients.containers import container_kinds
from .._engines.registry import ENGINES

_GROUPS: Mapping[str, Callable[[], Sequence[str]]] = {
    "gateway": lambda: ["litellm"],
    "clients": container_kinds,
    "engines": lambda: list(ENGINES),
}


def kinds_of(groups: Sequence[str]) -> list[str]:
    """The kinds of these groups, in their order; a ValueError where there is no such group."""
    unknown = [group for group in groups if group not in _GROUPS]
    if unknown:
        raise ValueError(f"{', '.join(map(repr, unknown))}: no such group of units; known: {', '.join(_GROUPS)}")
    return [kind for group in groups for kind in _GROUPS[group]()]
