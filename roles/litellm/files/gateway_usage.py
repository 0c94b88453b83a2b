# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many tokens a request and its answer had, as the answer itself says. Needs no LiteLLM.

Answers pass as they are: only what stands behind ``"usage"`` is read, in whatever form of answer or stream. Where nothing is said, which is
so when a client leaves in the middle of a stream, four bytes of the request's text are taken for a token, and each piece of a stream.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field

Message = t.MutableMapping[str, t.Any]
Send = t.Callable[[Message], t.Awaitable[None]]

#: The longest ``usage`` that is put together from several pieces of an answer.
CARRIED = 2048
_MARK = b'"usage"'
_USAGE = re.compile(rb'"usage"\s*:\s*(?=\{)')
#: Images, sound and the like, whose bytes are no text.
_ENCODED = re.compile(rb'"(?:data:[^",]{0,100},)?[A-Za-z0-9+/=_-]{1024,}"')
#: Of Anthropic's form, where input_tokens are those that no cache had.
_CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")
_BYTES_PER_TOKEN = 4


def text_tokens(body: bytes) -> int:
    """About how many tokens of text a request has."""
    return (len(body) - sum(len(match[0]) for match in _ENCODED.finditer(body))) // _BYTES_PER_TOKEN


def _number(usage: t.Mapping[str, t.Any], *names: str) -> int:
    found = (usage.get(name) for name in names)
    return max((int(value) for value in found if isinstance(value, (int, float)) and not isinstance(value, bool)), default=0)


@dataclass
class Usage:
    """What is read of one answer as it passes."""

    #: Tokens of the request where the answer doesn't say.
    estimate: int = 0
    read: int = 0
    written: int = 0
    total: int = 0
    _status: int = 0
    _pieces: int = 0
    _carried: bytes = b""

    @property
    def tokens(self) -> int:
        if not 200 <= self._status < 400:
            return 0
        return max(self.read + self.written, self.total) or self.estimate + self._pieces

    @property
    def told(self) -> tuple[int, int]:
        """Tokens of the request and of its answer, as far as the answer says; none of one that says no."""
        if not 200 <= self._status < 400:
            return 0, 0
        return self.read or max(0, self.total - self.written), self.written

    def take(self, message: t.Mapping[str, t.Any]) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif message["type"] == "http.response.body":
            piece: bytes = message.get("body", b"")
            self._pieces += piece.count(b"data: ")
            seen = self._carried + piece
            if _MARK in seen:
                self._look(seen)
            self._carried = seen[-CARRIED:] if len(piece) < CARRIED else piece[-CARRIED:]

    def _look(self, text: bytes) -> None:
        for match in _USAGE.finditer(text):
            try:
                usage, _end = _DECODER.raw_decode(text[match.end() : match.end() + CARRIED].decode("utf-8", "replace"))
            except ValueError:
                continue
            # A stream says it several times, as far as it is known by then.
            cached = sum(_number(usage, name) for name in _CACHED)
            self.read = max(self.read, _number(usage, "prompt_tokens") or _number(usage, "input_tokens") + cached)
            self.written = max(self.written, _number(usage, "completion_tokens", "output_tokens"))
            self.total = max(self.total, _number(usage, "total_tokens"))


_DECODER = json.JSONDecoder()


def without_usage(piece: bytes) -> bytes:
    """A piece of a stream of chat or completions without the usage that the client didn't ask for, and its engine was."""
    if _MARK not in piece:
        return piece
    return b"".join(map(_event, re.split(rb"(?<=\n\n)", piece)))


def _event(event: bytes) -> bytes:
    try:
        said = json.loads(event.removeprefix(b"data: ")) if event.startswith(b"data: ") else None
    except ValueError:
        return event
    if not isinstance(said, dict) or "usage" not in said:
        return event
    del said["usage"]
    if not any(_says(choice) for choice in said.get("choices") or ()):
        return b""
    return b"data: " + json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _says(choice: t.Any) -> bool:
    return isinstance(choice, dict) and bool(choice.get("finish_reason") or choice.get("delta") or choice.get("text"))


@dataclass
class Metered:
    """Between the guard and a client."""

    send: Send
    usage: Usage
    #: Whether the client gets no usage of its stream, which the guard itself has asked for.
    hides: bool = False
    _events: bool = field(default=False, init=False)

    async def __call__(self, message: Message) -> None:
        self.usage.take(message)
        if self.hides and message["type"] == "http.response.start":
            kinds = [value for name, value in message.get("headers") or () if name.lower() == b"content-type"]
            self._events = bool(kinds) and kinds[-1].startswith(b"text/event-stream")
        elif self._events and message["type"] == "http.response.body":
            message = {**message, "body": without_usage(message.get("body", b""))}
        await self.send(message)
