# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plumbing of the guard: a request's body, and an answer that is looked at before it goes out. Needs no LiteLLM."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from gateway_errors import Headers, RequestError, Scrubber, error_body, field_of, message_of, public_headers
from gateway_exit import State

Message = t.MutableMapping[str, t.Any]
Scope = t.MutableMapping[str, t.Any]
Receive = t.Callable[[], t.Awaitable[Message]]
Send = t.Callable[[Message], t.Awaitable[None]]
App = t.Callable[[Scope, Receive, Send], t.Awaitable[None]]
#: Makes the answer that the client gets of a complete good one: content type and body.
Render = t.Callable[[bytes], tuple[bytes, bytes]]


class Gone(Exception):  # noqa: N818 -- not a fault
    """The client left before its request was complete."""


async def read_body(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


def replay(body: bytes, receive: Receive) -> Receive:
    """The same body again; after it whatever else the client says, which is that it leaves."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def respond(send: Send, status: int, content_type: bytes, body: bytes, headers: Headers | None = None) -> None:
    kept = [(name, value) for name, value in headers or () if name.lower() not in (b"content-type", b"content-length")]
    kept += [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": kept})
    await send({"type": "http.response.body", "body": body})


async def respond_error(send: Send, error: RequestError, headers: Headers | None = None) -> None:
    body = error_body(error.status, error.message, param=error.param, code=error.code)
    extra = [(b"www-authenticate", b"Bearer")] if error.status == 401 else []
    await respond(send, error.status, b"application/json", body, [*(headers or ()), *extra])


def verdict(status: int, data: t.Any, state: State, scrubber: Scrubber) -> RequestError:
    """What a client is told of LiteLLM's answer that says no."""
    message = scrubber.sentence(message_of(data) or "")
    if state.refused is not None:
        return RequestError(400, state.refused, code="media_refused")
    if state.engine_status in (401, 403):
        return RequestError(502, "the engine refuses the gateway's own key; see the gateway's log", code="engine_refused")
    if state.engine_status is not None and 400 <= state.engine_status < 500:
        said = scrubber.text(state.engine_message or "") or message or "the engine refused the request"
        return RequestError(state.engine_status, said[:2000], param=field_of(data, "param"))
    if state.unserved is not None and not state.contacted:
        return state.unserved
    if status == 500 and not state.contacted:
        # Nothing but the request itself can have made it fail.
        return RequestError(400, f"the request could not be read: {message or 'no reason was given'}", code="invalid_request")
    if state.engine_status is not None and state.engine_message:
        message = scrubber.text(state.engine_message)[:2000]
    return RequestError(status, message or "the engine gave no reason", param=field_of(data, "param"), code=field_of(data, "code"))


@dataclass
class Answer:
    """Between LiteLLM and the client: hides what is inside, and says errors in one form."""

    send: Send
    state: State
    scrubber: Scrubber
    #: For answers that have to be complete before they are told.
    render: Render | None = None
    started: bool = False
    _status: int = 0
    _headers: Headers = field(default_factory=list)
    _held: bool = False
    _events: bool = False
    _pieces: list[bytes] = field(default_factory=list)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._start(message)
        elif message["type"] == "http.response.body":
            await self._body(message)
        else:
            await self.send(message)

    async def _start(self, message: Message) -> None:
        self._status = message["status"]
        self._headers = public_headers(message.get("headers") or ())
        kind = next((value for name, value in self._headers if name.lower() == b"content-type"), b"")
        self._events = kind.startswith(b"text/event-stream")
        self._held = self._status >= 400 or self.render is not None
        if not self._held:
            self.started = True
            await self.send({**message, "headers": self._headers})

    async def _body(self, message: Message) -> None:
        piece = message.get("body", b"")
        if not self._held:
            if self._events and b'"error"' in piece:
                piece = self.scrubber.text(piece.decode("utf-8", "replace")).encode()
            await self.send({**message, "body": piece})
            return
        self._pieces.append(piece)
        if not message.get("more_body"):
            self.started = True
            await self._finish(b"".join(self._pieces))

    async def _finish(self, body: bytes) -> None:
        import json

        if self._status < 400 and self.render is not None:
            try:
                content_type, rendered = self.render(body)
            except RequestError as error:
                await respond_error(self.send, error, self._headers)
            else:
                await respond(self.send, self._status, content_type, rendered, self._headers)
            return
        try:
            data = json.loads(body)
        except ValueError:
            data = body.decode("utf-8", "replace")[:500]
        await respond_error(self.send, verdict(self._status, data, self.state, self.scrubber), self._headers)
