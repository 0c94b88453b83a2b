# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units.turns import turns


def unit(name: str, *locks: str, kind: str = "vllm") -> dict[str, Any]:
    return {"kind": kind, "name": name, "locks": list(locks)}


A, B, C, EMBED = unit("a", "0"), unit("b", "1"), unit("c", "2"), unit("embed", "0")
CHAT = {"vllm/a": ["chat"], "vllm/b": ["chat"], "vllm/c": ["chat"], "vllm/embed": ["embedding"]}


@pytest.mark.parametrize(
    ("units", "restarted", "expected"),
    [
        ([A, B, EMBED], [], []),
        ([A, B, EMBED], ["vllm/a"], [["vllm/a"]]),
        ([A, B, EMBED], ["vllm/a", "vllm/embed"], [["vllm/a", "vllm/embed"]]),
        ([A, B, C], ["vllm/a", "vllm/b", "vllm/c"], [["vllm/a"], ["vllm/b"], ["vllm/c"]]),
        # What shares a GPU goes together, and what nobody else answers for goes with the first.
        ([A, B, EMBED], ["vllm/a", "vllm/b", "vllm/embed"], [["vllm/a", "vllm/embed"], ["vllm/b"]]),
        ([A, B, unit("embed", "1")], ["vllm/a", "vllm/b", "vllm/embed"], [["vllm/a"], ["vllm/b", "vllm/embed"]]),
        ([A, B, unit("embed", "7")], ["vllm/a", "vllm/b", "vllm/embed"], [["vllm/a", "vllm/embed"], ["vllm/b"]]),
        # Both on one GPU, or joined by one that is on both: at once, as it has to be.
        ([A, unit("b", "0")], ["vllm/a", "vllm/b"], [["vllm/a", "vllm/b"]]),
        ([A, B, unit("embed", "0", "1")], ["vllm/a", "vllm/b", "vllm/embed"], [["vllm/a", "vllm/b", "vllm/embed"]]),
        # Without GPUs.
        ([unit("a"), unit("b")], ["vllm/a", "vllm/b"], [["vllm/a"], ["vllm/b"]]),
        ([unit("a"), {"kind": "ollama", "name": "11434"}], ["vllm/a", "ollama/11434"], [["vllm/a", "ollama/11434"]]),
    ],
)
def test_two_engines_of_one_model_are_never_in_the_same_turn(
    units: list[dict[str, Any]], restarted: list[str], expected: list[list[str]]
) -> None:
    assert turns(units, restarted, CHAT) == expected


def test_an_adapter_is_a_model_too() -> None:
    units = [unit("a"), unit("b"), unit("c")]
    models = {"vllm/a": ["chat", "sql"], "vllm/b": ["sql"], "vllm/c": ["chat"]}
    assert turns(units, ["vllm/a", "vllm/b", "vllm/c"], models) == [["vllm/a"], ["vllm/b", "vllm/c"]]
