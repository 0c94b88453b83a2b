# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Values that YAML can say and no file, argument or address that is made of them: told once, and taken out before anything is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from .findings import Report

#: More than any program's settings have. PyYAML and json stop at a few hundred.
DEEPEST = 40
_HALVES = "a NUL or half a character (a surrogate) in it, which no file or program takes"
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


def fit(value: Any, path: str, troubles: list[tuple[str, str]], depth: int = 0) -> Any:
    """A copy with null in place of all that cannot be written down; where that was and why goes to C(troubles)."""
    trouble = ""
    if isinstance(value, str) and _NO_TEXT.search(value):
        trouble = f"has {_HALVES}"
    elif isinstance(value, float) and not math.isfinite(value):
        trouble = "is no number"
    elif isinstance(value, int) and abs(value) >= 2**63:
        trouble = "is a larger number than programs take"
    elif isinstance(value, (Mapping, list, tuple)) and depth >= DEEPEST:
        trouble = f"is nested more than {DEEPEST} levels deep"
    elif isinstance(value, Mapping):
        bad = [key for key in value if isinstance(key, str) and _NO_TEXT.search(key)]
        troubles += [(path, f"has a key with {_HALVES}")] if bad else []
        return {key: fit(item, f"{path}.{key}", troubles, depth + 1) for key, item in value.items() if key not in bad}
    elif isinstance(value, (list, tuple)):
        return [fit(item, f"{path}[{position}]", troubles, depth + 1) for position, item in enumerate(value)]
    if trouble:
        troubles.append((path, trouble))
        return None
    return value


def fit_hosts(hosts: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """The hosts without what cannot be written down, each of which is a finding."""
    found: dict[str, Any] = {}
    for name, data in hosts.items():
        kept: dict[str, Any] = {}
        for variable, value in (data.get("vars") or {}).items():
            troubles: list[tuple[str, str]] = []
            kept[variable] = fit(value, variable, troubles) if variable.startswith("inference_") else value
            for path, message in troubles:
                report.add(path, None, message, [name])
        found[name] = {**data, "vars": kept}
    return found
