# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import copy
from typing import Any

import pytest
from gateway_errors import RequestError
from gateway_messages import check_conversation


def message(**changes: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi", **changes}]}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("chat", {}),
        ("chat", {"messages": []}),
        ("chat", {"messages": ["hi"]}),
        ("chat", {"messages": [{"content": "hi"}]}),
        ("chat", message(role=5)),
        ("chat", message(content=5)),
        ("chat", message(content={})),
        ("chat", message(content=None)),
        ("chat", message(content=[None])),
        ("chat", message(content=[{}])),
        ("chat", message(content=[{"type": 5}])),
        ("chat", message(content=[{"type": "text"}])),
        ("chat", message(content=[{"type": "text", "text": []}])),
        ("chat", message(content=[{"type": "image_url"}])),
        ("chat", message(content=[{"type": "image_url", "image_url": {}}])),
        ("chat", message(content=[{"type": "input_image", "image_url": "data:,"}])),
        ("chat", message(content=[{"type": "input_audio", "input_audio": {"data": 5}}])),
        ("chat", message(content=[{"type": "file", "file": {"file_id": 5}}])),
        ("chat", message(name=5)),
        ("chat", message(role="assistant", tool_calls={})),
        ("chat", message(role="assistant", tool_calls=[{}])),
        ("chat", message(role="assistant", tool_calls=[{"type": "function", "function": {"arguments": "{}"}}])),
        ("chat", {**message(), "tools": [{}]}),
        ("chat", {**message(), "tools": [{"type": "function", "function": {"parameters": {}}}]}),
        ("chat", {**message(), "tool_choice": {}}),
        ("messages", message(role="tool")),
        ("messages", {**message(), "tools": [{"name": "x"}]}),
        ("messages", {**message(), "tool_choice": {"type": "tool"}}),
        ("messages", {**message(), "system": [{}]}),
        ("messages", message(content=[{"type": "image", "source": "x"}])),
        ("messages", message(content=[{"type": "tool_use", "name": "x"}])),
        ("messages", message(content=[{"type": "tool_result", "content": 5}])),
        ("responses", {}),
        ("responses", {"input": ["x"]}),
        ("responses", {"input": [{"role": "user", "content": 5}]}),
        ("responses", {"input": [{"type": "function_call_output", "output": [5]}]}),
        ("completions", {}),
        ("embeddings", {"input": []}),
        ("embeddings", {"input": [[1], []]}),
        ("rerank", {"query": "q"}),
        ("rerank", {"query": "q", "documents": [5]}),
    ],
)
def test_what_litellm_would_stumble_over(kind: str, body: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as refused:
        check_conversation(kind, body)
    assert refused.value.status == 400
    assert refused.value.param


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("chat", message(content=[{"type": "text", "text": "x"}, {"type": "video_url", "video_url": {"url": "data:,"}}])),
        (
            "chat",
            message(
                role="assistant", content=None, tool_calls=[{"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}]
            ),
        ),
        ("chat", message(role="ipython")),
        ("messages", {**message(), "tools": [{"type": "web_search_20250305", "name": "web_search"}], "tool_choice": {"type": "any"}}),
        ("responses", {"input": "x", "previous_response_id": None, "conversation": None}),
        ("responses", {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}),
        ("embeddings", {"input": ""}),
        ("rerank", {"query": "q", "documents": ["a", {"text": "b"}]}),
    ],
)
def test_what_real_clients_send(kind: str, body: dict[str, Any]) -> None:
    before = copy.deepcopy(body)
    check_conversation(kind, body)
    assert body == before


@pytest.mark.parametrize("name", ["conversation", "previous_response_id"])
def test_a_conversation_that_nobody_has_kept_is_refused(name: str) -> None:
    """Also without an input, which OpenAI allows then."""
    for body in ({}, {"input": "and then?"}):
        with pytest.raises(RequestError, match=f"{name} is not supported.* Send all of it as input") as refused:
            check_conversation("responses", {**body, name: "resp_1"})
        assert (refused.value.status, refused.value.code, refused.value.param) == (400, "unsupported_parameter", name)


def test_a_text_among_parts_is_a_part() -> None:
    body = message(content=["hi"])
    check_conversation("chat", body)
    assert body == message(content=[{"type": "text", "text": "hi"}])
