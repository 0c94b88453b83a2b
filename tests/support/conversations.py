# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns of a conversation as client programs send them, each with its own name for the conversation."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

SYSTEM = "You are an agent. " * 10

#: Of a conversation and what was said in it: path, headers and body of its next request.
Program = Callable[[str, list[str]], tuple[str, dict[str, str], dict[str, Any]]]


def said(history: Sequence[str], first: str = "text", second: str = "text") -> list[dict[str, Any]]:
    """What was said, as a list of messages: the user begins, and the two take turns."""
    turns = (("user", first), ("assistant", second))
    messages = [(*turns[number % 2], text) for number, text in enumerate(history)]
    return [{"role": role, "content": [{"type": kind, "text": text}]} for role, kind, text in messages]


def claude_code(session: str, history: list[str]) -> tuple[str, dict[str, str], dict[str, Any]]:
    messages = said(history)
    messages[-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
    user = json.dumps({"device_id": "d", "account_uuid": "", "session_id": session})
    body = {"system": [{"type": "text", "text": SYSTEM}], "messages": messages, "metadata": {"user_id": user}, "max_tokens": 100}
    return "/v1/messages?beta=true", {"X-Claude-Code-Session-Id": session, "anthropic-version": "2023-06-01"}, body


def codex(session: str, history: list[str]) -> tuple[str, dict[str, str], dict[str, Any]]:
    items = [{"type": "message", **message} for message in said(history, "input_text", "output_text")]
    body = {"instructions": SYSTEM, "input": items, "prompt_cache_key": session, "store": False}
    return "/v1/responses", {"session-id": session, "thread-id": session}, body


def chat(history: list[str]) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": SYSTEM}, *said(history)]}


def opencode(session: str, history: list[str]) -> tuple[str, dict[str, str], dict[str, Any]]:
    return "/v1/chat/completions", {"x-session-affinity": session, "X-Session-Id": session}, chat(history)


def nameless(session: str, history: list[str]) -> tuple[str, dict[str, str], dict[str, Any]]:
    """A program that says nothing: its conversations begin with different words."""
    return "/v1/chat/completions", {}, chat([f"{session}: {history[0]}", *history[1:]])
