# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The results of benchmarks on a host: a folder for each unit, a file for each benchmark, the newest ten of them."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Paths, read_json, safe_name, write_atomically

KEPT = 10


def folder(unit: str, paths: Paths) -> Path:
    return paths.lasting / "benchmarks" / safe_name_of(unit)


def safe_name_of(unit: str) -> str:
    """As C(KIND@NAME); a model's name may hold any character."""
    kind, _at, name = unit.partition("@")
    return f"{safe_name(kind)}@{safe_name(name)}"


def all_of(paths: Paths) -> list[dict[str, t.Any]]:
    """Every document that there is, the oldest first within a unit."""
    files = sorted((paths.lasting / "benchmarks").glob("*@*/*.json"))
    return [document for document in map(read_json, files) if document is not None]


def store(unit: str, stamp: str, text: str, paths: Paths, kept: int = KEPT) -> Path:
    """Writes one and takes away what is older than the newest C(kept)."""
    place = folder(unit, paths) / f"{safe_name(stamp)}.json"
    write_atomically(place, text)
    for old in sorted(place.parent.glob("*.json"))[:-kept]:
        old.unlink()
    return place
