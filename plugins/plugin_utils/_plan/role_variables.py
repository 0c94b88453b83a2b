# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Variables of a role that are set and that it does not have."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.units import engine_variables
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.misspelt import find_misspelt

# The roles of a collection lie side by side.
_ROLES = Path(__file__).parents[3] / "roles"


def argument_specs(role: str, roles: Path = _ROLES) -> dict[str, Any]:
    """By entry point. An engine can do without a role of its own."""
    file = roles / role / "meta" / "argument_specs.yml"
    # Ten times as fast where PyYAML has it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return dict(loader(file.read_text(encoding="utf-8")).get_single_data()["argument_specs"]) if file.exists() else {}


def known_variables(role: str, roles: Path = _ROLES) -> list[str]:
    """All that its argument specs name."""
    return [name for spec in argument_specs(role, roles).values() for name in spec.get("options") or {}] + engine_variables([role])


def misspelt_variables(role: str, names: Iterable[str], *, strict: bool, roles: Path = _ROLES) -> list[str]:
    """Of the names that are set those that the role would silently ignore, each with the one that was probably meant."""
    own = [name for name in names if name.startswith(f"{role}_")]
    return [str(found) for found in find_misspelt(own, known_variables(role, roles), strict=strict)]
