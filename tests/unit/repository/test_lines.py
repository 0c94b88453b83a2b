# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs on nodes splits text where the programs that wrote it do: at line feeds.

Python's splitlines also splits at U+2028, U+0085, form feeds, carriage returns and more, so a value of one line would become two.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support.repository import ROOT, tracked_files

ON_NODES = [
    path.relative_to(ROOT)
    for path in tracked_files()
    if path.suffix == ".py" and path.relative_to(ROOT).parts[:2] in (("plugins", "module_utils"), ("plugins", "modules"))
] + [path.relative_to(ROOT) for path in sorted(ROOT.glob("roles/*/files/*.py"))]


def splitting(source: str) -> list[int]:
    return [node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute) and node.attr == "splitlines"]


@pytest.mark.parametrize("path", ON_NODES, ids=str)
def test_text_is_split_at_line_feeds_only(path: Path) -> None:
    assert splitting((ROOT / path).read_text(encoding="utf-8")) == []


def test_the_search_itself() -> None:
    assert splitting("def f(text):\n    return [line for line in text.splitlines()]\n") == [2]
