# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Why a run over the units of a host ends without a result."""

from __future__ import annotations

from pathlib import Path


class UnitsError(Exception):
    """The run cannot go on. The message is for the user."""


class LockHeldError(UnitsError):
    """Another run works on this host."""

    def __init__(self, holder: str, path: Path) -> None:
        super().__init__(f"another run works on this host: {holder}. It holds {path}. Let it finish, or end that process, and run again.")
        self.holder = holder
