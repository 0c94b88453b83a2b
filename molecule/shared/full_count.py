# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Leaves a file of tests out unless the full count is asked for.

C(collect_ignore) of a conftest does not: molecule names every file, and pytest collects what is named all the same.
"""

from __future__ import annotations

import os
from typing import Any


def leave_out(file: str, variable: str, config: Any, items: list[Any]) -> None:
    """For C(pytest_collection_modifyitems): the tests of a file go, unless the variable is 1."""
    if os.environ.get(variable) == "1":
        return
    left = [item for item in items if item.path.name == file]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]
