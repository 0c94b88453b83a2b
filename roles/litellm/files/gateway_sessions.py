# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which conversation a request belongs to: as its program names it, or by how it begins. Needs no LiteLLM.

What a client says here is data. It is hashed together with the client's name, so that nobody meets the conversation of another client, and
it says that two requests belong together and never where they go.
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import typing as t
from collections import Counter

#: What programs call a conversation, the narrower name first: Claude Code; Codex, of now and before; opencode; Open WebUI; LiteLLM's own.
HEADERS: t.Final = (
    b"x-claude-code-session-id",
    b"thread-id",
    b"session-id",
    b"conversation_id",
    b"session_id",
    b"x-session-affinity",
    b"x-session-id",
    b"x-opencode-session",
    b"x-openwebui-chat-id",
    b"x-litellm-session-id",
)
#: Whose answers have prefixes to reuse.
KINDS: t.Final = frozenset({"chat", "completions", "messages", "responses"})
#: Requests of one conversation at once. What asks more than that is many conversations under one name.
PARALLEL = 4
#: Characters of a text that are looked at: half from its beginning, half from its end.
LOOKED_AT = 65536

Headers = t.Iterable[tuple[bytes, bytes]]
Body = t.Mapping[str, t.Any]

#: The conversation of the request in work.
SESSION: contextvars.ContextVar[str | None] = contextvars.ContextVar("gateway_session", default=None)


def names_of(kind: str, body: Body, headers: Headers, client: str) -> tuple[str, ...]:
    """What the conversation of a request may be called here, best first. The body is as the client sent it."""
    if kind not in KINDS:
        return ()
    said = (("named", _named(body, headers)), ("begins", _beginning(kind, body)))
    return tuple(_digest(client, how, what) for how, what in said if what)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _named(body: Body, headers: Headers) -> str:
    """The id that a program gives a conversation, or ""."""
    sent = {name.lower(): value.decode("latin-1") for name, value in headers}
    for header in HEADERS:
        if sent.get(header):
            return sent[header]
    metadata = _mapping(body.get("metadata"))
    user = metadata.get("user_id")
    # Of Anthropic's programs this names the session too; elsewhere it is a person.
    session = user if isinstance(user, str) and "session" in user else None
    ids = (body.get("prompt_cache_key"), session, metadata.get("session_id"), body.get("session_id"))
    return next((_sketch(value) for value in ids if isinstance(value, str) and value), "")


def _beginning(kind: str, body: Body) -> str:
    """What all requests of a conversation begin with: the system prompt and the first words of a user. "" where that can't be told."""
    if kind == "completions":
        return ""
    said = body.get("input" if kind == "responses" else "messages")
    messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
    user = _mapping(body.get("metadata")).get("user_id")
    parts = [body.get("user"), user, body.get("system"), body.get("instructions")]
    for message in map(_mapping, messages if isinstance(messages, list) else ()):
        if message.get("role") in ("system", "developer", "user"):
            parts.append(message.get("content"))
        if message.get("role") == "user":
            return "\0".join(text for part in parts for text in _texts(part))
    return ""


def _mapping(value: t.Any) -> Body:
    return value if isinstance(value, dict) else {}


def _texts(value: t.Any) -> t.Iterator[str]:
    """The texts in a content of any form. Marks of what to cache wander from message to message."""
    if isinstance(value, str):
        yield _sketch(value)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name != "cache_control":
                yield from _texts(item)


def _sketch(text: str) -> str:
    if len(text) <= LOOKED_AT:
        return text
    return f"{text[: LOOKED_AT // 2]}{len(text)}{text[-LOOKED_AT // 2 :]}"


class Turns:
    """The requests in work of each conversation."""

    def __init__(self) -> None:
        self._busy: Counter[str] = Counter()

    @contextlib.contextmanager
    def turn(self, names: t.Sequence[str]) -> t.Iterator[None]:
        """While this request is in work. Where too many of one name are, the next name counts, and in the end none."""
        name = next((name for name in names if self._busy[name] < PARALLEL), None)
        if name is None:
            yield
            return
        self._busy[name] += 1
        token = SESSION.set(name)
        try:
            yield
        finally:
            SESSION.reset(token)
            self._busy[name] -= 1
            if not self._busy[name]:
                del self._busy[name]
