# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of it needs no LiteLLM; the rest is in tests/real/test_key_rotation.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway_upstream import Choice, RetryAfter, placeholder_in


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([("host", "a"), ("authorization", "Bearer live/ENGINE_KEY_A")], ("authorization", "Bearer ", "ENGINE_KEY_A")),
        ([("x-api-key", "live/A")], ("x-api-key", "", "A")),
        ([("authorization", "Bearer sk-live-1")], None),
        ([("x-note", "not alive/A")], None),
        ([("authorization", "Bearer live/")], None),
        ([], None),
    ],
)
def test_placeholders(headers: list[tuple[str, str]], found: tuple[str, str, str] | None) -> None:
    assert placeholder_in(headers) == found


def test_the_key_that_was_good_comes_first() -> None:
    choice = Choice()
    assert choice.order("a", "A", ("new", "old")) == ["new", "old"]
    choice.was_good("a", "A", "old")
    assert choice.order("a", "A", ("new", "old")) == ["old", "new"]
    assert choice.order("b", "A", ("new", "old")) == ["new", "old"]
    assert choice.order("a", "A", ("newest",)) == ["newest"]
    assert choice.order("a", "A", ()) == []


def answered(status: int, headers: list[tuple[bytes, bytes]]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(RetryAfter(app)({"type": "http"}, None, send))
    return sent


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (503, [(b"a", b"b")], [(b"a", b"b"), (b"retry-after", b"10")]),
        (503, [(b"Retry-After", b"3")], [(b"Retry-After", b"3")]),
        (200, [], []),
        (401, [], []),
    ],
)
def test_who_is_told_to_come_back_is_told_when(
    status: int, headers: list[tuple[bytes, bytes]], expected: list[tuple[bytes, bytes]]
) -> None:
    start, body = answered(status, headers)
    assert (start["headers"], body["body"]) == (expected, b"x")
