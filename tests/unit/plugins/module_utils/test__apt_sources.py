# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compared with apt itself, which tells what it would fetch without a network."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.llmops.gpu_inference.plugins.module_utils._apt_sources import Repository, repositories, repository, without

NVIDIA = Repository("nvidia.github.io/libnvidia-container/stable/deb/amd64", "")
DOCKER = Repository("download.docker.com/linux/debian", "trixie")


def is_nvidia(found: Repository) -> bool:
    return found == NVIDIA


@pytest.mark.parametrize(
    "line",
    [
        r"deb https://nvidia.github.io/libnvidia-container/stable/deb/$(ARCH) /",
        "deb https://nvidia.github.io/libnvidia-container/stable/deb/amd64/ /",
        "deb http://nvidia.github.io/libnvidia-container/stable/deb/amd64 ./",
        r"deb https://nvidia.github.io/libnvidia-container/stable/deb $(ARCH)/",
        "deb https://NVIDIA.github.io:443/libnvidia-container//stable/deb/amd64 /",
        "deb [signed-by=/usr/share/keyrings/x.gpg] https://nvidia.github.io/libnvidia-container/stable/deb/amd64 / # NVIDIA",
        "deb [ arch=amd64,arm64 trusted=yes ]  https://nvidia.github.io/libnvidia-container/stable/deb/amd64\t/",
        "deb [arch=amd64 signed-by=/a#b] https://nvidia.github.io/libnvidia-container/stable/deb/amd64 /",
        "deb-src https://user:pw@nvidia.github.io/libnvidia-container/stable/deb/amd64 /",
        'deb "https://nvidia.github.io/libnvidia-container/stable/deb/amd64" "/"',
        "  deb https://nvidia.github.io/libnvidia-container/stable/%64eb/amd64 /",
    ],
)
def test_one_line_in_every_spelling(line: str) -> None:
    assert repositories(line, deb822=False, architecture="amd64") == [NVIDIA]
    text = f"# mine\ndeb http://deb.debian.org/debian trixie main\n{line}\n\n# end\n"
    kept = "# mine\ndeb http://deb.debian.org/debian trixie main\n\n# end\n"
    assert without(text, is_nvidia, deb822=False, architecture="amd64") == kept


@pytest.mark.parametrize(
    "line",
    [
        "# deb https://nvidia.github.io/libnvidia-container/stable/deb/amd64 /",
        "deb https://nvidia.github.io/libnvidia-container/experimental/deb/amd64 /",
        "deb https://nvidia.github.io/libnvidia-container/stable/deb/arm64 /",
        "deb https://mirror.example/nvidia.github.io/libnvidia-container/stable/deb/amd64 /",
        "deb https://nvidia.github.io:8443/libnvidia-container/stable/deb/amd64 /",
        "deb https://nvidia.github.io/libnvidia-container/stable/deb/amd64 stable main",
        "deb https://example.org/x / # https://nvidia.github.io/libnvidia-container/stable/deb/amd64 /",
        "deb",
        "",
    ],
)
def test_other_lines_stay(line: str) -> None:
    assert without(line, is_nvidia, deb822=False, architecture="amd64") == line


STANZAS = """# Debian
Types: deb deb-src
URIs: http://deb.debian.org/debian
Suites: trixie trixie-updates
Components: main

types: deb
uris:
 https://nvidia.github.io/libnvidia-container/stable/deb/$(ARCH)/
suites: /
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 xsFNBF
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: https://nvidia.github.io/libnvidia-container/stable/deb/amd64
Suites: /
Enabled: no

Types: deb
# two at once
URIs: https://first.example/x
 https://nvidia.github.io/libnvidia-container/stable/deb/amd64
Suites: /
Signed-By: /etc/apt/keyrings/both.asc
"""
LEFT = """# Debian
Types: deb deb-src
URIs: http://deb.debian.org/debian
Suites: trixie trixie-updates
Components: main

Types: deb
URIs: https://nvidia.github.io/libnvidia-container/stable/deb/amd64
Suites: /
Enabled: no

Types: deb
# two at once
URIs: https://first.example/x
Suites: /
Signed-By: /etc/apt/keyrings/both.asc
"""


def test_stanzas() -> None:
    assert repositories(STANZAS, deb822=True, architecture="amd64").count(NVIDIA) == 2
    assert without(STANZAS, is_nvidia, deb822=True, architecture="amd64") == LEFT
    assert without(LEFT, is_nvidia, deb822=True, architecture="amd64") == LEFT


def test_suites_that_stay_keep_their_addresses() -> None:
    text = (
        "Types: deb\nURIs: https://download.docker.com/linux/debian https://mirror.example/docker\n"
        "Suites: bookworm trixie\nComponents: stable\n"
    )
    kept = without(text, lambda found: found == DOCKER, deb822=True, architecture="amd64")
    assert kept == (
        "Types: deb\nURIs: https://download.docker.com/linux/debian\nSuites: bookworm\nComponents: stable\n\n"
        "Types: deb\nURIs: https://mirror.example/docker\nSuites: bookworm trixie\nComponents: stable\n"
    )


@pytest.mark.parametrize("text", ["", "\n", "# comment only\n", "Types: deb\nEnabled: yes\n"])
def test_files_without_sources(text: str) -> None:
    assert repositories(text, deb822=True, architecture="amd64") == []
    assert without(text, lambda _found: True, deb822=True, architecture="amd64") == text


@pytest.mark.parametrize("uri", ["file:/srv/r/stable", "file:///srv/r//stable/"])
def test_a_folder_of_the_host(uri: str) -> None:
    assert repository(uri, "/", "amd64") == Repository("file:/srv/r/stable", "")


# --- apt's own opinion -------------------------------------------------------------------------------------------


def by_apt(folder: Path, text: str, suffix: str) -> set[Repository]:
    """What apt would fetch for this file, by its addresses of InRelease."""
    (folder / "lists/partial").mkdir(parents=True, exist_ok=True)
    (folder / f"test{suffix}").write_text(text, encoding="utf-8")
    options = {
        "Dir::Etc::SourceList": folder / f"test{suffix}",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
    }
    argv = ["apt-get", *(f"-o{name}={value}" for name, value in options.items()), "-oAPT::Architecture=amd64", "update", "--print-uris"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr + text
    found = set()
    for address in re.findall(r"^'(\S+?)/InRelease'", done.stdout, re.MULTILINE):
        base, separator, suite = unquote(address).partition("/dists/")
        found.add(repository(base, suite if separator else "/", "amd64"))
    return found


PLACES = st.sampled_from(
    ["https://a.example/x", "http://a.example/x/", "https://user:pw@b.example:8080/y", r"https://c.example/$(ARCH)", "https://d.example"]
)
SUITES = st.sampled_from(["/", "./", "amd64/", "stable", "trixie-updates"])
OPTIONS = st.sampled_from(["", "[arch=amd64] ", "[ arch=amd64 lang=none ] ", "[signed-by=/a.gpg]\t"])
ENDS = st.sampled_from(["", " # end", "#end"])
LINES = st.one_of(
    st.tuples(st.sampled_from(["deb ", " deb\t", "#deb "]), OPTIONS, PLACES, SUITES, ENDS).map(
        lambda part: f"{part[0]}{part[1]}{part[2]} {part[3]}{'' if part[3].endswith('/') else ' main'}{part[4]}"
    ),
    st.sampled_from(["", "# words", "   "]),
)


def unique(found: list[Repository]) -> bool:
    """Of one repository in several spellings apt may think more."""
    return len(found) == len(set(found))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(LINES, max_size=5).map("\n".join))
def test_apt_reads_the_same_lines(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    assert shutil.which("apt-get"), "Debian and Ubuntu have it"
    mine = repositories(text, deb822=False, architecture="amd64")
    if unique(mine):
        assert set(mine) == by_apt(tmp_path_factory.mktemp("apt"), text + "\n", ".list")


FIELDS = st.tuples(
    st.sampled_from(["Types", "types", "TYPES"]),
    st.lists(PLACES, min_size=1, max_size=2, unique=True),
    st.sampled_from([" ", "\n ", "\n#inside\n\t"]),
    st.lists(st.sampled_from(["stable", "next"]), min_size=1, max_size=2, unique=True),
    st.sampled_from(["", "Enabled: yes\n", "Enabled: no\n", "enabled: FALSE\n", "# note\n", "X-Note: a b\n"]),
).map(lambda part: f"{part[0]}: deb\nURIs:{part[2]}{part[2].join(part[1])}\n{part[4]}Suites: {' '.join(part[3])}\nComponents: main\n")


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(FIELDS, max_size=3).map("\n".join), st.sampled_from(["a.example/x", "b.example:8080/y", "c.example/amd64"]))
def test_apt_reads_the_same_stanzas_before_and_after(tmp_path_factory: pytest.TempPathFactory, text: str, gone: str) -> None:
    mine = repositories(text, deb822=True, architecture="amd64")
    if not unique(mine):
        return
    folder = tmp_path_factory.mktemp("apt")
    assert set(mine) == by_apt(folder, text, ".sources")
    left = without(text, lambda found: found.place == gone, deb822=True, architecture="amd64")
    assert {found for found in mine if found.place != gone} == by_apt(folder, left, ".sources")
