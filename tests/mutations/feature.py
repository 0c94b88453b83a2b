# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One promise, and the folders that the tables name again and again."""

from __future__ import annotations

from dataclasses import dataclass

UTILS = "plugins/module_utils"
UNIT = "tests/unit/plugins/module_utils"
MODULES = "tests/unit/plugins/modules"
PLUGIN_UTILS = "plugins/plugin_utils"
PLUGIN_UNIT = "tests/unit/plugins/plugin_utils"
GUARD = "roles/litellm/files"
GUARD_UNIT = "tests/unit/roles/litellm"


@dataclass(frozen=True)
class Feature:
    """C(removed) says in words what C(new) in the place of C(old) does to C(file), where that stands exactly once."""

    promise: str
    removed: str
    file: str
    old: str
    new: str
    test: str
    told: str
    """A part of what the failing test prints."""
