# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is changed in the server and in LiteLLM; that it fits theirs is proven in tests/real."""

from __future__ import annotations

import asyncio
import copy
from types import SimpleNamespace
from typing import Any

import gateway_server as server
import pytest
from support.virtual_time import run


def protocol() -> Any:
    """A class with what uvicorn's have, as far as it is looked at."""

    class Protocol:
        def __init__(self) -> None:
            self.loop = asyncio.get_running_loop()
            self.cycle: Any = None

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            if b"\r\n\r\n" in data:
                self.cycle = SimpleNamespace(response_complete=False)

        def connection_lost(self, error: Exception | None) -> None:
            pass

    return Protocol


class Transport:
    def __init__(self) -> None:
        self.aborted: float | None = None
        self.protocol: Any = None

    def abort(self) -> None:
        self.aborted = asyncio.get_running_loop().time()

    def get_protocol(self) -> Any:
        return self.protocol


@pytest.mark.parametrize(
    ("sent", "aborted"),
    [
        ([], 20),
        ([(5, b"POST / HTTP/1.1\r\n"), (5, b"a: b\r\n"), (5, b"c: d\r\n")], 20),
        ([(5, b"GET / HTTP/1.1\r\n\r\n")], None),  # an answer may take its time
        ([(5, b"GET / HTTP/1.1\r\n\r\n"), (5, b"done"), (5, b"GET / HTTP/1.1\r\n")], 35),
        ([(5, b"upgraded")], None),
    ],
)
def test_headers_that_do_not_come_to_an_end(sent: list[tuple[float, bytes]], aborted: float | None) -> None:
    async def story() -> None:
        made = protocol()
        server._watch_headers(made, 20.0)
        connection, transport = made(), Transport()
        transport.protocol = connection
        connection.connection_made(transport)
        for pause, data in sent:
            await asyncio.sleep(pause)
            if data == b"done":
                connection.cycle.response_complete = True
            elif data == b"upgraded":
                transport.protocol = object()
            else:
                connection.data_received(data)
        await asyncio.sleep(100)
        assert transport.aborted == (None if aborted is None else pytest.approx(aborted))

    run(story())


def test_a_connection_that_ends_leaves_no_timer() -> None:
    async def story() -> None:
        made = protocol()
        server._watch_headers(made, 20.0)
        connection, transport = made(), Transport()
        connection.connection_made(transport)
        connection.connection_lost(None)
        await asyncio.sleep(100)
        assert (connection.header_timer, transport.aborted) == (None, None)

    run(story())


class Piece(SimpleNamespace):
    def model_copy(self, *, deep: bool) -> Piece:
        assert deep
        return copy.deepcopy(self)


def piece(*, index: int = 0, finish: str | None = None, usage: Any = None, **delta: Any) -> Any:
    return Piece(usage=usage, choices=[SimpleNamespace(index=index, finish_reason=finish, delta=SimpleNamespace(**delta))])


def call(number: int, arguments: str, name: str | None = None) -> list[Any]:
    return [SimpleNamespace(index=number, id="c" if name else None, function=SimpleNamespace(name=name, arguments=arguments))]


def said(pieces: list[Any]) -> list[Any]:
    found: list[Any] = []
    for one in pieces:
        for choice in one.choices:
            delta = vars(choice.delta)
            calls = [(item.index, item.function.name, item.function.arguments) for item in delta.get("tool_calls") or ()]
            found.append((choice.index, delta.get("content"), delta.get("reasoning_content"), calls or None, choice.finish_reason))
    return found


TEXTS = [piece(content=text) for text in "abc"]


@pytest.mark.parametrize(
    ("pieces", "joined"),
    [
        (TEXTS, [(0, "abc", None, None, None)]),
        (
            [piece(content="a"), piece(reasoning_content="x"), piece(content="b"), piece(reasoning_content="y")],
            [(0, "ab", None, None, None), (0, None, "xy", None, None)],
        ),
        (
            [piece(content="a", index=index) for index in (0, 1, 0, 1)],
            [(0, "aa", None, None, None), (1, "aa", None, None, None)],
        ),
        (
            [piece(tool_calls=call(0, "", "f")), *[piece(tool_calls=call(0, text)) for text in ("{", "}")], piece(tool_calls=call(1, "1"))],
            [(0, None, None, [(0, "f", "")], None), (0, None, None, [(0, None, "{}")], None), (0, None, None, [(1, None, "1")], None)],
        ),
        (
            [piece(content="a"), piece(content="b", finish="stop"), piece(content="c", usage=object())],
            [(0, "a", None, None, None), (0, "b", None, None, "stop"), (0, "c", None, None, None)],
        ),
        ([piece(content="a", audio="x"), piece(content="b", role="assistant")], [(0, "a", None, None, None), (0, "b", None, None, None)]),
        ([Piece(choices=[], usage=None)] * 2, []),
    ],
)
def test_pieces_become_as_few_as_say_the_same(pieces: list[Any], joined: list[Any]) -> None:
    before = copy.deepcopy(pieces)
    assert said(server.join(pieces)) == joined
    # What was handed on is not touched.
    assert said(pieces) == said(before)


def test_a_stream_is_kept_as_what_it_says() -> None:
    kept = server.Pieces()
    for number in range(10_000):
        kept.append(piece(content=f"{number} "))
        assert kept[-1].choices[0].delta.content == f"{number} "
    kept.append(piece(content=None, finish="stop"))
    assert len(kept) < 300
    assert "".join(one.choices[0].delta.content or "" for one in kept) == "".join(f"{number} " for number in range(10_000))


@pytest.mark.parametrize(("inputs", "spared"), [(["a"] * 256, False), (["a"] * 257, True), ("a" * 1000, False), (None, False)])
def test_the_cache_is_not_asked_for_many_inputs(inputs: Any, spared: bool) -> None:
    data: dict[str, Any] = {"input": inputs}
    server.spare_the_cache(data)
    assert (data.get("cache") == {"no-cache": True, "no-store": True}) is spared
