# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the server (uvicorn) and LiteLLM have no setting for, and what would let their memory grow without bound.

Each change is made where the class is found as it was with LiteLLM 1.110.2, and left out with a warning elsewhere.
"""

from __future__ import annotations

import logging
import typing as t

LOG = logging.getLogger("uvicorn.error")

#: Seconds that a client has for the headers of a request, and may be silent before its first one.
HEADER_TIMEOUT = 20.0
#: Pieces of a stream that are kept one by one before they become one.
BLOCK = 64


def protocols() -> t.Iterator[t.Any]:
    """How uvicorn speaks with a client; one of the two is in use."""
    for module, name in (("h11_impl", "H11Protocol"), ("httptools_impl", "HttpToolsProtocol")):
        try:
            yield getattr(__import__(f"uvicorn.protocols.http.{module}", fromlist=[name]), name)
        except ImportError:
            continue


def limit_headers(timeout: float = HEADER_TIMEOUT) -> None:
    """Close connections on which no request begins, or whose headers do not come to an end. uvicorn waits for ever."""
    for protocol in protocols():
        _watch_headers(protocol, timeout)


def _watch_headers(protocol: t.Any, timeout: float) -> None:
    made, received, lost = protocol.connection_made, protocol.data_received, protocol.connection_lost

    def waits_for_headers(connection: t.Any) -> bool:
        return connection.cycle is None or connection.cycle.response_complete

    def give_up(connection: t.Any) -> None:
        connection.header_timer = None
        # A WebSocket has another protocol by now.
        if waits_for_headers(connection) and connection.transport.get_protocol() is connection:
            connection.transport.abort()

    def watch(connection: t.Any) -> None:
        if waits_for_headers(connection):
            if connection.header_timer is None:
                connection.header_timer = connection.loop.call_later(timeout, give_up, connection)
        else:
            forget(connection)

    def forget(connection: t.Any) -> None:
        if connection.header_timer is not None:
            connection.header_timer.cancel()
            connection.header_timer = None

    def connection_made(self: t.Any, transport: t.Any) -> None:
        self.header_timer = None
        made(self, transport)
        watch(self)

    def data_received(self: t.Any, data: bytes) -> None:
        received(self, data)
        watch(self)

    def connection_lost(self: t.Any, error: Exception | None) -> None:
        forget(self)
        lost(self, error)

    protocol.connection_made, protocol.data_received, protocol.connection_lost = connection_made, data_received, connection_lost


class Pieces(list[t.Any]):
    """The pieces of one stream. LiteLLM keeps each until the end, to log the whole answer: 4 KiB for every token.

    Here a block of them becomes one for each kind of text, which gives the same answer when they are put together.
    """

    def __init__(self) -> None:
        super().__init__()
        self.done = 0

    def append(self, piece: t.Any) -> None:
        super().append(piece)
        # LiteLLM still looks at the last two.
        if len(self) - self.done >= BLOCK + 2:
            block = self[self.done : self.done + BLOCK]
            joined = join(block)
            self[self.done : self.done + BLOCK] = joined
            self.done += len(joined)


def join(pieces: t.Sequence[t.Any]) -> list[t.Any]:
    """As few pieces as say the same; what is more than text stays as it is, and where it is."""
    result: list[t.Any] = []
    texts: dict[tuple[t.Any, ...], tuple[t.Any, list[str]]] = {}
    for piece in pieces:
        found = only_text(piece)
        if found is None:
            result.append(piece)
            continue
        key, text = found
        if key not in texts:
            first = piece.model_copy(deep=True)
            texts[key] = (first, [])
            result.append(first)
        texts[key][1].append(text)
    for key, (first, parts) in texts.items():
        write_text(first, key, "".join(parts))
    return result


def only_text(piece: t.Any) -> tuple[tuple[t.Any, ...], str] | None:
    """Which text this piece goes on with, and by what; None for one that says more."""
    choices = getattr(piece, "choices", None)
    if not isinstance(choices, list) or len(choices) != 1 or getattr(piece, "usage", None) is not None:
        return None
    choice = choices[0]
    delta = getattr(choice, "delta", None)
    if delta is None or getattr(choice, "finish_reason", None) is not None:
        return None
    said = {name: value for name, value in {**vars(delta), **(getattr(delta, "__pydantic_extra__", None) or {})}.items() if value}
    said.pop("role", None)
    if len(said) != 1:
        return None
    name, value = said.popitem()
    if name in ("content", "reasoning_content") and isinstance(value, str):
        return (choice.index, name), value
    if name == "tool_calls" and isinstance(value, list) and len(value) == 1:
        call = value[0]
        function = getattr(call, "function", None)
        if function is not None and not function.name and not call.id and isinstance(function.arguments, str):
            return (choice.index, name, call.index), function.arguments
    return None


def write_text(piece: t.Any, key: tuple[t.Any, ...], text: str) -> None:
    delta = piece.choices[0].delta
    if key[1] == "tool_calls":
        delta.tool_calls[0].function.arguments = text
    else:
        setattr(delta, key[1], text)


def bound_streams() -> None:
    """Let LiteLLM keep of a stream what it says and not every piece of it."""
    from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

    made = CustomStreamWrapper.__init__

    def __init__(self: t.Any, *arguments: t.Any, **options: t.Any) -> None:  # noqa: N807
        made(self, *arguments, **options)
        if self.chunks == []:
            self.chunks = Pieces()

    CustomStreamWrapper.__init__ = __init__


def skip_idle_hooks(serves_responses: t.Callable[[], bool]) -> None:
    """Take streams through LiteLLM's hooks for streams only where one does something.

    What passes through them is kept until the end once more. The only hook that is always there encrypts ids of the responses API.
    """
    from litellm.proxy.hooks.responses_id_security import ResponsesIDSecurity
    from litellm.proxy.utils import ProxyLogging

    asked = ProxyLogging.needs_iterator_wrap

    def needs_iterator_wrap(self: t.Any) -> bool:
        others = [hook for hook, _kind in self.callback_capabilities().iterator_overrides if hook.__class__ is not ResponsesIDSecurity]
        return bool(asked(self)) if others or serves_responses() else False

    ProxyLogging.needs_iterator_wrap = needs_iterator_wrap


def encode_vectors_at_once() -> None:
    """Leave the numbers of embeddings to pydantic, which has made plain ones of them in C.

    FastAPI looks at each once more in Python, two seconds for a million, in which nobody else is served.
    """
    from fastapi import routing
    from litellm.types.utils import EmbeddingResponse

    encode = routing.jsonable_encoder

    def jsonable_encoder(answer: t.Any, *arguments: t.Any, **options: t.Any) -> t.Any:
        if isinstance(answer, EmbeddingResponse) and not arguments and not options:
            return answer.model_dump(mode="json")
        return encode(answer, *arguments, **options)

    routing.jsonable_encoder = jsonable_encoder


#: Inputs of one embedding request up to which LiteLLM's cache is asked.
CACHED_INPUTS = 256


def spare_the_cache(data: t.MutableMapping[str, t.Any]) -> None:
    """Leave LiteLLM's cache out where one request has many inputs: it takes 0.1 ms for each, in which nobody else is served."""
    inputs = data.get("input")
    if isinstance(inputs, list) and len(inputs) > CACHED_INPUTS:
        data["cache"] = {"no-cache": True, "no-store": True}


def install(serves_responses: t.Callable[[], bool]) -> None:
    changes: dict[str, t.Callable[[], None]] = {
        "slow headers are not given up": limit_headers,
        "every piece of a stream is kept to its end": bound_streams,
        "every piece of a stream is kept for its hooks": lambda: skip_idle_hooks(serves_responses),
        "large embeddings hold up others": encode_vectors_at_once,
    }
    for otherwise, change in changes.items():
        try:
            change()
        except (ImportError, AttributeError) as error:
            LOG.warning("This release of LiteLLM is not known: %s (%s)", otherwise, error)
