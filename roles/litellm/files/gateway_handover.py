# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the gateway of a changed configuration takes the port over from the one before it, with no connection refused. Needs no LiteLLM.

The new one runs in a container of its own. It gets the very sockets on which the old one listens, as open files: connections that are in
their queues lose nothing, and both may accept them for a moment. The old one then ends what it has begun. Docker gives a published port
to one container for good, so the first one of a row stays as a process that does nothing.

Who asks is root on the host, by a socket in the container: C(give) answers with the sockets, C(take) listens on those that came with it,
C(leave SECONDS) ends within that time, and C(hold SECONDS) does too, but keeps the container.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import threading
import typing as t

LOG = logging.getLogger("gateway")
#: handover_socket of the unit.
SOCKET = "/tmp/gateway-handover.sock"  # noqa: S108 -- in the container, whose other folders are read-only
CLOSE = (b"connection", b"close")
#: Seconds for whoever asks.
PATIENCE = 10.0
#: Seconds for LiteLLM's own end, where the container stays.
LAST = 15.0
HOLDER = "import signal\nwhile True:\n    signal.pause()\n"

Answer = tuple[str, list[int]]


class Handover:
    """One server of uvicorn that runs."""

    def __init__(self, server: t.Any) -> None:
        self.server = server
        self.holds = False
        self._loop = asyncio.get_running_loop()
        self._leaving: asyncio.Task[None] | None = None

    def open(self, path: str = SOCKET) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen()
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            connection, _address = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(PATIENCE)
                data, descriptors, _flags, _from = socket.recv_fds(connection, 1024, 8)
                answer = asyncio.run_coroutine_threadsafe(self.answer(data.decode("ascii", "replace"), descriptors), self._loop)
                try:
                    words, given = answer.result(PATIENCE)
                except Exception as error:
                    words, given = f"{type(error).__name__}: {error}", []
                _reply(connection, words, given)

    async def answer(self, asked: str, descriptors: list[int]) -> Answer:
        command, _space, seconds = asked.partition(" ")
        if command == "give":
            return "ok", self.give()
        if command == "take":
            await self.take([socket.socket(fileno=descriptor) for descriptor in descriptors])
        elif command in ("leave", "hold"):
            self.leave(float(seconds), holds=command == "hold")
        else:
            return f"unknown: {command}", []
        return "ok", []

    def give(self) -> list[int]:
        """Copies of the sockets: that of the published port, and its own where that is another one."""
        own, *taken = self.server.servers
        return [os.dup(listening.fileno()) for server in (*taken[:1], own) for listening in server.sockets]

    async def take(self, sockets: list[socket.socket]) -> None:
        """What uvicorn does for a socket that it is given when it starts."""
        if not sockets:  # SELinux lets no container have those of another one
            raise ValueError("no sockets came")
        server = self.server
        config = server.config

        def protocol() -> t.Any:
            return config.http_protocol_class(config=config, server_state=server.server_state, app_state=server.lifespan.state)

        for given in sockets:
            given.setblocking(False)
            server.servers.append(await self._loop.create_server(protocol, sock=given, ssl=config.ssl, backlog=config.backlog))

    def leave(self, seconds: float, *, holds: bool) -> None:
        if self._leaving is None:
            self.holds = holds
            self._leaving = self._loop.create_task(self._leave(seconds))

    async def _leave(self, seconds: float) -> None:
        server = self.server
        LOG.info("hands its port over, and ends what it has begun within %d s", seconds)
        for listening in server.servers:
            listening.close()
        # Connections that wait for their next request get its answer, and with it the word that it was the last one. uvicorn would close
        # them at once, while that request may be under way.
        server.config.encoded_headers = [*server.config.encoded_headers, CLOSE]
        server.server_state.default_headers = [*server.server_state.default_headers, CLOSE]
        deadline = self._loop.time() + seconds
        while server.server_state.connections and self._loop.time() < deadline:
            await asyncio.sleep(0.1)
        server.config.timeout_graceful_shutdown = 1
        server.should_exit = True


def _reply(connection: socket.socket, words: str, given: list[int]) -> None:
    try:
        if given:
            socket.send_fds(connection, [words.encode()], given)
        else:
            connection.sendall(words.encode())
    finally:
        for descriptor in given:
            os.close(descriptor)


def hold() -> t.NoReturn:
    """Become a process that does nothing, and needs the memory of none."""
    os.execv(sys.executable, [sys.executable, "-S", "-E", "-c", HOLDER])  # noqa: S606


def install() -> None:
    """Offer it once the server listens. Several processes that share a socket have no one that could speak for all."""
    from uvicorn import Server

    main_loop, shutdown = Server.main_loop, Server.shutdown

    async def main_loop_(self: t.Any) -> None:
        if self.config.workers == 1 and "gunicorn" not in sys.modules:
            self.handover = Handover(self)
            try:
                self.handover.open()
            except OSError as error:
                LOG.warning("cannot hand its port over: %s", error)
        await main_loop(self)

    async def shutdown_(self: t.Any, sockets: t.Any = None) -> None:
        handover = getattr(self, "handover", None)
        if handover is None or not handover.holds:
            await shutdown(self, sockets)
            return
        try:
            await asyncio.wait_for(shutdown(self, sockets), LAST)
        finally:
            hold()

    Server.main_loop, Server.shutdown = main_loop_, shutdown_
