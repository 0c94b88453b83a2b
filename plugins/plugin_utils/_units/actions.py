# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a run does to the units of a host, in lines for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WORDS = {
    "start": ("starts", "would start"),
    "restart": ("restarts", "would restart"),
    "reload": ("reloads the launcher of", "would reload the launcher of"),
    "remove": ("removes", "would remove"),
}


def lines(host: str, units: Mapping[str, Mapping[str, Any]], *, check_mode: bool = False) -> list[str]:
    """One line for each unit that is touched, with the reason. What was refused is in the failure of the task."""
    return [
        f"{host}: {_WORDS[unit['action']][check_mode]} {instance}: {unit['reason']}"
        for instance, unit in units.items()
        if unit.get("action") in _WORDS
    ]
