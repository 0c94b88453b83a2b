# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A port that goes from one server to the next, with real sockets; that it fits uvicorn is proven in tests/real/test_handover.py."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import gateway_handover
import pytest
from gateway_handover import CLOSE, Handover

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _handover as asked

SOCKET = "/socket"


def protocol_of(server: Any) -> type[asyncio.Protocol]:
    class Says(asyncio.Protocol):
        """What uvicorn's protocols have, as far as it is looked at. It answers with the name of its server."""

        def __init__(self, config: Any = None, server_state: Any = None, app_state: Any = None) -> None:
            assert (config, server_state, app_state) in ((server.config, server.server_state, server.lifespan.state), (None, None, None))

        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            server.server_state.connections.add(self)
            transport.write(server.name.encode())

        def connection_lost(self, error: Exception | None) -> None:
            server.server_state.connections.discard(self)

    return Says


class Bed:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def start(self, number: int) -> Any:
        """A server as uvicorn's, in a container whose process has this number."""
        server: Any = SimpleNamespace(
            name=f"server {number}",
            config=SimpleNamespace(ssl=None, backlog=100, encoded_headers=[(b"server", b"x")], timeout_graceful_shutdown=None),
            server_state=SimpleNamespace(connections=set(), default_headers=[]),
            lifespan=SimpleNamespace(state={}),
            should_exit=False,
        )
        server.config.http_protocol_class = protocol_of(server)
        server.servers = [await asyncio.get_running_loop().create_server(server.config.http_protocol_class, "127.0.0.1", 0)]
        server.port = server.servers[0].sockets[0].getsockname()[1]
        server.handover = Handover(server)
        (self.folder / str(number)).mkdir()
        server.handover.open(f"{self.folder}/{number}{SOCKET}")
        return server

    async def ask(self, number: int, words: str) -> list[int]:
        return await asyncio.to_thread(asked.ask, number, SOCKET, words)

    async def hand_over(self, old: int, new: int) -> None:
        await asyncio.to_thread(asked.pass_on, old, new, SOCKET)


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bed:
    monkeypatch.setattr(asked, "ROOT", f"{tmp_path}/{{pid}}")
    return Bed(tmp_path)


async def says(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    text = await reader.read(100)
    writer.close()
    return text.decode()


async def until(true: Callable[[], bool]) -> None:
    for _turn in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 60))


def test_the_port_goes_to_the_next_one_and_what_was_begun_ends(bed: Bed) -> None:
    async def story() -> None:
        old, new = await bed.start(1), await bed.start(2)
        reader, writer = await asyncio.open_connection("127.0.0.1", old.port)
        assert await reader.read(100) == b"server 1"
        assert await says(new.port) == "server 2"
        await bed.hand_over(1, 2)
        # Both accept, and none of many is refused while the old one leaves.
        answers = [await says(old.port) for _number in range(20)]
        await bed.ask(1, "leave 60")
        answers += [await says(old.port) for _number in range(20)]
        assert set(answers) <= {"server 1", "server 2"}
        assert set(answers[-20:]) == {"server 2"}
        # It waits for what it has begun, and tells others that their next answer is the last one.
        await asyncio.sleep(0.3)
        assert not old.should_exit
        assert old.config.encoded_headers == [(b"server", b"x"), CLOSE]
        assert old.server_state.default_headers == [CLOSE]
        writer.close()
        await until(lambda: old.should_exit)
        assert (old.handover.holds, old.config.timeout_graceful_shutdown) == (False, 1)

    run(story)


def test_every_later_one_gets_the_first_ones_port_and_that_of_its_predecessor(bed: Bed) -> None:
    async def story() -> None:
        servers = [await bed.start(number) for number in range(1, 5)]
        for old in range(1, 4):
            await bed.hand_over(old, old + 1)
            await bed.ask(old, "hold 60" if old == 1 else "leave 60")
        assert [server.handover.holds for server in servers] == [True, False, False, False]
        ports = [[socket.getsockname()[1] for one in server.servers for socket in one.sockets] for server in servers]
        assert ports == [[], [], [], [servers[3].port, servers[0].port, servers[2].port]]
        assert {await says(servers[0].port), await says(servers[2].port)} == {"server 4"}

    run(story)


def test_who_does_not_end_is_not_waited_for_longer_than_was_said(bed: Bed) -> None:
    async def story() -> None:
        old = await bed.start(1)
        _reader, writer = await asyncio.open_connection("127.0.0.1", old.port)
        await until(lambda: bool(old.server_state.connections))
        await bed.ask(1, "hold 1")
        await bed.ask(1, "leave 600")  # asked once, it is on its way
        await until(lambda: old.should_exit)
        assert old.handover.holds
        writer.close()

    run(story)


@pytest.mark.parametrize(
    ("words", "told"), [("dance", "unknown: dance"), ("leave soon", "ValueError: could not convert"), ("take", "no sockets came")]
)
def test_what_cannot_be_done_is_told(bed: Bed, words: str, told: str) -> None:
    async def story() -> None:
        server = await bed.start(1)
        with pytest.raises(asked.HandoverError, match=told):
            await bed.ask(1, words)
        assert await says(server.port) == "server 1"

    run(story)


def test_nobody_there(bed: Bed) -> None:
    assert not asked.answers(7, SOCKET)
    with pytest.raises(asked.HandoverError, match="No such file"):
        asked.pass_on(7, 8, SOCKET)


def test_asking_leaves_no_open_files(bed: Bed) -> None:
    async def story() -> None:
        await bed.start(1)
        await bed.start(2)
        await bed.hand_over(1, 2)
        before = len(os.listdir("/proc/self/fd"))
        for _turn in range(5):
            assert await asyncio.to_thread(asked.answers, 2, SOCKET)
        assert len(os.listdir("/proc/self/fd")) <= before

    run(story)


class Uvicorn:
    """The two steps of uvicorn's server that are changed."""

    def __init__(self, workers: int) -> None:
        self.config = SimpleNamespace(workers=workers)
        self.did: list[str] = []
        self.handover: Any = None

    async def main_loop(self) -> None:
        self.did.append("main loop")

    async def shutdown(self, sockets: Any = None) -> None:
        self.did.append("shutdown")


@pytest.mark.parametrize(("workers", "holds", "did"), [(1, True, ["held"]), (1, False, []), (4, False, [])])
def test_what_is_changed_in_uvicorn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, workers: int, holds: bool, did: list[str]) -> None:
    class Server(Uvicorn):
        main_loop, shutdown = Uvicorn.main_loop, Uvicorn.shutdown

    module: Any = ModuleType("uvicorn")
    module.Server = Server
    monkeypatch.setitem(sys.modules, "uvicorn", module)
    opened: list[Any] = []
    monkeypatch.setattr(Handover, "open", lambda self: opened.append(self))
    gateway_handover.install()
    server = Server(workers)
    monkeypatch.setattr(gateway_handover, "hold", lambda: server.did.append("held"))

    async def story() -> None:
        await server.main_loop()
        if server.handover is not None:
            server.handover.holds = holds
        await server.shutdown()

    run(story)
    assert server.did == ["main loop", "shutdown", *did]
    assert len(opened) == (workers == 1)


def test_a_socket_that_cannot_be_made_keeps_nobody_from_serving(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Server(Uvicorn):
        main_loop, shutdown = Uvicorn.main_loop, Uvicorn.shutdown

    module: Any = ModuleType("uvicorn")
    module.Server = Server
    monkeypatch.setitem(sys.modules, "uvicorn", module)

    def refuse(self: Handover) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(Handover, "open", refuse)
    gateway_handover.install()
    server = Server(1)
    run(server.main_loop)
    assert (server.did, caplog.messages) == (["main loop"], ["cannot hand its port over: read-only"])


def test_what_stays_is_a_process_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda *arguments: told.append(arguments))
    gateway_handover.hold()
    assert told == [(sys.executable, [sys.executable, "-S", "-E", "-c", gateway_handover.HOLDER])]
    compile(gateway_handover.HOLDER, "holder", "exec")
