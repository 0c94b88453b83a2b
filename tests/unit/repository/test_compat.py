# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""tests/compat.sh says what it did not run, and does not pass with nothing run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.repository import ROOT

PROGRAMS = ("bash", "dirname", "mktemp", "readlink", "rm", "tac", "tr")


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment without any Python."""
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    return {"PATH": str(tmp_path), "HOME": str(tmp_path)}


def compat(environment: dict[str, str], *versions: str) -> subprocess.CompletedProcess[str]:
    argv = ["bash", str(ROOT / "tests/compat.sh"), *versions]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def test_nothing_run_is_no_success(bare: dict[str, str]) -> None:
    done = compat(bare)
    assert done.returncode == 1, done.stdout
    assert done.stdout.count("NOT RUN: it is not here") == 16
    assert "ansible-core 2.17  Python 3.10  NOT RUN: it is not here" in done.stdout
    assert "0 of 6 ran" in done.stderr


def test_what_was_asked_for_is_no_success_when_not_run(bare: dict[str, str]) -> None:
    assert compat(bare, "2.21").returncode == 1


def test_a_version_that_is_not_there_is_refused() -> None:
    done = compat(dict(os.environ), "2.1")
    assert done.returncode == 2
    assert "no such version: 2.1. There are: nodes 2.17 2.18 2.19 2.20 2.21" in done.stderr


@pytest.mark.parametrize(("changes", "code"), [({}, 0), ({"CI": "true"}, 1)])
def test_a_part_that_is_missing_fails_on_a_build_server_alone(bare: dict[str, str], changes: dict[str, str], code: int) -> None:
    folder = Path(bare["PATH"])
    for name in ("chmod", "cp", "ln", "mkdir"):
        (folder / name).symlink_to(shutil.which(name) or "")
    python = folder / "python3.9"
    python.write_text(
        '#!/bin/bash\nif [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/pip"; cp "$0" "$3/bin/python"; fi\n', "utf-8"
    )
    python.chmod(0o755)
    done = compat({**bare, **changes})
    assert "nodes              Python 3.9   passed\n" in done.stdout, done.stderr
    assert done.stdout.count("NOT RUN") == 15
    assert done.returncode == code
