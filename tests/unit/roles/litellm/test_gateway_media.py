# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
from typing import Any

import pytest
from gateway_media import MediaRefusedError, check_media, check_url, trim_images
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
