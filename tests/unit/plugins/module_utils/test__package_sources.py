# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._package_sources import (
    HEADER,
    BadValueError,
    Host,
    Wanted,
    apt_changes,
    dnf_changes,
    files_of,
)

OWN = "/etc/apt/sources.list.d/docker.sources"
DEBIAN = "deb http://deb.debian.org/debian trixie main\n"
HOST = Host("amd64", {"basearch": "x86_64", "releasever": "9"})
DOCKER = Wanted("docker", "https://download.docker.com/linux/debian", "/etc/apt/keyrings/docker.asc", "trixie", ("stable",))
STANZA = (
    f"{HEADER}Types: deb\nURIs: https://download.docker.com/linux/debian\nSuites: trixie\nComponents: stable\n"
    "Architectures: amd64\nSigned-By: /etc/apt/keyrings/docker.asc\n"
)


def test_a_new_file() -> None:
    assert apt_changes(DOCKER, OWN, {}, HOST) == {OWN: STANZA}
    assert apt_changes(DOCKER, OWN, {OWN: STANZA}, HOST) == {}


def test_the_same_repository_in_other_files() -> None:
    texts = {
        "/etc/apt/sources.list": f"{DEBIAN}deb [signed-by=/a.gpg] http://download.docker.com/linux/debian trixie stable\n",
        "/etc/apt/sources.list.d/docker.list": "deb https://download.docker.com/linux/debian/ trixie stable\n",
        "/etc/apt/sources.list.d/old.list": "deb https://download.docker.com/linux/debian bookworm stable\n",
        "/etc/apt/sources.list.d/off.sources": STANZA.replace(HEADER, "Enabled: no\n"),
    }
    assert apt_changes(DOCKER, OWN, texts, HOST) == {
        OWN: STANZA,
        "/etc/apt/sources.list": DEBIAN,
        "/etc/apt/sources.list.d/docker.list": "",
    }


def test_a_file_of_our_name_that_others_use_too() -> None:
    """Docker's own guide calls its file docker.sources as well."""
    others = "Types: deb\nURIs: https://other.example/x\nSuites: /\n"
    theirs = (
        f"Types: deb\nURIs: https://download.docker.com/linux/debian\nSuites: trixie\nComponents: stable\nSigned-By: /b.asc\n\n{others}"
    )
    first = apt_changes(DOCKER, OWN, {OWN: theirs}, HOST)[OWN]
    assert first == f"{others}\n{STANZA}"
    assert apt_changes(DOCKER, OWN, {OWN: first}, HOST) == {}
    moved = apt_changes(replace(DOCKER, url="https://mirror.example/docker"), OWN, {OWN: first}, HOST)[OWN]
    assert "download.docker.com" not in moved
    assert apt_changes(None, OWN, {OWN: first}, HOST) == {OWN: f"{others}\n"}
    assert apt_changes(None, OWN, {OWN: STANZA, "/etc/apt/sources.list": "deb x / \n"}, HOST) == {OWN: ""}


def test_the_publisher_beside_a_mirror() -> None:
    wanted = Wanted(
        "toolkit",
        "https://mirror.example/nvidia",
        "/k.asc",
        aliases=(r"nvidia\.github\.io/(nvidia-docker|libnvidia-container/(?!experimental/))",),
    )
    texts = {
        "/a.list": r"deb https://nvidia.github.io/libnvidia-container/stable/ubuntu18.04/$(ARCH) /",
        "/b.list": "deb https://nvidia.github.io/libnvidia-container/experimental/deb/amd64 /",
        "/c.list": "deb https://nvidia.github.io/nvidia-docker/ubuntu20.04/amd64 /",
        "/d.list": "deb https://mirror.example/nvidia.github.io/nvidia-docker /",
    }
    assert set(apt_changes(wanted, "/own.sources", texts, HOST)) == {"/own.sources", "/a.list", "/c.list"}


@pytest.mark.parametrize(
    "bad",
    [
        {"url": "https://a.example/x\nSigned-By: /b"},
        {"url": "https://a.example/x y"},
        {"url": "https://a.example/\u2028"},
        {"url": ""},
        {"suite": "trixie main"},
        {"components": ("stable\nTrusted: yes",)},
        {"name": "../x"},
        {"name": "a b"},
    ],
)
def test_values_that_would_be_more_than_one(bad: dict[str, str]) -> None:
    with pytest.raises(BadValueError):
        replace(DOCKER, **bad).check()  # type: ignore[arg-type]
    DOCKER.check()


REPO = "/etc/yum.repos.d/nvidia-container-toolkit.repo"
TOOLKIT = Wanted(
    "nvidia-container-toolkit",
    "https://nvidia.github.io/libnvidia-container/stable/rpm/$basearch",
    "/etc/pki/rpm-gpg/KEY",
    description="NVIDIA Container Toolkit",
    options={"enabled": "0", "gpgcheck": "0", "repo_gpgcheck": "1"},
    aliases=(r"nvidia\.github\.io/libnvidia-container/(?!experimental/)",),
)
SECTION = (
    f"{HEADER}[nvidia-container-toolkit]\nname=NVIDIA Container Toolkit\nbaseurl=https://nvidia.github.io/libnvidia-container/stable/rpm/$basearch\n"
    "gpgkey=file:///etc/pki/rpm-gpg/KEY\nenabled=0\ngpgcheck=0\nrepo_gpgcheck=1\n"
)
EXPERIMENTAL = (
    "[nvidia-container-toolkit-experimental]\nbaseurl=https://nvidia.github.io/libnvidia-container/experimental/rpm/$basearch\nenabled=0\n"
)


def test_dnf() -> None:
    name = TOOLKIT.name
    assert dnf_changes(TOOLKIT, name, REPO, {}, HOST) == {REPO: SECTION}
    assert dnf_changes(TOOLKIT, name, REPO, {REPO: SECTION}, HOST) == {}
    theirs = f"[nvidia-container-toolkit]\nbaseurl=https://nvidia.github.io/libnvidia-container/stable/rpm/$basearch\n\n{EXPERIMENTAL}"
    other = "/etc/yum.repos.d/libnvidia.repo"
    texts = {
        REPO: theirs,
        other: "[libnvidia-container]\nbaseurl=https://nvidia.github.io/libnvidia-container/centos8/x86_64\n\n[site]\nbaseurl=https://x.example\n",
    }
    changes = dnf_changes(TOOLKIT, name, REPO, texts, HOST)
    assert changes == {REPO: f"{EXPERIMENTAL}\n{SECTION}", other: "[site]\nbaseurl=https://x.example\n"}
    assert dnf_changes(TOOLKIT, name, REPO, {**texts, **changes}, HOST) == {}
    assert dnf_changes(None, name, REPO, {REPO: changes[REPO]}, HOST) == {REPO: f"{EXPERIMENTAL}\n"}
    assert dnf_changes(None, name, REPO, {REPO: SECTION}, HOST) == {REPO: ""}


def test_a_section_that_is_off_stays() -> None:
    off = {"/x.repo": "[old]\nbaseurl=https://nvidia.github.io/libnvidia-container/stable/rpm/x86_64\nenabled=0\n"}
    assert set(dnf_changes(TOOLKIT, TOOLKIT.name, REPO, off, HOST)) == {REPO}


def test_files_that_the_package_manager_reads(tmp_path: Path) -> None:
    for name in ("a.list", "b.sources", "c.list.1.2026~", "d.list.bak", ".e.list", "f g.list"):
        (tmp_path / name).write_text("")
    (tmp_path / "dir.list").mkdir()
    (tmp_path / "dangling.list").symlink_to("/nowhere")
    found = [Path(path).name for path in files_of(str(tmp_path), (".list", ".sources"), r"[A-Za-z0-9_.-]+")]
    assert found == ["a.list", "b.sources"]
    assert files_of(str(tmp_path / "none"), (".list",)) == []
