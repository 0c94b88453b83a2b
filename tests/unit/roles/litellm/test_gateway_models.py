# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

from typing import Any

import pytest
from gateway_errors import RequestError
from gateway_models import Model, Models


def deployment(name: str, model: str = "hosted_vllm/m", mode: str | None = "chat", **params: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, **params}, "model_info": {"mode": mode}}


MODELS = Models.from_deployments(
    [
        deployment("chat", extra_body={"chat_template_kwargs": {"enable_thinking": False}}),
        deployment("pair"),
        deployment("pair", "ollama_chat/m", extra_body={"a": 1}),
        deployment("embedding", mode="embedding"),
        deployment("unknown", mode=None),
    ]
)


def test_models_are_those_that_litellm_has_loaded() -> None:
    assert MODELS.names["chat"] == Model("chat", frozenset({"hosted_vllm"}), {"chat_template_kwargs": {"enable_thinking": False}})
    assert MODELS.names["pair"] == Model("chat", frozenset({"hosted_vllm", "ollama_chat"}), {})
    assert not MODELS.wildcards


@pytest.mark.parametrize(
    ("kind", "name", "status", "reason"),
    [
        ("chat", "nope", 404, "For this there are: chat, pair, unknown"),
        ("chat", "embedding", 400, "is for embeddings (POST /v1/embeddings)"),
        ("embeddings", "chat", 400, "not for embeddings"),
        ("rerank", "nope", 404, "does not exist"),
        ("chat", None, 400, "names no model"),
        ("chat", ["chat"], 400, "names no model"),
        ("chat", "", 400, "names no model"),
    ],
)
def test_a_model_that_is_not_there_or_cannot_do_it(kind: str, name: Any, status: int, reason: str) -> None:
    with pytest.raises(RequestError) as refused:
        MODELS.wanted(kind, name)
    assert refused.value.status == status
    assert reason in refused.value.message
    assert refused.value.param == "model"


def test_models_that_nothing_is_known_of_are_litellms_business() -> None:
    assert MODELS.wanted("embeddings", "unknown").mode is None
    assert Models().wanted("chat", "x") == Model()
    assert Models.from_deployments([deployment("openai/*", "openai/*")]).wanted("chat", "openai/x") == Model()
