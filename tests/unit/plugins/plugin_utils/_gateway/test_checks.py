# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from support.described_gateway import backend, gateway, model

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.error import GatewayError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (gateway(model(), model()), "model 'chat' is listed more than once"),
        (gateway(model(), model(name="other")), "backend id 'chat-n1' is used more than once"),
        (gateway(model(capability="video")), "capability 'video' is not one of chat, embedding, rerank, transcription"),
        (gateway(model(backends=[])), "model 'chat' has no backend"),
        (gateway(model(request_defaults={"api_base": "http://x"})), "request_defaults may not set 'api_base'"),
        (gateway(model(fallbacks=["nope"])), "fallback 'nope' is not a model"),
        (gateway(default_fallbacks=["nope"]), "default_fallbacks names 'nope'"),
        (gateway(model(backends=[backend(host=None, container=None, url=None)])), "cannot be reached from n1"),
        (gateway(model(capability="rerank", backends=[backend(engine="ollama")])), "Ollama has no rerank"),
        (gateway(aliases={"LLM": "nope"}), "alias 'LLM' points to 'nope'"),
        (gateway(model(), model(name="b", aliases=["chat"], backends=[backend(id="b")])), "is also the name of a model"),
        (gateway(model(aliases=["X"]), model(name="b", aliases=["X"], backends=[backend(id="b")])), "points to both 'chat' and 'b'"),
        (gateway(passthrough=[{"path": "/e", "model": "nope"}]), "names the model 'nope'"),
        (gateway(passthrough=[{"path": "e", "model": "chat"}]), "must start with /"),
    ],
)
def test_refusals(given: dict[str, Any], message: str) -> None:
    with pytest.raises(GatewayError) as refused:
        build_config(given, "n1")
    assert message in str(refused.value)


def test_every_problem_is_told_at_once() -> None:
    given = gateway(model(backends=[], capability="video", fallbacks=["nope"]))
    with pytest.raises(GatewayError) as refused:
        build_config(given, "n1")
    assert len(refused.value.problems) == 3


def test_the_same_alias_twice_for_one_model_is_no_conflict() -> None:
    config = build_config(gateway(model(aliases=["LLM", "chat"]), aliases={"LLM": "chat"}), "n1")
    assert config["router_settings"]["model_group_alias"] == {"LLM": "chat"}


@pytest.mark.parametrize("engine", ["vllm", "ollama", "openai"])
def test_a_capability_that_nobody_has_is_told_once(engine: str) -> None:
    with pytest.raises(GatewayError) as refused:
        build_config(gateway(model(capability="video", backends=[backend(engine=engine)])), "n1")
    assert len(refused.value.problems) == 1


def test_a_provider_that_was_chosen_is_taken_at_its_word() -> None:
    assert build_config(gateway(model(capability="rerank", backends=[backend(engine="ollama", provider="cohere")])), "n1")
