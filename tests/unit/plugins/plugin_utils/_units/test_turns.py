# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units.turns import turns

CHAT = {"a": ["chat"], "b": ["chat"], "c": ["chat"], "embed": ["embedding"]}


@pytest.mark.parametrize(
    ("instances", "joined", "expected"),
    [
        ("", [], []),
        ("a", [], ["a"]),
        ("a embed", [], ["a embed"]),
        ("a b c", [], ["a", "b", "c"]),
        # What nobody else answers for goes with the first.
        ("a b embed", [], ["a embed", "b"]),
        ("a b embed", [("embed", "b")], ["a", "embed b"]),
        ("a b embed", [("embed", "a"), ("a", "embed")], ["embed a", "b"]),
        # One has what the other takes, or both are joined by a third: at once, as it has to be.
        ("a b", [("a", "b")], ["a b"]),
        ("a b embed", [("embed", "a"), ("b", "embed")], ["b embed a"]),
        # What leaves is in no turn.
        ("a b", [("a", "gone")], ["a", "b"]),
        ("a new", [], ["a new"]),
    ],
)
def test_two_engines_of_one_model_are_never_in_the_same_turn(instances: str, joined: list[tuple[str, str]], expected: list[str]) -> None:
    found = turns(instances.split(), CHAT, joined)
    assert sorted(map(sorted, found)) == sorted(sorted(turn.split()) for turn in expected)


def test_an_adapter_is_a_model_too() -> None:
    models = {"a": ["chat", "sql"], "b": ["sql"], "c": ["chat"]}
    assert turns(["a", "b", "c"], models) == [["a"], ["b", "c"]]
