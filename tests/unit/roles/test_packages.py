# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How roles install packages, as far as their task files say; scenario `host` has an apt that cannot refresh its lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.repository import ROOT

APT, LISTS = "ansible.builtin.apt", "llmops.gpu_inference.package_lists"


def tasks_in(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        yield entry
        for inner in ("block", "rescue", "always"):
            yield from tasks_in(entry.get(inner) or [])


def tasks_of(path: Path) -> list[dict[str, Any]]:
    return list(tasks_in(yaml.safe_load(path.read_text(encoding="utf-8")) or []))


USING_APT = [path for path in sorted(ROOT.glob("roles/*/tasks/*.yml")) if any(APT in task for task in tasks_of(path))]


@pytest.mark.parametrize("path", USING_APT, ids=lambda path: str(path.relative_to(ROOT)))
def test_apt_goes_on_with_the_lists_at_hand(path: Path) -> None:
    """Lists that cannot be refreshed are a warning. Ansible's module would refresh them once more, and end with what was only warned of."""
    tasks = tasks_of(path)
    for position, task in enumerate(tasks):
        if APT in task:
            assert task[APT].get("update_cache") is False, task["name"]
            assert any(LISTS in before for before in tasks[:position]), task["name"]


def test_the_search_itself() -> None:
    assert {path.parts[-3] for path in USING_APT} == {"docker", "network", "node_proxy", "nvidia_container_toolkit"}
