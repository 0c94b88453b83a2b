# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The conversation in a request: of the form that LiteLLM reads without stumbling. Needs no LiteLLM.

LiteLLM's transformations take that form for granted. What they stumble over becomes a 500, counts as a failure of the engine, and would
take a healthy engine out for everybody.
"""

from __future__ import annotations

import typing as t

from gateway_errors import RequestError

Body = dict[str, t.Any]


def _fail(where: str, message: str) -> t.NoReturn:
    raise RequestError(400, f"{where} {message}", param=where, code="invalid_type")


def _text(node: Body, key: str, where: str, *, required: bool = False) -> None:
    value = node.get(key)
    if (value is None and required) or not (value is None or isinstance(value, str)):
        _fail(f"{where}.{key}", "must be a text")


def _object(node: Body, key: str, where: str, *, required: bool = False) -> Body | None:
    value = node.get(key)
    if (value is None and required) or not (value is None or isinstance(value, dict)):
        _fail(f"{where}.{key}", "must be an object")
    return value


def _objects(value: t.Any, where: str) -> list[Body]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        _fail(where, "must be a list of objects")
    return t.cast("list[Body]", value)


#: Parts whose value stands under the name of their type, and what it may be.
_VALUES: t.Final[t.Mapping[str, tuple[tuple[type, ...], str]]] = {
    "text": ((str,), "a text"),
    "input_text": ((str,), "a text"),
    "output_text": ((str,), "a text"),
    "refusal": ((str,), "a text"),
    "thinking": ((str,), "a text"),
    "image_url": ((str, dict), "an object with url"),
    "video_url": ((str, dict), "an object with url"),
    "audio_url": ((str, dict), "an object with url"),
    "input_audio": ((dict,), "an object with data and format"),
    "file": ((dict,), "an object"),
}


#: Parts of a user's message that LiteLLM takes in a chat (``ValidUserMessageContentTypes``, without those of its own guardrails).
_USER_PARTS: t.Final = ("text", "image_url", "video_url", "audio_url", "input_audio", "file", "document")

#: What goes on with a conversation that a server has kept. Some engines answer as if there had been none before, others know no such id,
#: and neither another gateway nor the same one after a restart could read it.
_OF_KEPT: t.Final = ("conversation", "previous_response_id")


def _part(part: Body, where: str) -> None:
    kind = part.get("type")
    if not isinstance(kind, str):
        _fail(f"{where}.type", "must be a text, such as text or image_url")
    key = "text" if kind in ("input_text", "output_text") else kind
    if kind in _VALUES:
        kinds, what = _VALUES[kind]
        if not isinstance(part.get(key), kinds):
            _fail(f"{where}.{key}", f"must be {what}")
        if key in ("image_url", "video_url", "audio_url") and isinstance(part[key], dict):
            _text(part[key], "url", f"{where}.{key}", required=True)
            if part[key].get("detail") not in (None, "auto", "high", "low"):
                _fail(f"{where}.{key}.detail", "must be auto, low or high")
        if kind == "file":
            for name in ("file_data", "file_id", "filename", "format"):
                _text(part["file"], name, f"{where}.file")
        if kind == "input_audio":
            for name in ("data", "format"):
                _text(part["input_audio"], name, f"{where}.input_audio", required=True)
    if kind in ("image", "document") and "source" in part:
        source = _object(part, "source", where, required=True) or {}
        for name in ("type", "url", "data", "media_type", "file_id"):
            _text(source, name, f"{where}.source")
    if kind in ("tool_use", "server_tool_use"):
        _text(part, "id", where, required=True)
        _text(part, "name", where, required=True)
        _object(part, "input", where)
    if kind == "tool_result":
        _text(part, "tool_use_id", where, required=True)
    if "content" in part:
        _content(part, where)
    _object(part, "cache_control", where)


def _content(node: Body, where: str, key: str = "content") -> None:
    """A text, nothing, or a list of parts. A plain text among the parts is a part of its own."""
    content = node.get(key)
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        _fail(f"{where}.{key}", "must be a text or a list of parts")
    for position, part in enumerate(content):
        if isinstance(part, str):
            part = content[position] = {"type": "text", "text": part}
        if not isinstance(part, dict):
            _fail(f"{where}.{key}[{position}]", "must be an object with a type")
        _part(part, f"{where}.{key}[{position}]")


def _tool_calls(message: Body, where: str) -> None:
    if message.get("tool_calls") is None:
        return
    for position, call in enumerate(_objects(message["tool_calls"], f"{where}.tool_calls")):
        here = f"{where}.tool_calls[{position}]"
        _text(call, "id", here)
        _text(call, "type", here)
        function = _object(call, "function", here, required=call.get("type") in (None, "function"))
        if function is not None:
            _text(function, "name", f"{here}.function", required=True)
            if not isinstance(function.get("arguments"), (str, dict, type(None))):
                _fail(f"{here}.function.arguments", "must be a text")


def _messages(value: t.Any, *, roles: t.Collection[str] | None = None) -> None:
    messages = _objects(value, "messages")
    if not messages:
        _fail("messages", "must have at least one message")
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        _text(message, "role", where, required=True)
        if roles is not None and message["role"] not in roles:
            _fail(f"{where}.role", f"must be one of {', '.join(roles)}")
        for name in ("name", "tool_call_id", "refusal", "reasoning_content", "reasoning"):
            _text(message, name, where)
        _object(message, "function_call", where)
        _object(message, "audio", where)
        _object(message, "cache_control", where)
        _content(message, where)
        _tool_calls(message, where)
        if roles is None and message["role"] == "user" and isinstance(message.get("content"), list):
            for number, part in enumerate(message["content"]):
                if part["type"] not in _USER_PARTS:
                    _fail(f"{where}.content[{number}].type", f"must be one of {', '.join(_USER_PARTS)}")
        if message["role"] not in ("assistant", "function") and message.get("content") is None:
            _fail(f"{where}.content", "must be a text or a list of parts")


def _tools(body: Body, kind: str) -> None:
    for position, tool in enumerate(body.get("tools") or ()):
        where = f"tools[{position}]"
        for name in ("type", "name", "description"):
            _text(tool, name, where)
        if kind == "chat" and tool.get("type") in (None, "function"):
            function = _object(tool, "function", where, required=True) or {}
            _text(tool, "type", where, required=True)
            _text(function, "name", f"{where}.function", required=True)
            _text(function, "description", f"{where}.function")
            _object(function, "parameters", f"{where}.function")
        if kind in ("messages", "count_tokens"):
            _text(tool, "name", where, required=True)
            _object(tool, "input_schema", where, required=tool.get("type") in (None, "custom"))
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        _text(choice, "type", "tool_choice", required=True)
        _text(choice, "name", "tool_choice")
        _object(choice, "function", "tool_choice")
        if kind in ("messages", "count_tokens") and choice["type"] not in ("any", "auto", "none", "tool"):
            _fail("tool_choice.type", "must be any, auto, none or tool")
        if choice["type"] == "tool":
            _text(choice, "name", "tool_choice", required=True)


def _responses(body: Body) -> None:
    for name in _OF_KEPT:
        if body.get(name) is not None:
            message = f"{name} is not supported: no conversation is kept here. Send all of it as input"
            raise RequestError(400, message, param=name, code="unsupported_parameter")
    items = body.get("input")
    if isinstance(items, list):
        for position, item in enumerate(_objects(items, "input")):
            where = f"input[{position}]"
            _text(item, "type", where)
            _text(item, "role", where)
            _content(item, where)
            if isinstance(item.get("output"), list):
                _content(item, where, "output")


def check_conversation(kind: str, body: Body) -> None:
    """Raise RequestError for what LiteLLM could not read; plain texts among parts become parts, in place."""
    if kind in ("chat", "messages", "count_tokens"):
        if "messages" not in body:
            raise RequestError(400, "messages is required", param="messages", code="missing_parameter")
        _messages(body["messages"], roles=None if kind == "chat" else ("user", "assistant", "system"))
        _tools(body, kind)
        _object(body, "stream_options", "body")
        if isinstance(body.get("system"), list):
            _content(body, "body", "system")
    elif kind == "responses":
        _responses(body)
        if body.get("input") is None:
            raise RequestError(400, "input is required", param="input", code="missing_parameter")
        _tools(body, kind)
    elif kind in ("completions", "embeddings", "rerank"):
        for name in {"completions": ("prompt",), "embeddings": ("input",), "rerank": ("query", "documents")}[kind]:
            if body.get(name) is None:
                raise RequestError(400, f"{name} is required", param=name, code="missing_parameter")
            if isinstance(body[name], list) and (not body[name] or [] in body[name]):
                _fail(name, "must not be empty")
        if kind == "rerank" and not all(isinstance(item, (str, dict)) for item in body["documents"]):
            _fail("documents", "must be a list of texts or objects")
