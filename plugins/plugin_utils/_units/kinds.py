# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The kinds of units, by what they are for: a unit is C(KIND@NAME.service)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .._clients.registry import CLIENTS
from .._engines.registry import ENGINES

#: The description of each kind of a group, as systemd shows it.
_GROUPS: Mapping[str, Callable[[], Mapping[str, str]]] = {
    "gateway": lambda: {"litellm": "LiteLLM gateway"},
    "clients": lambda: {name: client.container.description for name, client in CLIENTS.items() if client.container is not None},
    "engines": lambda: {name: engine.description for name, engine in ENGINES.items()},
}


def described_kinds(groups: Sequence[str]) -> dict[str, str]:
    """The kinds of these groups, in their order, with their descriptions; a ValueError where there is no such group."""
    unknown = [group for group in groups if group not in _GROUPS]
    if unknown:
        raise ValueError(f"{', '.join(map(repr, unknown))}: no such group of units; known: {', '.join(_GROUPS)}")
    return {kind: text for group in groups for kind, text in _GROUPS[group]().items()}
