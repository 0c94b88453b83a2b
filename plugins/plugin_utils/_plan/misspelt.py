# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Which variable names look like a misspelt variable of a role."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Misspelt:
    """A variable that no role reads, and the one that was probably meant."""

    name: str
    suggestion: str | None

    def __str__(self) -> str:
        return f"{self.name} (did you mean {self.suggestion}?)" if self.suggestion else self.name


def find_misspelt(names: Iterable[str], known: Iterable[str], *, strict: bool = True) -> list[Misspelt]:
    """Names that are not known, sorted.

    With ``strict`` every unknown name counts: the prefix belongs to the role alone. Without it only names that closely
    resemble a known one count, because a prefix such as ``docker_`` is shared with the user's other roles.
    """
    known_names = sorted(set(known))
    found = []
    for name in sorted(set(names) - set(known_names)):
        close = difflib.get_close_matches(name, known_names, n=1, cutoff=0.85)
        if close or strict:
            found.append(Misspelt(name, close[0] if close else None))
    return found
