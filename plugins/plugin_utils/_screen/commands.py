# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The playbooks by the names that the user of this run knows them by."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path


def short(path: str, here: Path) -> str:
    """A path as somebody in the folder C(here) writes it."""
    try:
        return str(Path(path).relative_to(here))
    except ValueError:
        return path


def command(name: str, given: Sequence[str], inventories: Sequence[str], root: Path, here: Path) -> str:
    """What starts the playbook C(name) for the same inventory.

    C(given): the playbooks of this run, as they were named. C(root): the folder of the collection, without links.
    """
    playbook = f"llmops.gpu_inference.{name}"
    for argument in given:
        if (here / argument).resolve() == root / "site.yml":
            playbook = str(Path(argument).parent / "playbooks" / f"{name}.yml")
        elif (here / argument).resolve() == root / "playbooks" / "site.yml":
            playbook = str(Path(argument).parent / f"{name}.yml")
    words = ["ansible-playbook", playbook]
    for inventory in inventories:
        words += ["-i", inventory if "," in inventory else short(inventory, here)]
    return shlex.join(words)
