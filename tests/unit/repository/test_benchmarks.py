# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import reconcile
from support.repository import ROOT


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("plan", ["--hosts", "2", "--rounds", "1"], "2 hosts x 8 services: median"),
        ("endpoint_ready", ["--help"], "--ready-after"),
        ("reconcile", ["--help"], "NODE"),
        ("run_cost", ["--help"], "INVENTORY"),
        ("multinode", ["--help"], "--at-once"),
        ("sticky_sessions", ["--help"], "--named-by"),
    ],
)
def test_a_benchmark_starts_as_its_page_says(name: str, arguments: list[str], said: str) -> None:
    """From the root of the checkout, without any variable of the environment."""
    program = f"tests/benchmarks/{name}.py"
    assert f"`python {program}" in (ROOT / program).read_text(encoding="utf-8") or f"    python {program}" in (ROOT / program).read_text(
        "utf-8"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, program, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert said.lower() in done.stdout.lower()


def test_every_benchmark_is_started() -> None:
    (mark,) = test_a_benchmark_starts_as_its_page_says.pytestmark  # type: ignore[attr-defined]
    assert {row[0] for row in mark.args[1]} == {path.stem for path in (ROOT / "tests/benchmarks").glob("*.py")}


def test_the_program_for_the_node_has_all_that_it_imports(tmp_path: Path) -> None:
    """Whatever the reconciler comes to import has to go along; without arguments the program ends after its imports."""
    subprocess.run(["tar", "-x", "-C", str(tmp_path)], input=reconcile.archive(), check=True)
    done = subprocess.run(
        [sys.executable, "-S", "-E", str(tmp_path / "program.py"), str(tmp_path)], capture_output=True, text=True, check=False, env={}
    )
    assert "IndexError" in done.stderr, done.stderr
    assert "ModuleNotFoundError" not in done.stderr
