# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of the guard beside parameters and media, each with a case that meets this rule and no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_access import PUBLIC_PATHS, Caller, caller_of
from gateway_errors import RequestError, Scrubber, error_body, public_headers
from gateway_forms import Form, Upload
from gateway_keys import Keys, offered_keys
from gateway_messages import check_conversation
from gateway_models import Model, Models
from gateway_policy import Policy
from gateway_requests import Judged, Rules, inference, raw_route
from gateway_routes import Route

MODELS = Models({"chat": Model("chat"), "embedding": Model("embedding"), "rerank": Model("rerank"), "asr": Model("audio_transcription")})
RULES = Rules(Policy(raw={"/raw": 1}), frozenset({"api-version", "beta", "num_retries"}), MODELS)
CALLER = Caller("key", "crawler")
JSON = [(b"content-type", b"application/json")]
HELLO: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
SOUND = Upload("file", "a.wav", "audio/wav", b"RIFF")
URL = "http://evil.test/x"


def ask(body: Any = HELLO, headers: Any = (), query: bytes = b"", route: Route | None = None) -> Judged:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return inference(route or Route("chat"), raw, None, [*JSON, *headers], query, CALLER, RULES)


def upload(*pairs: tuple[str, str], route: Route | None = None) -> Judged:
    return inference(route or Route("transcription"), b"", Form.of(pairs, [SOUND]), [], b"", CALLER, RULES)


def code_of(call: Any) -> tuple[str | None, str | None]:
    with pytest.raises(RequestError) as refused:
        call()
    assert refused.value.status == 400
    return refused.value.code, refused.value.param


def test_a_request_meets_each_judge() -> None:
    """Types, the conversation, media, two models, and what cannot be written again."""
    hostile = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}]}]
    assert code_of(lambda: ask({**HELLO, "temperature": "hot"})) == ("invalid_type", "temperature")
    assert code_of(lambda: ask({**HELLO, "messages": [{}]})) == ("invalid_type", "messages[0].role")
    assert code_of(lambda: ask({**HELLO, "messages": hostile})) == ("media_refused", None)
    assert code_of(lambda: ask(route=Route("chat", "other"))) == ("invalid_model", "model")
    assert code_of(lambda: ask(json.dumps(HELLO).replace("}", ', "zork": 1e999}', 1).encode())) == ("invalid_json", None)


def test_an_upload_meets_each_judge() -> None:
    assert code_of(lambda: upload(("model", "asr"), ("language[]", "en"))) == ("invalid_type", "language")
    assert code_of(lambda: upload(("model", "asr"), ("language", URL))) == ("media_refused", None)
    assert code_of(lambda: upload(("model", "asr"), route=Route("transcription", "other"))) == ("invalid_model", "model")


def test_a_raw_route_meets_the_judge_of_headers() -> None:
    refused = lambda: raw_route("/raw", b"{}", None, [*JSON, (b"x-litellm-timeout", b"1")], b"", CALLER, RULES)  # noqa: E731
    assert code_of(refused) == ("parameter_refused", "x-litellm-timeout")


PASSED = (b"accept", b"anthropic-version", b"host", b"traceparent", b"tracestate", b"user-agent")
IGNORED = (b"x-litellm-api-key", b"x-litellm-call-id", b"x-litellm-session-id", b"x-litellm-trace-id")


def test_headers_that_go_on_and_headers_that_may_come() -> None:
    got = dict(ask(headers=[(name, b"x") for name in (*PASSED, *IGNORED, b"cookie")]).headers)
    assert set(got) == {*PASSED, b"authorization", b"content-type", b"content-length"}


@pytest.mark.parametrize("query", [b"api-version=2024-10-21", b"beta=true"])
def test_what_clients_write_into_the_address(query: bytes) -> None:
    assert json.loads(ask(query=query).body) == HELLO


def test_paths_that_answer_without_a_key() -> None:
    assert set(PUBLIC_PATHS) == {"/health/liveliness", "/health/liveness", "/health/readiness", "/health_check"}


def test_a_request_without_a_key_is_told_how_to_send_it() -> None:
    with pytest.raises(RequestError, match="Authorization: Bearer") as refused:
        caller_of([], Keys.from_environment({}))
    assert (refused.value.status, refused.value.code) == (401, "missing_api_key")


@pytest.mark.parametrize(
    "name", [b"authorization", b"x-api-key", b"api-key", b"x-litellm-api-key", b"x-goog-api-key", b"ocp-apim-subscription-key"]
)
def test_where_clients_put_their_key(name: bytes) -> None:
    assert offered_keys([(name, b"a-key")]) == ["a-key"]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("chat", "/v1/chat/completions"),
        ("completions", "/v1/completions"),
        ("count_tokens", "/v1/messages/count_tokens"),
        ("embeddings", "/v1/embeddings"),
        ("messages", "/v1/messages"),
        ("models", "/v1/models"),
        ("rerank", "/v1/rerank"),
        ("responses", "/v1/responses"),
        ("transcription", "/v1/audio/transcriptions"),
    ],
)
def test_where_litellm_is_called(kind: str, path: str) -> None:
    assert Route(kind).path == path


@pytest.mark.parametrize("kind", ["chat", "completions", "count_tokens", "messages", "responses"])
def test_routes_of_chat_take_no_other_model(kind: str) -> None:
    assert MODELS.wanted(kind, "chat").mode == "chat"
    for name, place in (("embedding", "POST /v1/embeddings"), ("rerank", "POST /v1/rerank"), ("asr", "POST /v1/audio/transcriptions")):
        with pytest.raises(RequestError) as refused:
            MODELS.wanted(kind, name)
        assert place in refused.value.message
        assert "not for chat (POST /v1/chat/completions)" in refused.value.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, "invalid_request_error") for status in (400, 405, 413, 415, 422, 418)),
        *((401, "authentication_error"), (403, "permission_error"), (404, "not_found_error"), (408, "timeout_error")),
        *((429, "rate_limit_error"), (500, "server_error"), (503, "server_error")),
    ],
)
def test_kinds_of_errors(status: int, kind: str) -> None:
    assert json.loads(error_body(status, "x"))["error"]["type"] == kind


def test_headers_of_litellm_that_clients_use() -> None:
    names = (
        *("attempted-fallbacks", "attempted-retries", "call-id", "model-group", "model-id", "overhead-duration-ms"),
        *("response-duration-ms",),
    )
    headers = [(f"x-litellm-{name}".encode(), b"1") for name in (*names, "response-cost", "key-spend")]
    assert [name for name, _value in public_headers(headers)] == [f"x-litellm-{name}".encode() for name in names]


@pytest.mark.parametrize("said", ["litellm.BadRequestError: too long", "BadRequestError: too long", "Hosted_vllmException - too long"])
def test_each_wrapping_of_a_sentence(said: str) -> None:
    assert Scrubber().sentence(said) == "too long"


def said(role: Any = "user", **changes: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": "hi", **changes}]}


def part(**value: Any) -> dict[str, Any]:
    return said(content=[value])


def call(**value: Any) -> dict[str, Any]:
    return said("assistant", tool_calls=[{"id": "1", "type": "function", "function": {"name": "f"}, **value}])


@pytest.mark.parametrize(
    ("kind", "body", "param"),
    [
        *(
            ("messages", said("assistant", content=[{"type": name, name: 5}]), f"messages[0].content[0].{name}")
            for name in ("refusal", "thinking")
        ),
        *(("chat", part(type=name, **{name: 5}), f"messages[0].content[0].{name}") for name in ("image_url", "audio_url", "video_url")),
        *(
            ("responses", {"input": [{"role": "user", "content": [{"type": name, "text": 5}]}]}, "input[0].content[0].text")
            for name in ("input_text", "output_text")
        ),
        ("chat", part(type="image_url", image_url={"url": "data:,", "detail": "ultra"}), "messages[0].content[0].image_url.detail"),
        ("chat", part(type="text", text="x", cache_control=5), "messages[0].content[0].cache_control"),
        *(
            ("messages", part(type="image", source={name: 5}), f"messages[0].content[0].source.{name}")
            for name in ("type", "url", "data", "media_type", "file_id")
        ),
        ("messages", part(type="tool_use", id="1"), "messages[0].content[0].name"),
        ("messages", part(type="tool_use", id="1", name="f", input=5), "messages[0].content[0].input"),
        ("messages", part(type="tool_result", content="x"), "messages[0].content[0].tool_use_id"),
        ("messages", part(type="tool_result", tool_use_id="1", content=5), "messages[0].content[0].content"),
        ("chat", call(id=5), "messages[0].tool_calls[0].id"),
        ("chat", call(type=5), "messages[0].tool_calls[0].type"),
        ("chat", call(function={"name": "f", "arguments": 5}), "messages[0].tool_calls[0].function.arguments"),
        *(("chat", said(**{name: 5}), f"messages[0].{name}") for name in ("function_call", "audio", "cache_control")),
        *(("chat", said(**{name: 5}), f"messages[0].{name}") for name in ("tool_call_id", "refusal", "reasoning_content", "reasoning")),
        *(("chat", {**said(), "tool_choice": {"type": "x", name: 5}}, f"tool_choice.{name}") for name in ("name", "function")),
        ("messages", {**said(), "tool_choice": {"type": "function"}}, "tool_choice.type"),
        ("chat", {**said(), "stream_options": 5}, "body.stream_options"),
        ("chat", {**said(), "tools": [{"function": {"name": "f"}}]}, "tools[0].type"),
        *(
            ("chat", {**said(), "tools": [{"type": "function", "function": {"name": "f", name: 5}}]}, f"tools[0].function.{name}")
            for name in ("description", "parameters")
        ),
        ("messages", {**said(), "tools": [{"input_schema": {}}]}, "tools[0].name"),
        *(("responses", {"input": "x", "tools": [{name: 5}]}, f"tools[0].{name}") for name in ("type", "name", "description")),
        *(("responses", {"input": [{name: 5}]}, f"input[0].{name}") for name in ("type", "role")),
    ],
)
def test_each_rule_of_a_conversation(kind: str, body: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as refused:
        check_conversation(kind, body)
    assert refused.value.param == param


@pytest.mark.parametrize(
    "value",
    [
        {"type": "text", "text": "x"},
        {"type": "file", "file": {"file_id": "1"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "document", "source": {"type": "text", "data": "x"}},
        *({"type": name, name: {"url": "data:,"}} for name in ("image_url", "video_url", "audio_url")),
    ],
    ids=lambda value: value["type"],
)
def test_parts_of_a_users_message(value: dict[str, Any]) -> None:
    check_conversation("chat", part(**value))
