# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every feature of features.py, taken out of a copy of the repository: its test has to fail there, and to say what the table has.

Needs the test bed's images for what only the real LiteLLM can tell: `make mutations`.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import cache_from_source
from pathlib import Path
from queue import SimpleQueue

import pytest
from mutations.feature import Feature
from mutations.features import FEATURES
from support.repository import ROOT

# Some tests mostly wait.
AT_ONCE = 3


def copy_of_the_repository(target: Path) -> Path:
    target.mkdir()
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    names = b"\0".join(name for name in listing.stdout.split(b"\0") if name and (ROOT / name.decode()).exists())
    packed = subprocess.run(["tar", "--create", "--null", "--files-from=-"], cwd=ROOT, input=names, capture_output=True, check=True)
    subprocess.run(["tar", "--extract", "--directory", str(target)], input=packed.stdout, check=True)
    return target


def run_tests(folder: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "pytest", "-x", "--no-header", "--tb=short", *tests]
    return subprocess.run(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def try_without(feature: Feature, copies: SimpleQueue[Path]) -> subprocess.CompletedProcess[str]:
    folder = copies.get()
    file = folder / feature.file
    whole = file.read_text(encoding="utf-8")
    try:
        write(file, whole.replace(feature.old, feature.new))
        return run_tests(folder, feature.test)
    finally:
        write(file, whole)
        copies.put(folder)


def write(file: Path, text: str) -> None:
    """Without what Python compiled of it: of the same size and in the same second that would be taken for the new one's."""
    file.write_text(text, encoding="utf-8")
    if file.suffix == ".py":
        Path(cache_from_source(str(file))).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, Future[subprocess.CompletedProcess[str]]]:
    chosen = {item.callspec.params["feature"] for item in request.session.items if hasattr(item, "callspec")}
    folder = tmp_path_factory.mktemp("mutations")
    copies: SimpleQueue[Path] = SimpleQueue()
    for number in range(AT_ONCE):
        copies.put(copy_of_the_repository(folder / str(number)))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return {one.promise: pool.submit(try_without, one, copies) for one in FEATURES if one in chosen}


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.promise)
def test_a_test_fails_without(tried: dict[str, Future[subprocess.CompletedProcess[str]]], feature: Feature) -> None:
    done = tried[feature.promise].result()
    if done.returncode == 0 and " skipped" in done.stdout and " passed" not in done.stdout:
        pytest.skip("its test cannot run on this machine")
    # 1: tests ran and failed. Anything else would be a test that could not run.
    assert done.returncode == 1, done.stdout
    assert feature.told in done.stdout, done.stdout


def test_the_same_tests_pass_with_everything_in_place(tmp_path: Path) -> None:
    done = run_tests(copy_of_the_repository(tmp_path / "whole"), *dict.fromkeys(feature.test for feature in FEATURES))
    assert done.returncode == 0, done.stdout
