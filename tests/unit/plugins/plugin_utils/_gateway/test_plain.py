# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.plain import plain, yaml_line, yaml_text


class TaggedText(str):
    """Like the strings that ansible-core 2.19 passes to filters."""


class UnsafeText(str):
    """Like what ansible-core 2.17 makes of a registered result: its str() is unsafe again."""

    def __str__(self) -> str:
        return self


class TaggedNumber(int):
    pass


class LazyDict(dict[str, Any]):
    pass


def test_subclasses_of_plain_types_are_written() -> None:
    value = LazyDict({TaggedText("name"): [TaggedText("chat"), UnsafeText("chat"), TaggedNumber(3), True, None, 0.5]})
    with pytest.raises(yaml.YAMLError):
        yaml.safe_dump(value)
    assert yaml.safe_load(yaml_text(value)) == {"name": ["chat", "chat", 3, True, None, 0.5]}


@pytest.mark.parametrize("value", [True, False, 0, 1, 1.0, "", "x", None, [], {}])
def test_types_stay_exact(value: object) -> None:
    assert type(plain(value)) is type(value)
    assert plain(value) == value


def test_order_and_long_lines_are_kept() -> None:
    assert yaml_text({"z": "word " * 60 + "end", "a": 1}).splitlines() == ["z: " + "word " * 60 + "end", "a: 1"]


@pytest.mark.parametrize(
    "text", ["\x85", "\u2028", "\u2029", "\ufeff", "\x07", "\t", " ", "\n", "a: b", "# a", "'", '"', "~", "yes", "=", "<<", "!!x"]
)
def test_a_text_comes_back_as_it_was(text: str) -> None:
    for written in (text, f"a{text}b", f"{text} "):
        value = {"x": [written], written: {"y": written}}
        assert yaml.safe_load(yaml_text(value)) == value
        assert yaml.safe_load(f"{yaml_line(written)}: {yaml_line(value)}\nb: {yaml_line(written)}") == {written: value, "b": written}


@pytest.mark.parametrize("value", ["a\nb", {"a b\n": ["c\r\n", {}]}, "word " * 60, 3, "3", None, []])
def test_a_line_is_one(value: object) -> None:
    assert yaml.safe_load(f"key: {yaml_line(value)}") == {"key": value}
    assert len(yaml_line(value).splitlines()) == 1
