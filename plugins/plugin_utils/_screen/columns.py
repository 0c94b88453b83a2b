# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Tables in plain text."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def aligned(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> list[str]:
    """The titles and the rows in columns. C(right): titles of the columns that stand on the right."""
    widths = [max(len(line[position]) for line in (titles, *rows)) for position in range(len(titles))]
    lines = []
    for line in (titles, *rows):
        cells = [cell.rjust(width) if title in right else cell.ljust(width) for cell, width, title in zip(line, widths, titles)]
        lines.append("  ".join(cells).rstrip())
    return lines


def some(names: Sequence[str], most: int) -> str:
    """The names in one cell, but no more of them than C(most)."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"


def cut(lines: Sequence[str], room: int) -> list[str]:
    """The lines, or as many of them as have room beside one that says how many are left out."""
    if len(lines) <= room:
        return list(lines)
    return [*lines[: room - 1], f"  ... and {len(lines) - room + 1} more"]
