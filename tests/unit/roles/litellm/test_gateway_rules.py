# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILES = Path(__file__).parents[4] / "roles" / "litellm" / "files"


def load(name: str) -> ModuleType:
    """The files run inside LiteLLM's container, so no package leads to them."""
    spec = importlib.util.spec_from_file_location(name, FILES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


rules = load("gateway_rules")

MASTER = "master-key-0123456789"
CLIENT = "client-key-0123456789"
KEYS = rules.Keys.from_environment(
    {"LITELLM_MASTER_KEY": MASTER, "GATEWAY_CLIENT_KEYS": json.dumps({"metis": hashlib.sha256(CLIENT.encode()).hexdigest()})}
)
ROUTES = ("/chat/completions", "/models", "/models/*", "/rerank", "/embeddings/v1/embeddings")
POLICY = rules.Policy(client_routes=ROUTES, allowed_domains=("img.example", "*.cdn.example"))


def image(number: int) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{number}"}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/health/readiness", [], None),
        ("/health_check", [], None),
        ("/health", [], 401),
        ("/ui/", [], 401),
        ("/fallback/login", [], 401),
        ("/v1/models", [(b"authorization", b"Bearer ")], 401),
        ("/v1/models", [(b"authorization", b"Bearer nope")], 401),
        ("/v1/models", [(b"x-api-key", CLIENT.encode())], None),
        ("/v1/models", [(b"Authorization", f"bearer {CLIENT}".encode())], None),
        ("/v1/models/chat", [(b"api-key", CLIENT.encode())], None),
        ("/v1/chat/completions", [(b"authorization", f"Bearer {CLIENT}".encode())], None),
        ("/v2/rerank", [(b"authorization", f"Bearer {CLIENT}".encode())], None),
        ("/embeddings/v1/embeddings", [(b"authorization", f"Bearer {CLIENT}".encode())], None),
        ("/model/info", [(b"authorization", f"Bearer {CLIENT}".encode())], 403),
        ("/health", [(b"authorization", f"Bearer {CLIENT}".encode())], 403),
        ("/models/../config", [(b"authorization", f"Bearer {CLIENT}".encode())], 403),
        ("/v1/models/../../key/generate", [(b"authorization", f"Bearer {CLIENT}".encode())], 403),
        ("/chat/completionsx", [(b"authorization", f"Bearer {CLIENT}".encode())], 403),
        ("/model/info", [(b"authorization", f"Bearer {MASTER}".encode())], None),
        ("/v1/models", [(b"authorization", b"Basic \xff\xfe")], 401),
        ("/v1/models", [(b"cookie", f"token={MASTER}".encode())], 401),
    ],
)
def test_refusal(path: str, headers: list[tuple[bytes, bytes]], status: int | None) -> None:
    refused = rules.refusal(path, headers, KEYS, POLICY)
    assert (refused.status if refused else None) == status
    if refused:
        assert CLIENT not in refused.message
        assert MASTER not in refused.message


@pytest.mark.parametrize(
    ("path", "key", "plain"),
    [
        ("/health", None, True),
        ("/health", CLIENT, True),
        ("/health", MASTER, False),
        ("/health", "nobody-has-this-key", False),
        ("/health/services", None, False),
        ("/v1/models", None, False),
    ],
)
def test_who_is_told_no_more_than_that_the_gateway_is_up(path: str, key: str | None, plain: bool) -> None:
    headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
    assert rules.wants_plain_health(path, headers, KEYS) is plain


def test_an_unset_master_key_opens_nothing() -> None:
    keys = rules.Keys.from_environment({})
    assert not keys.is_master("")
    assert keys.client_of("") is None
    assert rules.refusal("/v1/models", [(b"authorization", b"Bearer x")], keys, POLICY).status == 401


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
    assert rules.trim_images(data, limit) == removed
    left: list[dict[str, Any]] = [part for message in data["messages"] for part in message["content"]]
    assert [part["image_url"]["url"].rsplit(",", 1)[1] for part in left if part["type"] == "image_url"] == kept
    assert all(message["content"] for message in data["messages"])


def test_trim_leaves_plain_text_alone() -> None:
    data = {"messages": [{"role": "user", "content": "hello"}, {"role": "user", "content": None}], "input": "text"}
    before = copy.deepcopy(data)
    assert rules.trim_images(data, 0) == 0
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
        rules.check_media(shape(url), POLICY)
    else:
        with pytest.raises(rules.MediaRefusedError):
            rules.check_media(shape(url), POLICY)


def test_a_file_is_media_when_its_id_is_an_address() -> None:
    with pytest.raises(rules.MediaRefusedError):
        rules.check_media({"messages": [{"content": [{"type": "file", "file": {"file_id": "http://evil.test/x.pdf"}}]}]}, POLICY)
    rules.check_media({"messages": [{"content": [{"type": "file", "file": {"file_id": "file-123"}}]}]}, POLICY)


def test_media_inside_the_request_can_be_switched_off() -> None:
    with pytest.raises(rules.MediaRefusedError, match="switched off"):
        rules.check_url("data:image/png;base64,AAAA", rules.Policy(allow_data=False))


def test_a_long_address_is_not_repeated_in_full() -> None:
    with pytest.raises(rules.MediaRefusedError) as refused:
        rules.check_url("ftp://" + "x" * 5000, POLICY)
    assert len(str(refused.value)) < 200


def test_policy_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    assert rules.Policy.load(path) == rules.Policy()
    path.write_text(
        json.dumps({"max_images": {"chat": 2}, "media": {"allow_data": False, "allowed_domains": ["A.example"]}, "client_routes": ["/x"]})
    )
    assert rules.Policy.load(path) == rules.Policy({"chat": 2}, False, ("a.example",), ("/x",))
