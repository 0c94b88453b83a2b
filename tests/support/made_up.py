# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of the plugins with one more kind of a thing, by its own file and its line in the registry, and what programs make of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.repository import ROOT

PACKAGE = "ansible_collections/llmops/gpu_inference"


def plugins_with(folder: Path, source: Path, room: str, *, before: str, last: str) -> Path:
    """C(source) as C(made_up.py) in C(room), its import before that of C(before), its line behind C(last); where to import from."""
    shutil.copytree(ROOT / "plugins", folder / PACKAGE / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    place = folder / PACKAGE / "plugins/plugin_utils" / room
    shutil.copy(source, place / "made_up.py")
    registry = place / "registry.py"
    text = registry.read_text(encoding="utf-8")
    with_it = text.replace(f"from .{before} import", f"from .made_up import MadeUp\nfrom .{before} import", 1).replace(
        f"{last})", f"{last}, MadeUp())"
    )
    assert with_it.count("MadeUp") == 2
    registry.write_text(with_it, encoding="utf-8")
    return folder


def run(plugins: Path, program: str, given: Any) -> dict[str, Any]:
    """What the program prints with that copy, given this as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(given),
        env={"PYTHONPATH": str(plugins), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
