# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs on nodes lies in module_utils, what only the controller runs in plugin_utils: Ansible sends a module all that it imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support.repository import ROOT

PLUGINS = ROOT / "plugins"
COLLECTION = "ansible_collections.llmops.gpu_inference.plugins."
ON_NODES = sorted((PLUGINS / "module_utils").rglob("*.py"))
MODULES = sorted((PLUGINS / "modules").glob("*.py"))


def imported(path: Path) -> set[str]:
    """The files of the collection that one names in its imports, as `module_utils._files`; of several in one line all."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(COLLECTION):
            module = node.module[len(COLLECTION) :]
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == "module_utils" else {module}
    return found


@pytest.mark.parametrize("path", [*ON_NODES, *MODULES], ids=lambda path: path.stem)
def test_nothing_on_a_node_needs_the_controller(path: Path) -> None:
    assert not [name for name in imported(path) if not name.startswith("module_utils.")]


def test_everything_for_nodes_is_needed_there() -> None:
    """From the modules and the launcher's program, whose folder on a node holds what `_launcher_program.py` imports."""
    needed: set[str] = set()
    left = list(MODULES)
    while left:
        new = {name for name in imported(left.pop()) if name not in needed}
        needed |= new
        left += [PLUGINS / (name.replace(".", "/") + ".py") for name in new]
    assert {f"module_utils.{path.stem}" for path in ON_NODES} - needed == set()
