# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""A whole request, from the bytes of a client to the bytes for LiteLLM; and what leaves for the engine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_access import Caller
from gateway_errors import RequestError
from gateway_exit import Destinations, State, why_not
from gateway_forms import Form, Upload, write
from gateway_models import Model, Models
from gateway_policy import Policy
from gateway_requests import Judged, Rules, inference, raw_route
from gateway_routes import Route

POLICY = Policy(max_images={"chat": 1}, allowed_domains=("img.example",), raw={"/raw": 1})
RULES = Rules(
    POLICY,
    frozenset({"api_base", "num_retries"}),
    Models({"chat": Model("chat", frozenset({"hosted_vllm"})), "asr": Model("audio_transcription")}),
)
CALLER = Caller("key", "crawler")
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
BODY = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
JSON = [(b"content-type", b"application/json")]
SOUND = Upload("file", 'a"\r\n.wav', "audio/wav", b"RIFF")


def ask(body: Any = BODY, *, headers: Any = (), query: bytes = b"", route: Route | None = None) -> Judged:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return inference(route or Route("chat"), raw, None, [*JSON, *headers], query, CALLER, RULES)


def test_litellm_gets_what_was_read_and_nothing_else() -> None:
    extra = [(b"X-Litellm-Call-Id", b"1"), (b"baggage", b"x"), (b"x-pass-url", b"x"), (b"User-Agent", b"curl"), (b"authorization", b"x")]
    judged = ask(headers=extra, query=b"api-version=1")
    assert json.loads(judged.body) == BODY
    assert dict(judged.headers) == {
        b"user-agent": b"curl",
        b"authorization": b"Bearer key",
        b"content-type": b"application/json",
        b"content-length": str(len(judged.body)).encode(),
    }


def test_the_model_may_stand_in_the_path() -> None:
    judged = ask({"messages": BODY["messages"]}, route=Route("chat", "chat"))
    assert json.loads(judged.body)["model"] == "chat"
    with pytest.raises(RequestError):
        ask(route=Route("chat", "other"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"body": b"{"}, "not valid JSON"),
        ({"body": {"messages": []}}, "names no model"),
        ({"body": {**BODY, "api_base": "http://x"}}, "steer"),
        ({"body": {**BODY, "extra_body": {"messages": [{"role": "user", "content": [PIXEL]}]}}}, "belongs into the body"),
        ({"query": b"model=other"}, "in the address"),
        ({"query": b"num_retries=5"}, "in the address"),
        ({"headers": [(b"x-litellm-timeout", b"1")]}, "header"),
        ({"headers": [(b"content-encoding", b"zstd")]}, "compressed"),
        ({"headers": [(b"content-type", b"x")], "body": b"model=chat"}, "not valid JSON"),
    ],
)
def test_what_goes_no_further(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestError) as refused:
        ask(**options)
    assert refused.value.status == 400
    assert reason in refused.value.message


def test_forms_where_json_belongs() -> None:
    with pytest.raises(RequestError, match="takes JSON"):
        inference(Route("chat"), b"model=chat", None, [(b"content-type", b"application/x-www-form-urlencoded")], b"", CALLER, RULES)
    with pytest.raises(RequestError, match="takes an upload"):
        inference(Route("transcription"), b"{}", None, JSON, b"", CALLER, RULES)


def test_the_latest_images_are_kept_wherever_they_are() -> None:
    judged = ask({**BODY, "messages": [{"role": "user", "content": [PIXEL, {"type": "text", "text": "x"}, PIXEL]}]})
    assert len(json.loads(judged.body)["messages"][0]["content"]) == 2
    assert judged.max_images == 1


def test_an_upload_is_put_together_anew() -> None:
    form = Form.of([("model", "asr"), ("response_format", "srt"), ("timestamp_granularities[]", "segment")], [SOUND])
    judged = inference(Route("transcription"), b"", form, [(b"content-type", b"multipart/form-data")], b"", CALLER, RULES)
    assert judged.wanted is not None
    assert judged.wanted.format == "srt"
    text = judged.body.decode()
    assert 'name="response_format"\r\n\r\nverbose_json' in text
    assert 'name="timestamp_granularities[]"\r\n\r\nsegment' in text
    assert 'filename="a%22%0D%0A.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF' in text


@pytest.mark.parametrize(
    ("pairs", "uploads"),
    [
        ([("model", "asr")], []),
        ([("model", "asr")], [SOUND, SOUND]),
        ([("model", "asr")], [Upload("image", "x", "y", b"")]),
        ([("model", "chat")], [SOUND]),
        ([("model", "asr"), ("api_base", "x")], [SOUND]),
        ([("model", "asr"), ("extra_body", "{}")], [SOUND]),
        ([("model", "asr"), ("image_url", "http://evil.test/")], [SOUND]),
        ([("model", "asr"), ("response_format", "xml")], [SOUND]),
    ],
)
def test_uploads_that_go_no_further(pairs: list[tuple[str, str]], uploads: list[Upload]) -> None:
    with pytest.raises(RequestError) as refused:
        inference(Route("transcription"), b"", Form.of(pairs, uploads), [], b"", CALLER, RULES)
    assert refused.value.status == 400


@pytest.mark.parametrize("pairs", [[("model", "a"), ("model", "b")], [("a", "x"), ("a[]", "y")], [("a[]", "x"), ("a", "y")]])
def test_a_field_has_one_value(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(RequestError, match="given twice"):
        Form.of(pairs, [])


def test_a_boundary_of_our_own() -> None:
    content_type, body = write(Form({"a": "b"}, ()), "mark")
    assert content_type == b"multipart/form-data; boundary=mark"
    assert body == b'--mark\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--mark--\r\n'


def raw(body: Any, query: bytes = b"", form: Form | None = None) -> Judged:
    return raw_route("/raw", b"" if body is None else json.dumps(body).encode(), form, JSON, query, CALLER, RULES)


def test_raw_routes_are_judged_too() -> None:
    judged = raw({"model": "m", "messages": [{"role": "user", "content": [PIXEL, PIXEL]}]}, b"a=b")
    assert json.loads(judged.body) == {"model": "m", "messages": [{"role": "user", "content": [PIXEL]}]}
    assert raw(None).body == b""
    assert b"RIFF" in raw(None, form=Form.of([("a", "b")], [SOUND])).body
    hostile = {"type": "image_url", "image_url": {"url": "http://evil.test/"}}
    for body, query in (
        ({"messages": [{"content": [hostile]}]}, b""),
        ({"api_base": "x"}, b""),
        ({"metadata": "{}"}, b""),
        ({}, b"url=http%3A%2F%2Fevil.test"),
        ({}, b"num_retries=1"),
    ):
        with pytest.raises(RequestError):
            raw(body, query)
    with pytest.raises(RequestError):
        raw(None, form=Form.of([("image_url", "http://evil.test/")], []))


ENGINE = ("http", "vllm-chat", 8000)
PLACES = Destinations(frozenset({ENGINE}), complete=True)


def leave(
    content: Any, *, origin: Any = ENGINE, url: str = "http://vllm-chat:8000/v1/x", method: str = "POST", state: State | None = None
) -> str:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    kind = "application/json"
    return why_not(method, url, origin, kind, data, policy=POLICY, places=PLACES, state=state) or ""


def test_what_leaves_for_an_engine_is_judged_once_more() -> None:
    hostile = {"type": "image_url", "image_url": {"url": "http://evil.test/"}}
    assert leave(BODY) == ""
    assert leave(b"", method="GET") == ""
    assert "evil.test" in leave({"messages": [{"content": [hostile]}]})
    assert "evil.test" in leave({"messages": [{"role": "user", "content": "x", "images": ["http://evil.test/"]}]})
    assert "does not understand" in leave([hostile])
    assert "does not understand" in leave(b"{")
    assert "at most 1 images" in leave({"messages": [{"content": [PIXEL, PIXEL]}]}, state=State(max_images=1))
    assert leave({"messages": [{"content": [PIXEL]}]}, state=State(max_images=1)) == ""


def test_a_clients_request_leads_to_engines_only() -> None:
    elsewhere = ("http", "169.254.169.254", 80)
    url = "http://169.254.169.254/latest"
    assert "engines only" in leave(BODY, origin=elsewhere, url=url, state=State())
    assert "not allowed" in leave(b"", origin=elsewhere, url=url, method="GET", state=State())
    # Ollama gets images as data: LiteLLM fetches them itself, from domains that are allowed.
    assert leave(b"", origin=("https", "img.example", 443), url="https://img.example/a.png", method="GET", state=State()) == ""
    # What LiteLLM does of its own account, such as telling a callback of a failure, has no client behind it.
    assert leave(BODY, origin=elsewhere, url=url) == ""
