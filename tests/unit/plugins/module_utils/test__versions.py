# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.llmops.gpu_inference.plugins.module_utils._versions import at_least, compare, revision, upstream


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("1.20.5-0lambda1", "1.20.5-1", 0),
        ("1.20.5-0lambda1", "1.20.5", 0),
        ("1:1.20.5-1", "1.20.5-1", 0),
        ("1.20.5-0lambda1", "1.19.1-1", 1),
        ("1.19.10-1", "1.19.9-1", 1),
        ("1.20.0~rc.1-1", "1.20.0-1", -1),
        ("1.20.0-1", "1.20-1", 1),
        ("1.20.1+git20260901-1", "1.20.1", 1),
        ("26.1.5+dfsg1", "23.0", 1),
        ("20.10.24+dfsg1", "23.0", -1),
        ("28.0.0-rc.1", "28.0", 1),
        ("5:29.7.2-1~ubuntu.24.04~noble", "29.7.2", 0),
        ("library", "23.0", 1),
        ("", "0.1", -1),
    ],
)
def test_compare(left: str, right: str, expected: int) -> None:
    assert compare(left, right) == expected
    assert compare(right, left) == -expected


def test_parts() -> None:
    assert (upstream("1:1.20.5-0lambda1"), revision("1:1.20.5-0lambda1")) == ("1.20.5", "0lambda1")
    assert (upstream("1.20.5"), revision("1.20.5")) == ("1.20.5", "")
    assert at_least("1.20.5-0lambda1", "1.20.1")
    assert not at_least("1.19.0", "1.19.1")


PARTS = st.from_regex(r"[0-9]{1,3}([.+~]?[0-9a-z]{1,3}){0,4}", fullmatch=True)


@settings(max_examples=80, deadline=None)
@given(PARTS, PARTS)
def test_the_order_is_that_of_dpkg(left: str, right: str) -> None:
    if shutil.which("dpkg") is None:
        return  # another system; Debian and Ubuntu run it
    older = subprocess.run(["dpkg", "--compare-versions", left, "lt", right], check=False).returncode == 0
    newer = subprocess.run(["dpkg", "--compare-versions", left, "gt", right], check=False).returncode == 0
    assert compare(left, right) == newer - older
