# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
from typing import Any

import pytest
from gateway_media import OMITTED, MediaRefusedError, check_media, check_url, count_images, trim_images
from gateway_policy import Policy

POLICY = Policy(allowed_domains=("img.example", "*.cdn.example"))


def image(number: int) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{number}"}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


@pytest.mark.parametrize(
    ("messages", "limit", "kept", "removed"),
    [
        ([[image(1), image(2)], [image(3)]], 2, ["2", "3"], 1),
        ([[image(1), text("a")], [image(2), image(3)]], 1, ["3"], 2),
        ([[image(1)]], 1, ["1"], 0),
        ([[image(1)]], 0, [], 1),
        ([[image(1), image(2)]], None, ["1", "2"], 0),
    ],
)
def test_trim_images(messages: list[list[dict[str, Any]]], limit: int | None, kept: list[str], removed: int) -> None:
    data: dict[str, Any] = {"messages": [{"role": "user", "content": copy.deepcopy(content)} for content in messages]}
    assert trim_images(data, limit) == removed
    left: list[dict[str, Any]] = [part for message in data["messages"] for part in message["content"]]
    assert [part["image_url"]["url"].rsplit(",", 1)[1] for part in left if part["type"] == "image_url"] == kept
    assert all(message["content"] for message in data["messages"])


def test_trim_leaves_plain_text_alone() -> None:
    data = {"messages": [{"role": "user", "content": "hello"}, {"role": "user", "content": None}], "input": "text"}
    before = copy.deepcopy(data)
    assert trim_images(data, 0) == 0
    assert data == before


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("data:image/png;base64,AAAA", True),
        ("https://img.example/a.png", True),
        ("https://IMG.example./a.png", True),
        ("http://a.cdn.example/a.png", True),
        ("http://cdn.example/a.png", False),
        ("http://evil.test/img.example", False),
        ("http://img.example.evil.test/", False),
        ("http://evil.test#img.example", False),
        ("http://img.example@evil.test/", False),
        ("http://img.example#@evil.test/", False),
        ("http://evil.test%00.cdn.example/", False),
        ("http://\u24d4vil.cdn.example/", False),
        ("http://evil.test\\@img.example/", False),
        ("http://169.254.169.254/latest", False),
        ("http://[::1]:8000/", False),
        ("http://[::1", False),
        ("file:///etc/passwd", False),
        ("FILE:///etc/passwd", False),
        ("gopher://img.example/", False),
        (" http://img.example/", False),
        ("http://img.example/\nHost: x", False),
        ("/etc/passwd", False),
        ("AAAA", False),
    ],
)
@pytest.mark.parametrize(
    "shape",
    [
        lambda url: {"messages": [{"content": [{"type": "image_url", "image_url": {"url": url}}]}]},
        lambda url: {"messages": [{"content": [{"type": "image_url", "image_url": url}]}]},
        lambda url: {"messages": [{"content": [{"type": "video_url", "video_url": {"url": url}}]}]},
        lambda url: {"input": [{"content": [{"type": "input_image", "image_url": url}]}]},
        lambda url: {"messages": [{"content": [{"type": "image", "source": {"type": "url", "url": url}}]}]},
        lambda url: {"messages": [{"content": [{"type": "tool_result", "content": [{"type": "image_url", "image_url": url}]}]}]},
    ],
)
def test_media(url: str, allowed: bool, shape: Any) -> None:
    if allowed:
        check_media(shape(url), POLICY)
    else:
        with pytest.raises(MediaRefusedError):
            check_media(shape(url), POLICY)


URL = "http://evil.test/x"
IMAGE = {"type": "image_url", "image_url": {"url": URL}}
#: Where vLLM, Ollama and LiteLLM would fetch, beyond the ordinary places.
HOSTILE: list[Any] = [
    {"messages": [{"content": [{"type": "text", "text": "x", "uuid": "1", "image_url": URL}]}]},
    {"messages": [{"content": [{"image_url": URL}]}]},
    {"messages": [{"content": [{"type": "image_url", "image_url": [URL]}]}]},
    {"messages": [{"content": [{"type": "image_url", "image_url": {"url": "data:,", "detail": {"url": URL}}}]}]},
    {"messages": [{"content": IMAGE}]},
    {"messages": [{"content": [[IMAGE]]}]},
    {"messages": [{"content": "x", "images": [URL]}]},
    {"messages": [{"content": "x", "extra": {"deep": [{"audio_url": URL}]}}]},
    {"messages": [{"content": [{"type": "input_audio", "input_audio": {"data": URL, "format": "wav"}}]}]},
    {"messages": [{"content": [{"type": "file", "file": {"file_data": URL}}]}]},
    {"messages": [{"content": [{"type": "input_file", "file_url": URL}]}]},
    {"messages": [{"content": [{"type": "document", "source": {"type": "url", "url": URL}}]}]},
    {"messages": [{"content": [{"type": "document", "source": {"type": "text", "data": URL}}]}]},
    {"messages": [{"content": [{"type": "image", "source": URL}]}]},
    {"messages": [{"content": [{"type": "image", "source": {"type": "base64", "data": URL}}]}]},
    {"messages": [{"content": [{"type": "document", "source": {"type": "content", "content": [IMAGE]}}]}]},
    {"input": [{"type": "function_call_output", "output": [{"type": "input_image", "image_url": URL}]}]},
    {"input": [{"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": URL}}]},
    {"input": [{"type": "input_image", "file_id": URL}]},
    {"query": {"content": [IMAGE]}, "documents": [{"content": [IMAGE]}]},
    {"documents": [{"image": URL}]},
    {"extra_body": {"messages": [{"content": [IMAGE]}]}},
    {"chat_template_kwargs": {"messages": [{"content": [IMAGE]}]}},
    {"mm_processor_kwargs": {"fetch_from": URL}},
    {"tools": [{"type": "mcp", "server_url": URL}]},
    {"tools": [{"type": "mcp", "server_url": "litellm_proxy"}]},
    {"tools": [{"type": "image_generation", "input_image_mask": {"image_url": URL}}]},
    {"mcp_servers": [{"type": "url", "url": URL}]},
    {"something_new": URL},
    {"something_new": {"a": [{"b": f" {URL}"}]}},
    {"something_new": "//evil.test/x"},
    {"something_new": "\\\\evil.test\\x"},
    {"something_new": "file:/etc/passwd"},
    {"kv_transfer_params": {"remote_host": "10.0.0.1", "remote_port": 1}},
    {"ec_transfer_params": {}},
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_media_anywhere(body: dict[str, Any]) -> None:
    with pytest.raises(MediaRefusedError):
        check_media(body, Policy())


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": URL, "name": URL}]},
        {"messages": [{"content": [{"type": "text", "text": URL}]}, {"content": ["x", URL]}]},
        {
            "messages": [
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"function": {"name": "f", "arguments": f'{{"image_url": "{URL}"}}'}}],
                }
            ]
        },
        {"messages": [{"content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"image_url": URL}}]}]},
        {
            "messages": [
                {"content": [{"type": "thinking", "thinking": URL, "signature": "x"}, {"type": "redacted_thinking", "data": "eA=="}]}
            ]
        },
        {"messages": [{"content": [{"type": "text", "text": "x", "annotations": [{"url_citation": {"url": URL}}]}]}]},
        {"messages": [{"content": [{"type": "search_result", "source": URL, "title": "x", "content": [{"type": "text", "text": URL}]}]}]},
        {
            "messages": [
                {"content": [{"type": "document", "source": {"type": "text", "data": f"words: {URL}", "media_type": "text/plain"}}]}
            ]
        },
        {"messages": [{"content": [{"type": "file", "file": {"filename": "a: b.pdf", "file_data": "data:application/pdf;base64,AA=="}}]}]},
        {"messages": [{"content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}]},
        {"messages": [{"role": "user", "content": "x", "images": ["/9j/4AAQSkZJRg=="]}]},
        {
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "f", "description": URL, "parameters": {"properties": {"image_url": {"default": URL}}}},
                }
            ]
        },
        {"tools": [{"name": "f", "description": URL, "input_schema": {"$schema": URL}, "input_examples": [{"url": URL}]}]},
        {"text": {"format": {"type": "json_schema", "schema": {"$id": URL}}}, "input": URL, "instructions": URL},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$id": URL}}}, "prompt": [URL], "stop": [URL], "user": URL},
        {"structured_outputs": {"regex": "https?://.*", "choice": [URL]}, "guided_json": {"$id": URL}, "metadata": {"page": URL}},
        {"documents": [{"title": "t", "text": URL, "url": URL, "source": URL}, URL], "query": URL},
        {"input": [1, 2, 3], "priority": 0, "logit_bias": {"1": 5}, "audio": {"voice": "alloy", "format": "wav"}},
    ],
)
def test_addresses_that_nobody_fetches_are_words(body: dict[str, Any]) -> None:
    check_media(body, Policy())


@pytest.mark.parametrize("kind", [{"effort": "low"}, [], None, 5, True])
def test_a_type_may_be_anything(kind: Any) -> None:
    """Looked for in tables of types, as it is: an object is not hashable."""
    part = {"type": kind, "input": [{"type": kind, "text": URL}]}
    check_media({"type": kind, "input": [part], "messages": [{"content": [part]}]}, Policy())
    assert count_images({"messages": [{"content": [part]}]}) == 0
    with pytest.raises(MediaRefusedError):
        check_media({"type": kind, "input": [{"type": kind, "image_url": URL}]}, Policy())


def test_media_without_an_address_are_media_too() -> None:
    inside: list[dict[str, Any]] = [
        {"messages": [{"content": [{"type": "image", "source": {"type": "base64", "data": "A" * 100}}]}]},
        {"messages": [{"content": "x", "images": ["A" * 100]}]},
    ]
    for body in inside:
        check_media(body, Policy())
        with pytest.raises(MediaRefusedError, match="switched off"):
            check_media(body, Policy(allow_data=False))


PIXEL = "data:image/png;base64,AA=="


@pytest.mark.parametrize(
    ("body", "images"),
    [
        ({"messages": [{"content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}]}, 1),
        ({"messages": [{"content": [{"type": "text", "text": "x", "uuid": "1", "image_url": PIXEL}]}]}, 1),
        ({"messages": [{"content": {"type": "image_url", "image_url": PIXEL}}]}, 1),
        ({"messages": [{"content": "x", "images": ["AA==", "AA=="]}]}, 2),
        ({"messages": [{"content": [{"type": "tool_result", "content": [{"type": "image", "source": {"data": "AA=="}}]}]}]}, 1),
        ({"messages": [{"content": [{"type": "file", "file": {"file_data": PIXEL}}, {"type": "file", "file": {"file_id": "x"}}]}]}, 1),
        ({"input": [{"type": "function_call_output", "output": [{"type": "input_image", "image_url": PIXEL}]}]}, 1),
        ({"extra_body": {"messages": [{"content": [{"type": "image_url", "image_url": PIXEL}]}]}}, 1),
        ({"tools": [{"input_schema": {"examples": [{"type": "image_url"}]}}], "messages": [{"content": "image_url"}]}, 0),
    ],
)
def test_images_are_counted_wherever_they_are(body: dict[str, Any], images: int) -> None:
    assert count_images(body) == images


def test_too_many_images_that_cannot_be_taken_out() -> None:
    with pytest.raises(MediaRefusedError, match="at most 0"):
        trim_images({"messages": [{"content": {"type": "image_url", "image_url": PIXEL}}]}, 0)


def test_what_takes_the_place_of_an_image_is_of_the_same_kind() -> None:
    body = {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": PIXEL}]}]}
    trim_images(body, 0)
    assert body["input"][0]["content"] == [{"type": "input_text", "text": OMITTED}]


def test_a_file_is_media_when_its_id_is_an_address() -> None:
    with pytest.raises(MediaRefusedError):
        check_media({"messages": [{"content": [{"type": "file", "file": {"file_id": "http://evil.test/x.pdf"}}]}]}, POLICY)
    check_media({"messages": [{"content": [{"type": "file", "file": {"file_id": "file-123"}}]}]}, POLICY)


def test_media_inside_the_request_can_be_switched_off() -> None:
    with pytest.raises(MediaRefusedError, match="switched off"):
        check_url("data:image/png;base64,AAAA", Policy(allow_data=False))


def test_a_long_address_is_not_repeated_in_full() -> None:
    with pytest.raises(MediaRefusedError) as refused:
        check_url("ftp://" + "x" * 5000, POLICY)
    assert len(str(refused.value)) < 200
