# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._docker.toolkit_packages import PACKAGES, decide


def lines(*versions: str) -> str:
    """What dpkg-query prints for the four; an empty version is a package that is not there."""
    return "".join(f"{name} installed {version}\n" for name, version in zip(PACKAGES, versions) if version)


def all_at(version: str) -> dict[str, str]:
    return dict.fromkeys(PACKAGES, version)


@pytest.mark.parametrize(
    ("query", "wanted", "install"),
    [
        ("", "1.20.1", all_at("1.20.1-1")),
        (lines(*["1.20.1-1"] * 4), "1.20.1", {}),
        (lines(*["1.19.1-1"] * 4), "1.20.1", all_at("1.20.1-1")),
        (lines("1.20.1-1", "1.20.1-1", "", ""), "1.20.1", all_at("1.20.1-1")),
        (lines("1.17.8-1", "1.17.8-1", "1.20.1-1", "1.20.1-1"), "1.20.1", all_at("1.20.1-1")),
        # Newer ones stay, whoever packed them, and in however many packages.
        (lines(*["1.20.5-0lambda1"] * 4), "1.20.1", {}),
        (lines(*["1.21.0-1"] * 4), "1.20.1", {}),
        (lines(*["1:1.20.5+dfsg-2ubuntu1"] * 4), "1.20.1", {}),
        (lines("1.20.5-0lambda1", "1.20.5-0lambda1", "", ""), "1.20.1", {}),
        (lines("1.20.10-1", "1.20.10-1", "1.20.10-2", "1.20.10-2"), "1.20.9", {}),
        # The same version of another packager is the same version.
        (lines(*["1.20.1-0ubuntu1"] * 4), "1.20.1", {}),
        (lines(*["1.20.1-0ubuntu1"] * 4), "1.20.1-1", all_at("1.20.1-1")),
        (lines(*["1.20.1-1"] * 4), "1.20.1-1", {}),
        # Half an upgrade is completed to what is newer.
        (lines("1.20.5-0lambda1", "1.20.5-0lambda1", "1.20.1-1", "1.20.1-1"), "1.20.1", all_at("1.20.5-0lambda1")),
        # A candidate comes before its release.
        (lines(*["1.20.1~rc.1-1"] * 4), "1.20.1", all_at("1.20.1-1")),
        # What was removed leaves a line without being there.
        ("nvidia-container-toolkit config-files 1.17.8-1\nsomething else\n", "1.20.1", all_at("1.20.1-1")),
    ],
)
def test_what_is_installed(query: str, wanted: str, install: dict[str, str]) -> None:
    decision = decide(query, wanted)
    assert dict(decision.install) == install
    assert set(decision.present) >= set(install)


def test_a_downgrade_only_where_it_is_allowed() -> None:
    newer = lines(*["1.20.5-0lambda1"] * 4)
    assert dict(decide(newer, "1.20.1", allow_downgrade=True).install) == all_at("1.20.1-1")
    assert dict(decide("", "1.20.1", allow_downgrade=True, program="1.21.0").install) == all_at("1.20.1-1")


@pytest.mark.parametrize(("program", "installs"), [("1.21.0", False), ("1.20.1", False), ("1.19.1", True), ("", True)])
def test_a_toolkit_in_no_package(program: str, installs: bool) -> None:
    """Built from source, or packed under another name: nothing of it is held or pinned either."""
    decision = decide("", "1.20.1", program=program)
    assert bool(decision.install) is installs
    assert bool(decision.present) is installs


def test_for_the_package_managers() -> None:
    shown = decide(lines("1.20.10-1", "1.20.10-1", "1.20.10-2", "1.20.10-2"), "1.20.1").as_dict()
    assert shown["install"] == {"=": [], "-": []}
    assert shown["pins"] == [{"version": "1.20.10-1", "names": [*PACKAGES[:2]]}, {"version": "1.20.10-2", "names": [*PACKAGES[2:]]}]
    shown = decide("", "1.20.1").as_dict()
    assert shown["install"]["="][0] == "nvidia-container-toolkit=1.20.1-1"
    assert shown["install"]["-"][3] == "libnvidia-container1-1.20.1-1"
