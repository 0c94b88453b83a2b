# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

from typing import Any

import pytest
from gateway_api import API, CLOSED, KNOWN, LEGACY
from gateway_errors import RequestError
from gateway_models import Model
from gateway_parameters import arrange, check_types, flatten, steers

STEERING = frozenset({"api_base", "custom_llm_provider", "num_retries", "top_k", "metadata", "functions", "documents"})
VLLM = Model("chat", frozenset({"hosted_vllm"}), {"chat_template_kwargs": {"enable_thinking": False}})
OLLAMA = Model("chat", frozenset({"ollama_chat"}))
CHAT: dict[str, Any] = {"model": "chat", "messages": []}
TOOL = {"type": "function", "function": {"name": "f", "strict": True}}


@pytest.mark.parametrize(
    ("kind", "body", "param"),
    [
        ("chat", {"api_base": "http://x"}, "api_base"),
        ("chat", {"extra_body": {"api_base": "http://x"}}, "api_base"),
        ("chat", {"extra_body": {"messages": []}}, "extra_body.messages"),
        ("chat", {"extra_body": {"model": "other"}}, "extra_body.model"),
        ("chat", {"extra_body": {"extra_body": {}}}, "extra_body.extra_body"),
        ("chat", {"temperature": 1, "extra_body": {"temperature": 2}}, "temperature"),
        ("chat", {"extra_body": "{}"}, "extra_body"),
        ("chat", {"extra_body": []}, "extra_body"),
        ("chat", {"router_settings_override": {}}, "router_settings_override"),
        ("chat", {"aws_something_new": 1}, "aws_something_new"),
        ("chat", {"litellm_new": 1}, "litellm_new"),
        ("chat", {"_target_order": 1}, "_target_order"),
        ("chat", {"metadata[api_base]": "x"}, "metadata[api_base]"),
        ("chat", {"": 1}, ""),
        ("chat", {"functions": []}, "functions"),
        ("chat", {"prompt": "x"}, "prompt"),
        ("embeddings", {"messages": []}, "messages"),
        ("rerank", {"zork": 1}, "zork"),
        ("transcription", {"zork": 1}, "zork"),
        ("transcription", {"extra_body": {"num_retries": 1}}, "num_retries"),
    ],
)
def test_what_would_steer_litellm_is_refused(kind: str, body: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as refused:
        flatten(kind, body, STEERING)
    assert (refused.value.status, refused.value.param) == (400, param)


def test_parameters_of_the_engine_go_where_litellm_does_not_read_them() -> None:
    body = flatten(
        "chat", {**CHAT, "top_k": 3, "temperature": 0.5, "extra_body": {"min_p": 0.1, "new_one": {"a": 1}}, "user": None}, STEERING
    )
    assert arrange("chat", body, STEERING, VLLM) == {
        **CHAT,
        "temperature": 0.5,
        "extra_body": {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 3, "min_p": 0.1, "new_one": {"a": 1}},
    }


def test_a_clients_own_value_wins_over_the_configured_one() -> None:
    arranged = arrange("chat", {**CHAT, "chat_template_kwargs": {"a": 1}}, STEERING, VLLM)
    assert arranged["extra_body"] == {"chat_template_kwargs": {"a": 1}}


def test_without_such_parameters_litellm_puts_the_configured_ones_in_itself() -> None:
    assert arrange("chat", CHAT, STEERING, VLLM) == CHAT


def test_tools_reach_vllm_with_strict_and_additional_properties() -> None:
    arranged = arrange("chat", {**CHAT, "tools": [TOOL], "tool_choice": "auto"}, STEERING, VLLM)
    assert arranged["extra_body"]["tools"] == [TOOL]
    assert arranged["extra_body"]["tool_choice"] == "auto"
    # LiteLLM turns tools of another type into functions, which vLLM knows.
    custom = {**CHAT, "tools": [{"type": "custom", "custom": {"name": "x"}}]}
    assert arrange("chat", custom, STEERING, Model()) == custom


def test_options_of_ollama_stay_where_litellm_looks_for_them() -> None:
    body = {**CHAT, "num_ctx": 1, "top_k": 3, "zork": 1, "tools": [TOOL]}
    assert arrange("chat", body, STEERING, OLLAMA) == {**CHAT, "num_ctx": 1, "top_k": 3, "tools": [TOOL], "extra_body": {"zork": 1}}


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("chat", "stream", "true"),
        ("chat", "temperature", "hot"),
        ("chat", "temperature", True),
        ("chat", "n", 1.5),
        ("chat", "messages", {}),
        ("chat", "tools", ["f"]),
        ("chat", "stop", 5),
        ("chat", "metadata", []),
        ("chat", "metadata", {"a": {}}),
        ("chat", "tool_choice", []),
        ("embeddings", "input", [1, "a"]),
        ("embeddings", "input", {}),
        ("embeddings", "dimensions", "2"),
        ("responses", "input", 5),
        ("rerank", "documents", "a"),
        ("messages", "system", 5),
    ],
)
def test_values_that_litellm_could_not_read(kind: str, name: str, value: Any) -> None:
    with pytest.raises(RequestError) as refused:
        check_types(kind, {name: value})
    assert refused.value.param == name


@pytest.mark.parametrize("value", ["a", ["a", "b"], [1, 2], [[1], [2, 3]], []])
def test_inputs_of_embeddings(value: Any) -> None:
    check_types("embeddings", {"input": value})


def test_metadata_does_not_steer_either() -> None:
    arrange("messages", {"metadata": {"user_id": "u"}}, STEERING, VLLM)
    with pytest.raises(RequestError):
        arrange("chat", {**CHAT, "metadata": {"api_base": "x"}}, STEERING, VLLM)


def test_every_parameter_of_an_api_goes_on() -> None:
    for kind, names in API.items():
        assert not [name for name in names if steers(name, STEERING)], kind
    assert not any(steers(name, KNOWN) for names in CLOSED.values() for name in names)
    assert not LEGACY & KNOWN
