# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What wakes the launcher's main loop, and what ends it."""

from __future__ import annotations

from dataclasses import dataclass

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Diagnosis
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Observation
except ImportError:  # on the node the files lie side by side
    from _causes import Diagnosis  # type: ignore[import-not-found,no-redef]
    from _probe import Observation  # type: ignore[import-not-found,no-redef]


class Reload(Exception):  # noqa: N818 - an event, not an error
    """SIGHUP came: run the program anew in the same process."""


class Failure(Exception):  # noqa: N818
    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(diagnosis.message)
        self.diagnosis = diagnosis


@dataclass(frozen=True)
class Probed:
    observation: Observation | None
    counter: float | None = None
    error: str = ""


@dataclass(frozen=True)
class GroupEnded:
    """Another host has ended this generation of the group."""

    generation: int
    why: str


@dataclass(frozen=True)
class Signalled:
    """Wakes the main loop up."""
