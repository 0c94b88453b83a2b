# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""With CI set a test that is selected runs or fails, in whatever way it would be left out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.repository import ROOT

LEFT_OUT = {
    "called": "def test_it():\n    pytest.skip('no nginx')",
    "marked": "@pytest.mark.skip(reason='no nginx')\ndef test_it():\n    pass",
    "by a condition": "@pytest.mark.skipif(True, reason='no nginx')\ndef test_it():\n    pass",
    "by a fixture": "@pytest.fixture\ndef it():\n    pytest.skip('no nginx')\n\ndef test_it(it):\n    pass",
    "a whole file": "pytest.skip('no nginx', allow_module_level=True)\n\ndef test_it():\n    pass",
    "a missing module": "pytest.importorskip('no_nginx')\n\ndef test_it():\n    pass",
    "expected to fail": "@pytest.mark.xfail(reason='no nginx')\ndef test_it():\n    assert False",
    "expected to fail, and does not run": "@pytest.mark.xfail(reason='no nginx', run=False)\ndef test_it():\n    pass",
}


def pytest_of(folder: Path, ci: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "conftest.py", folder)
    environment = {**os.environ, "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    argv = [sys.executable, "-m", "pytest", "-q", "-rfEs", "-c", "/dev/null", "--rootdir", str(folder), "--continue-on-collection-errors"]
    return subprocess.run([*argv, str(folder)], cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All of LEFT_OUT, each in a file of its own, and a test that runs."""
    for number, text in enumerate(LEFT_OUT.values()):
        (tmp_path / f"test_{number}.py").write_text(f"import pytest\n\n{text}\n", encoding="utf-8")
    (tmp_path / "test_runs.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    return tmp_path


def test_a_build_server_fails_whatever_is_left_out(folder: Path) -> None:
    done = pytest_of(folder, "true")
    told = re.findall(r"^(?:FAILED|ERROR) test_(\d)\.py", done.stdout, re.M)
    assert sorted(told) == [str(number) for number in range(len(LEFT_OUT))], done.stdout
    assert done.stdout.count("no nginx") + done.stdout.count("no_nginx") >= len(LEFT_OUT)
    assert done.returncode == 1
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("ci", ["", "false"])
def test_elsewhere_the_run_goes_on_and_says_so(folder: Path, ci: str) -> None:
    done = pytest_of(folder, ci)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 6 skipped, 2 xfailed" in done.stdout
    assert done.stdout.count("SKIPPED [1]") == 6


def test_both_are_what_runs_do() -> None:
    assert "\nexport CI=true\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert re.search(r'^addopts = "-q -rfEs ', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
