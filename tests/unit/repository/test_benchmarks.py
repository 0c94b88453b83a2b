# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks import reconcile


def test_the_program_for_the_node_has_all_that_it_imports(tmp_path: Path) -> None:
    """Whatever the reconciler comes to import has to go along; without arguments the program ends after its imports."""
    subprocess.run(["tar", "-x", "-C", str(tmp_path)], input=reconcile.archive(), check=True)
    done = subprocess.run(
        [sys.executable, "-S", "-E", str(tmp_path / "program.py"), str(tmp_path)], capture_output=True, text=True, check=False, env={}
    )
    assert "IndexError" in done.stderr, done.stderr
    assert "ModuleNotFoundError" not in done.stderr
