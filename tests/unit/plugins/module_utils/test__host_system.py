# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_system import package_manager, service_manager

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\n'
ROCKY = 'ID="rocky"\nID_LIKE="rhel centos fedora"\n'
FEDORA = "ID=fedora\nVERSION_ID=43\n"


@pytest.mark.parametrize(
    ("os_release", "programs", "found"),
    [
        (DEBIAN, ["usr/bin/apt-get"], "apt"),
        (DEBIAN, ["usr/bin/apt-get", "usr/bin/dnf", "usr/bin/yum"], "apt"),
        ("ID=linuxmint\nID_LIKE=ubuntu\n", ["usr/bin/apt-get"], "apt"),
        (ROCKY, ["usr/bin/dnf", "usr/bin/yum"], "dnf"),
        (FEDORA, ["usr/bin/apt-get", "usr/bin/dnf", "usr/bin/dnf5"], "dnf5"),
        ("ID=alpine\n", ["sbin/apk"], "apk"),
        ("", ["usr/bin/apt-get"], "apt"),
        (ROCKY, [], None),
        ("ID=nixos\n", [], None),
    ],
)
def test_the_package_manager_of_the_distribution(tmp_path: Path, os_release: str, programs: list[str], found: str | None) -> None:
    for program in programs:
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / program).touch()
    assert package_manager(os_release, str(tmp_path)) == found


def test_what_runs_the_services(tmp_path: Path) -> None:
    assert service_manager(str(tmp_path)) is None
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/comm").write_text("openrc-init\n", encoding="utf-8")
    assert service_manager(str(tmp_path)) == "openrc-init"
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert service_manager(str(tmp_path)) == "systemd"
