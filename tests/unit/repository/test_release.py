# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The version is the same everywhere: galaxy.yml, changelog, README; between releases it is a development version of a later one."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from support.repository import ROOT


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split("."))


def fits(version: str, released: str) -> bool:
    """The release itself, or a development version of a later one."""
    return version == released or (re.fullmatch(r"\d+\.\d+\.\d+-dev\d+", version) is not None and numbers(version) > numbers(released))


@pytest.mark.parametrize(
    ("version", "good"),
    [("0.9.0", True), ("0.10.0-dev0", True), ("0.9.1-dev3", True), ("0.9.1", False), ("0.9.0-dev0", False), ("0.8.0-dev0", False)],
)
def test_what_fits(version: str, good: bool) -> None:
    assert fits(version, "0.9.0") is good


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def last_release() -> str:
    releases: dict[str, Any] = load("changelogs/changelog.yaml")["releases"]
    return max(releases, key=numbers)


def test_the_version_is_that_of_the_changelog_or_a_later_development_version() -> None:
    assert fits(load("galaxy.yml")["version"], last_release())


def test_pages_name_the_last_release() -> None:
    released = last_release()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"The release is {released} " in readme
    assert set(re.findall(r"llmops-gpu_inference-(\d[\d.]*)\.tar\.gz", readme)) == {released}
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("\\", "")
    assert re.findall(r"^## v(\S+)$", changelog, re.M)[0] == released
    assert f"## To {released} " in (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")


def test_plugins_are_as_old_as_a_release() -> None:
    """A version that no release had tells a reader nothing."""
    released = {"0.9.0", *load("changelogs/changelog.yaml")["releases"], load("galaxy.yml")["version"].split("-")[0]}
    added = {
        (path.name, version)
        for pattern in ("*.py", "*.yml")
        for path in (ROOT / "plugins").rglob(pattern)
        for version in re.findall(r"^ *version_added: [\"']?([\d.]+)", path.read_text(encoding="utf-8"), re.M)
    }
    assert len(added) > 30
    assert sorted(one for one in added if one[1] not in released) == []
