# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Versions of packages, compared without the packager's part: 1.20.5-0lambda1, 1:1.20.5-1 and 1.20.5 are one version.

The order is dpkg's (deb-version(7)), which for such versions is rpm's as well: `1.20.0~rc.1` comes before `1.20.0`.
"""

from __future__ import annotations

import re


def upstream(version: str) -> str:
    """The version without the epoch and without the packager's revision."""
    without_epoch = re.sub(r"^\d+:", "", version.strip())
    return without_epoch.rpartition("-")[0] or without_epoch


def revision(version: str) -> str:
    """The packager's part, empty where there is none."""
    return version.strip().rpartition("-")[2] if "-" in version else ""


def compare(left: str, right: str) -> int:
    """-1, 0 or 1: the left version is older, the same, or newer, by what is upstream of the packager."""
    return _compare(_tokens(upstream(left)), _tokens(upstream(right)))


def at_least(version: str, minimum: str) -> bool:
    return compare(version, minimum) >= 0


def _tokens(version: str) -> list[tuple[str, int]]:
    """Text and number by turns."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", version) if text or number]


def _order(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def _compare(left: list[tuple[str, int]], right: list[tuple[str, int]]) -> int:
    for position in range(max(len(left), len(right))):
        first, second = (side[position] if position < len(side) else ("", 0) for side in (left, right))
        texts = _compare_text(first[0], second[0])
        if texts:
            return texts
        if first[1] != second[1]:
            return -1 if first[1] < second[1] else 1
    return 0


def _compare_text(left: str, right: str) -> int:
    for position in range(max(len(left), len(right))):
        first, second = (_order(side[position]) if position < len(side) else 0 for side in (left, right))
        if first != second:
            return -1 if first < second else 1
    return 0
