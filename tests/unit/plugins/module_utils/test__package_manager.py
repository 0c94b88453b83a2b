# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
from ansible_collections.llmops.gpu_inference.plugins.module_utils._package_manager import Apt, Dnf, update
from ansible_collections.llmops.gpu_inference.plugins.module_utils._package_sources import Wanted

# What apt 3.0 and dnf 4.23 wrote.
CONFLICT = (
    "E: Conflicting values set for option Signed-By regarding source https://nvidia.github.io/x/ /: /a.gpg != \n"
    "E: The list of sources could not be read.\n" * 2
)


class Programs:
    """One answer after the other to commands with such a beginning."""

    def __init__(self, **answers: list[Ran]) -> None:
        self.answers = answers
        self.asked: list[list[str]] = []
        self.slept = 0.0

    def run(self, argv: Sequence[str], _seconds: float, _text: str = "", /) -> Ran:
        self.asked.append(list(argv))
        left = self.answers.get(argv[0].replace("-", "_"), [Ran(0)])
        return left.pop(0) if len(left) > 1 else left[0]

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Ran(0), ""),
        (Ran(0, "", "W: Target Packages is configured multiple times\n"), ""),
        (Ran(100, "", "E: The repository 'http://gone x Release' does not have a Release file.\n"), "does not have a Release file"),
        # apt calls that a success: lists of before are used.
        (
            Ran(0, "", "W: Failed to fetch http://user:secret@h/InRelease  Could not connect\nW: Some index files failed to download.\n"),
            "//***@h",
        ),
        (Ran(124, "", ""), "exit code 124"),
    ],
)
def test_a_refresh(answer: Ran, said: str) -> None:
    programs = Programs(apt_get=[answer])
    told = update(programs.run, programs.sleep, {"Acquire::Retries": "1"})
    assert said in told if said else told == ""
    assert "secret" not in told
    assert programs.asked[0] == ["apt-get", "--quiet", "--assume-yes", "--option=Acquire::Retries=1", "update"]


def test_another_apt_is_waited_for() -> None:
    programs = Programs(apt_get=[Ran(100, "", "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1\n"), Ran(0)])
    assert update(programs.run, programs.sleep) == ""
    assert programs.slept == 5


def test_apt_tells_its_complaint_once() -> None:
    programs = Programs(apt_get=[Ran(100, "", CONFLICT)], apt_config=[Ran(0, "LIST='/x/sources.list'\nPARTS='/x/parts/'\n")])
    apt = Apt(programs.run, programs.sleep)
    assert apt.path("docker") == "/x/parts/docker.sources"
    assert apt.complaint().count("Conflicting values") == 1
    assert apt.texts() == {}


def test_dnf() -> None:
    programs = Programs(dnf=[Ran(1, "", "Error: bad file\n"), Ran(0), Ran(1, "", "Errors during downloading\n")])
    dnf = Dnf(programs.run, programs.sleep)
    assert dnf.path("docker") == "/etc/yum.repos.d/docker.repo"
    assert [dnf.complaint(), dnf.complaint()] == ["Error: bad file", ""]
    assert dnf.refused("", "docker") == "Errors during downloading"
    assert programs.asked[2][-3:] == ["--enablerepo=docker", "makecache", "--refresh"]
    wanted = Wanted("docker", "https://d.example/$releasever/$basearch", "/k")
    assert list(dnf.changes(wanted, "docker", {})) == ["/etc/yum.repos.d/docker.repo"]
    assert dnf.texts() == {} or all(path.endswith(".repo") for path in dnf.texts())
