# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import configparser
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.llmops.gpu_inference.plugins.module_utils._dnf_files import (
    excluded,
    section_text,
    sections,
    with_excluded,
    without_excluded,
    without_sections,
)

#: NVIDIA's own file, and a site's section in it.
REPO = """# from the guide
[nvidia-container-toolkit]
name=nvidia-container-toolkit
baseurl=https://nvidia.github.io/libnvidia-container/stable/rpm/$basearch
repo_gpgcheck=1
enabled=1

[nvidia-container-toolkit-experimental]
name=experimental
baseurl = https://nvidia.github.io/libnvidia-container/experimental/rpm/$basearch
enabled=0

[site]
name=site
baseurl=https://one.example/x
  https://two.example/${releasever}/x
; comment
enabled=False
"""


def test_sections() -> None:
    head, found = sections(REPO)
    assert head == ["# from the guide"]
    assert [(section.name, section.enabled) for section in found] == [
        ("nvidia-container-toolkit", True),
        ("nvidia-container-toolkit-experimental", False),
        ("site", False),
    ]
    variables = {"basearch": "x86_64", "releasever": "9"}
    assert [place.place for place in found[0].places(variables)] == ["nvidia.github.io/libnvidia-container/stable/rpm/x86_64"]
    assert [place.place for place in found[2].places(variables)] == ["one.example/x", "two.example/9/x"]


def test_only_the_section_goes() -> None:
    left = without_sections(REPO, lambda section: section.name == "nvidia-container-toolkit")
    assert left == "# from the guide\n" + REPO[REPO.index("[nvidia-container-toolkit-exp") :]
    assert without_sections(REPO, lambda section: False) == REPO
    assert "[site]" not in without_sections(REPO, lambda section: section.name == "site")


@pytest.mark.parametrize("value", ["a\nb=1", "a\r", "x\u2028y", "\x00", "\x85"])
def test_no_value_becomes_two_lines(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        section_text("x", {"baseurl": value})


@settings(max_examples=60, deadline=None)
@given(st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True))
def test_a_reader_of_such_files_gets_what_was_meant(value: str) -> None:
    """Python's reader of such files stands for dnf's; scenario `dnf` has the real one."""
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=(), inline_comment_prefixes=(), strict=True)
    parser.read_string(section_text("x", {"baseurl": value, "enabled": "1"}))
    assert dict(parser["x"]) == {"baseurl": value, "enabled": "1"}


CONFS = [
    "",
    "[main]\n",
    "[main]\ngpgcheck=1\n",
    "# mine\n[main]\ngpgcheck=1\nexcludepkgs=kernel*,foo\nbest=True\n\n[other]\nexcludepkgs=bar\n",
    "[main]\nexclude = kernel* foo\n",
    "[main]\nexcludepkgs=\n",
    "[main]\nexcludepkgs=\n  kernel*\n  foo\nbest=True\n",
    "[main]\nexcludepkgs=kernel*\n\tfoo\n",
    "[other]\nexcludepkgs=bar\n",
    "[main]\nbest=True",
]
NAMES = ["nvidia-container-toolkit", "libnvidia-container1"]


@pytest.mark.parametrize("text", CONFS)
def test_packages_are_kept_out_and_let_in_again(text: str) -> None:
    before = excluded(text)
    held = with_excluded(text, NAMES)
    assert set(excluded(held)) == {*before, *NAMES}
    assert with_excluded(held, NAMES) == held
    back = without_excluded(held, NAMES)
    assert excluded(back) == before
    # An empty option goes, and a file without [main] has one now; all else is as it was, letter by letter.
    assert (
        re.sub(r"\[main\]\n?|^excludepkgs=\n(?! )", "", back, flags=re.MULTILINE).strip()
        == re.sub(r"\[main\]\n?|^excludepkgs=\n(?! )", "", text, flags=re.MULTILINE).strip()
    )
    assert without_excluded(text, NAMES) == text


def test_what_somebody_else_excludes_is_left_alone() -> None:
    text = "[main]\nexcludepkgs=nvidia-container-toolkit\n"
    assert with_excluded(text, ["nvidia-container-toolkit"]) == text
    assert without_excluded("[main]\nexcludepkgs=nvidia-container-toolkit-base\n", ["nvidia-container-toolkit"]).count("-base") == 1
