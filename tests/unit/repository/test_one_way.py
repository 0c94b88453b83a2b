# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On nodes there is one way to start a program, one to systemd, and one to Docker, whose commands the launcher can cancel."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from support.repository import ROOT

FILES = sorted(path for folder in ("module_utils", "modules") for path in (ROOT / "plugins" / folder).glob("*.py"))


def imports_subprocess(node: ast.AST) -> bool:
    return isinstance(node, ast.Import) and any(alias.name == "subprocess" for alias in node.names)


def is_command_of_systemd(node: ast.AST) -> bool:
    first = node.elts[0] if isinstance(node, (ast.List, ast.Tuple)) and node.elts else None
    return isinstance(first, ast.Constant) and first.value in ("systemctl", "journalctl")


def is_command_of_docker(node: ast.AST) -> bool:
    """By its name, or by the path of its program."""
    first = node.elts[0] if isinstance(node, (ast.List, ast.Tuple)) and len(node.elts) > 1 else None
    if isinstance(first, ast.Constant):
        return first.value == "docker"
    return isinstance(first, (ast.Name, ast.Attribute)) and ast.unparse(first).rpartition(".")[2].lstrip("_") == "docker"


@pytest.mark.parametrize(
    ("does", "where"),
    [
        (imports_subprocess, {"_docker_watch.py", "_host_commands.py"}),
        (is_command_of_systemd, {"_systemd.py"}),
        (is_command_of_docker, {"_facts_observe.py"}),
    ],
    ids=["programs", "systemd", "docker"],
)
def test_one_file_does_it(does: Callable[[ast.AST], bool], where: set[str]) -> None:
    assert {path.name for path in FILES if any(map(does, ast.walk(parsed(path))))} == where


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
