# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks, generic roles and what runs units on nodes name no engine and no client program: else a new one would be an edit there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.registry import CLIENTS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.registry import ENGINES

#: The API has the name of a program.
#: Of these the code speaks as it may: they are words of English, or of the trade.
WORDS = {"container", "openai"}
NAMES = [name for name in (*ENGINES, *CLIENTS) if name not in WORDS]
NAMED = re.compile(rf"(?<![a-z])(?:{'|'.join(NAMES)})(?![a-z])", re.I)
ROLES = ("clients", "engines", "launcher", "network", "node_proxy", "planning", "unit_state")
PARTS = ("tasks", "defaults", "vars", "templates", "handlers")
TEXTS = sorted(
    path
    for path in [*(ROOT / "playbooks").rglob("*.yml"), *(path for role in ROLES for path in (ROOT / "roles" / role).rglob("*.*"))]
    if path.is_relative_to(ROOT / "playbooks") or path.relative_to(ROOT).parts[2] in PARTS
)
#: A variable of users that has the name of a program in it.
VARIABLES = {"roles/clients/defaults/main.yml": {"crawl4ai"}, "roles/clients/vars/main.yml": {"crawl4ai"}}

#: Without files that are about one program, and without what programs say of failures: those are rules by program.
ON_NODES = sorted(
    path
    for path in (ROOT / "plugins/module_utils").glob("_*.py")
    if not NAMED.search(path.stem) and not path.stem.startswith("_causes") and path.stem != "_clients"
)
#: What is told of each engine on a node.
TABLES = {"_engine_signs.py": {"vllm", "ollama", "llama_cpp"}, "_progress.py": {"vllm", "ollama"}}
#: Who pulls models through a server, which one engine alone lets itself be told.
PULLING = {"_container_units.py", "_engine_proof.py", "_unit_fetch.py"}


def names_in(text: str) -> set[str]:
    return {found.lower() for found in NAMED.findall(text)}


def without_comments(text: str) -> str:
    return re.sub(r"(^|\s)#.*$|\{#.*?#\}", "", text, flags=re.M)


def strings(tree: ast.Module) -> list[str]:
    """All but docstrings."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said
    ]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_playbooks_and_generic_roles(path: Path) -> None:
    found = names_in(without_comments(path.read_text(encoding="utf-8")))
    assert found == VARIABLES.get(str(path.relative_to(ROOT)), set())


@pytest.mark.parametrize("path", ON_NODES, ids=lambda path: path.stem)
def test_what_runs_on_nodes(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert names_in(" ".join(strings(tree))) == TABLES.get(path.name, set())
    imported = " ".join(node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    assert bool(names_in(imported)) is (path.name in PULLING)


def test_the_search_itself() -> None:
    assert names_in(without_comments("a: vllm@x # ollama\n")) == {"vllm"}
    assert strings(ast.parse('"""vllm"""\nx = "ollama"\n')) == ["ollama"]
    assert {path.stem for path in ON_NODES} >= {"_launcher", "_container_units", "_endpoint_ready", "_engine_watch", "_unit_wanted"}
    assert len(TEXTS) > 50
