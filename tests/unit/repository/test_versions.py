# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make versions`: how answers are read, what is told, and the page of known vulnerabilities."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support import versions
from support.versions import Pin, UnreachableError, told

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.advisories import ADVISORIES, LITELLM, VLLM
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.platform import version_tuple


def unreachable() -> str:
    raise UnreachableError("hub.example is out of reach (Name or service not known)")


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (versions.of_pip, "WARNING: experimental\nlitellm (1.110.2)\nAvailable versions: 1.110.2, 1.110.1\n", "1.110.2"),
        (versions.of_tags, '{"results": [{"name": "latest"}, {"name": "0.9.1"}, {"name": "0.32.15-rocm"}, {"name": "0.32.9"}]}', "0.32.9"),
        (
            versions.of_packages,
            "Package: nvidia-container-toolkit\nArchitecture: amd64\nVersion: 1.9.0-1\n\n"
            "Package: nvidia-container-toolkit-base\nVersion: 1.99.0-1\n\n"
            "Package: nvidia-container-toolkit\nVersion: 1.20.1-1\nPriority: optional\n\n"
            "Package: nvidia-container-toolkit\nVersion: 1.21.0~rc.1-1\n",
            "1.20.1",
        ),
    ],
)
def test_the_newest_in_an_answer(read: Callable[[str], str], text: str, expected: str) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(("read", "text"), [(versions.of_pip, "ERROR: no such package\n"), (versions.of_tags, '{"results": []}')])
def test_an_answer_without_a_version(read: Callable[[str], str], text: str) -> None:
    with pytest.raises(UnreachableError):
        read(text)


@pytest.mark.parametrize(
    ("pin", "state", "advisories", "vulnerable"),
    [
        (Pin(VLLM, "0.32.0", lambda: "0.32.0"), "0.32.0", "", False),
        (Pin(VLLM, "0.32.0", lambda: "0.100.1"), "0.100.1, the pin is behind", "", False),
        (Pin(VLLM, "0.32.0", lambda: "0.9.9"), "0.9.9 (vulnerable: GHSA-4r2x", "", False),
        (Pin(LITELLM, "1.82.8", lambda: "1.110.2"), "1.110.2, the pin is behind", "BerriAI/litellm#24512", True),
        (Pin(LITELLM, "1.82.8", unreachable), "not known: hub.example is out of reach", "BerriAI/litellm#24512", True),
        (Pin("ansible", "12.3.0", lambda: "12.3.0"), "12.3.0", "", False),
    ],
)
def test_what_is_told_of_a_pin(pin: Pin, state: str, advisories: str, vulnerable: bool) -> None:
    cells, found = told(pin)
    assert cells[:2] == [pin.program, pin.version]
    assert cells[2].startswith(state)
    assert cells[3].startswith(advisories)
    assert bool(cells[3]) is found is vulnerable


def test_every_pin_has_a_version() -> None:
    found = versions.pins()
    assert {pin.program for pin in found} >= {item.program for item in ADVISORIES}
    assert [pin for pin in found if not version_tuple(pin.version)] == []


def test_the_page_is_in_step() -> None:
    """Otherwise: make docs."""
    page = versions.PAGE.read_text(encoding="utf-8")
    assert page == versions.page_with_table(page)
    assert all(item.identity in page for item in ADVISORIES)
