# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Variables of a role that are set and that it does not have."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.units import engine_variables
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.misspelt import find_misspelt

# The roles of a collection lie side by side.
_ROLES = Path(__file__).parents[3] / "roles"


def known_variables(role: str, roles: Path = _ROLES) -> list[str]:
    """All that its argument specs name. An engine can do without a role of its own."""
    file = roles / role / "meta" / "argument_specs.yml"
    specs = yaml.safe_load(file.read_text(encoding="utf-8"))["argument_specs"] if file.exists() else {}
    return [name for spec in specs.values() for name in spec.get("options") or {}] + engine_variables([role])


def misspelt_variables(role: str, names: Iterable[str], *, strict: bool, roles: Path = _ROLES) -> list[str]:
    """Of the names that are set those that the role would silently ignore, each with the one that was probably meant."""
    own = [name for name in names if name.startswith(f"{role}_")]
    return [str(found) for found in find_misspelt(own, known_variables(role, roles), strict=strict)]
