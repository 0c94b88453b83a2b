# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guard's tables of names: each name stands once, in the one table that it belongs to."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_api import API, CLOSED, ENGINE, LEGACY, MAIN, PREFIXES, UNLISTED
from support.repository import ROOT

FILES = sorted((ROOT / "roles/litellm/files").glob("gateway_*.py"))


def names(node: ast.expr) -> Iterator[str]:
    """The texts of a set, those of tuples that are unpacked in it too."""
    if isinstance(node, (ast.Set, ast.Tuple)):
        for item in node.elts:
            yield from names(item)
    elif isinstance(node, ast.Starred):
        yield from names(node.value)
    elif isinstance(node, ast.Constant):
        yield str(node.value)


def twice(text: str) -> list[str]:
    sets = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Set)]
    return [name for found in sets for name, number in Counter(names(found)).items() if number > 1]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_name_is_in_a_table_twice(file: Path) -> None:
    assert twice(file.read_text(encoding="utf-8")) == []


def test_a_name_that_is_there_twice_is_found() -> None:
    assert twice('A = frozenset({"a", *("b", "a")})\nB = {"a"}') == ["a"]


def test_tables_do_not_repeat_each_other() -> None:
    of_apis = set().union(*API.values())
    assert ENGINE & of_apis == set()
    assert {kind: names & set(API[kind]) for kind, names in CLOSED.items() if names & set(API[kind])} == {}
    assert (of_apis | ENGINE) & (LEGACY | UNLISTED) == set()
    assert MAIN - of_apis == {"extra_body", "file"}
    assert [name for name in UNLISTED if name.startswith(PREFIXES)] == []
