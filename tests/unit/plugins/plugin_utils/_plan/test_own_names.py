# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The name that a model has at its source, where two models have it."""

from __future__ import annotations

from typing import Any

import pytest
from support.inventories import one, service

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan


def warnings_of(models: dict[str, Any], **changes: Any) -> tuple[dict[str, str], list[str]]:
    services = [service(name, 8070 + number, memory="1GiB") for number, name in enumerate(models)]
    plan = build_plan(one(*services, inference_models=models, **changes))
    return plan["gateway"]["aliases"], [text for text in plan["warnings"] if "source of the models" in text]


def test_a_second_model_of_the_same_source_does_not_take_its_name_without_a_word() -> None:
    one_model: dict[str, Any] = {"chat": {"source": "Qwen/Qwen3-8B"}}
    assert warnings_of(one_model) == ({"Qwen/Qwen3-8B": "chat"}, [])
    both = {**one_model, "long": {"source": "Qwen/Qwen3-8B", "max_model_len": 100000}}
    aliases, warned = warnings_of(both)
    assert aliases == {}
    assert len(warned) == 1
    assert warned[0].startswith("Qwen/Qwen3-8B is the source of the models chat and long")
    for changes in ({"inference_model_aliases": {"Qwen/Qwen3-8B": "chat"}}, {"inference_model_aliases": {"qwen/qwen3-8b": "chat"}}):
        aliases, warned = warnings_of(both, **changes)
        assert (list(aliases.values()), warned) == (["chat"], [])
    both["long"]["aliases"] = ["Qwen/Qwen3-8B"]
    assert warnings_of(both) == ({"Qwen/Qwen3-8B": "long"}, [])


@pytest.mark.parametrize("sources", [("Qwen/Qwen3-8B", "qwen/qwen3-8b"), ("/models/a/x", "/models/b/x"), ("/models/a/x", "/other/X")])
def test_the_same_name_in_other_words(sources: tuple[str, str]) -> None:
    aliases, warned = warnings_of({name: {"source": source} for name, source in zip(("one", "two"), sources, strict=True)})
    assert len(warned) == 1
    assert not {"x", "X", "Qwen/Qwen3-8B", "qwen/qwen3-8b"} & set(aliases)


@pytest.mark.parametrize("source", ["/models/größe", "/models/a b", "/models/" + "a" * 255])
def test_a_source_that_is_no_name_at_the_gateway_is_none(source: str) -> None:
    assert warnings_of({"chat": {"source": source}}) == ({"a" * 255: "chat"} if "aaa" in source else {}, [])
