# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_errors import Scrubber, error_body, field_of, message_of, public_headers

SCRUBBER = Scrubber(["vllm-chat", "10.0.0.5", "gpu1.internal"])


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Cannot connect to host vllm-chat:8000 ssl:default [Connect call failed]",
            "Cannot connect to host the engine [Connect call failed]",
        ),
        ("POST http://10.0.0.5:8070/v1/chat/completions failed", "POST the engine failed"),
        ("at gpu1.internal:8000/v1", "at the engine"),
        ("the model vllm-chat-small is not known", "the model vllm-chat-small is not known"),
        ("see https://docs.litellm.ai/x", "see the engine"),
        ("nothing inside", "nothing inside"),
    ],
)
def test_inner_addresses_are_not_told(said: str, told: str) -> None:
    assert SCRUBBER.text(said) == told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            'litellm.BadRequestError: Hosted_vllmException - {"error":{"message":"too long","type":"BadRequestError","code":400}}'
            ". Received Model Group=chat\nAvailable Model Group Fallbacks=None LiteLLM Retried: 1 times",
            "too long",
        ),
        (
            "litellm.Timeout: APITimeoutError - Request timed out.\n\nLiteLLM: model group 'chat' failed",
            "APITimeoutError - Request timed out.",
        ),
        ('{"detail":"Not Found"}', "Not Found"),
        ("plain words", "plain words"),
    ],
)
def test_what_litellm_wraps_around_a_message_goes(said: str, told: str) -> None:
    assert SCRUBBER.sentence(said) == told


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"error": {"message": "x"}}, "x"),
        ({"error": "x"}, "x"),
        ({"detail": {"error": "x"}}, "x"),
        ({"detail": [{"msg": "a", "loc": []}, {"msg": "b"}]}, "a; b"),
        ("x", "x"),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_the_sentence_in_an_error_body(data: Any, message: str | None) -> None:
    assert message_of(data) == message


def test_an_error_is_one_for_clients_of_openai_and_anthropic() -> None:
    body = json.loads(error_body(404, "no such model", param="model", code="model_not_found"))
    assert body == {
        "type": "error",
        "error": {"message": "no such model", "type": "not_found_error", "param": "model", "code": "model_not_found"},
    }
    assert json.loads(error_body(503, "x"))["error"]["type"] == "server_error"
    assert field_of({"error": {"code": "c", "param": "None"}}, "code") == "c"
    assert field_of({"error": {"code": "c", "param": "None"}}, "param") is None


def test_headers_tell_nothing_of_the_inside() -> None:
    headers = [
        (b"x-litellm-model-id", b"chat-gpu1"),
        (b"x-litellm-call-id", b"1"),
        (b"x-litellm-attempted-fallbacks", b"1"),
        (b"X-LiteLLM-Model-Api-Base", b"http://vllm-chat:8000/v1"),
        (b"x-litellm-version", b"1.110.2"),
        (b"llm_provider-server", b"uvicorn"),
        (b"server", b"uvicorn"),
        (b"retry-after", b"3"),
    ]
    kept = {name for name, _value in public_headers(headers)}
    assert kept == {b"x-litellm-model-id", b"x-litellm-call-id", b"x-litellm-attempted-fallbacks", b"retry-after"}
