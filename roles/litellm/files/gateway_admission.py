# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ASGI layer that lets requests into LiteLLM: when their share is free, their body is whole, and it is their client's turn.

Knows nothing of LiteLLM: it gets an application and the name of the client, whose key was checked before. Answers of its own are errors in
OpenAI's form.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import typing as t
from collections import deque
from contextvars import ContextVar

from gateway_errors import error_body
from gateway_ledger import KIB, MIB, SMALL, WAITING_BODY, Ledger, Limits, Rotation, Ticket, too_many_values

Message = t.MutableMapping[str, t.Any]
Scope = t.MutableMapping[str, t.Any]
Receive = t.Callable[[], t.Awaitable[Message]]
Send = t.Callable[[Message], t.Awaitable[None]]
App = t.Callable[[Scope, Receive, Send], t.Awaitable[None]]
Headers = t.Iterable[tuple[bytes, bytes]]

#: Seconds for which the rest of a refused body is still taken: a client that is cut off while it sends never reads why.
LINGER = 30.0
#: Seconds between two looks for readers that stall.
LOOK = 5.0
#: Seconds that one round of the event loop may take before streams are slowed down.
ROUND = 0.02
#: Seconds after which a request counts as prepared whether or not LiteLLM has said so: then it waits for somebody.
PREPARED = 1.0
#: Seconds that a client is asked to wait before it tries again.
RETRY_AFTER = 5
#: Sent by these are no JSON, and not looked into.
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


class Refused(Exception):  # noqa: N818 -- not an error of ours
    """What a client is told instead of an answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Gone(Exception):  # noqa: N818 -- not an error of ours
    """The client has left."""


def size_text(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB and size % MIB == 0 else f"{size // KIB} KiB"


def declared_size(headers: Headers) -> int | None:
    """Bytes of the body, 0 where there is none, None where its length is not said."""
    found = {name.lower(): value for name, value in headers}
    if b"transfer-encoding" in found:
        return None
    try:
        return max(0, int(found.get(b"content-length", b"0")))
    except ValueError:
        return None


class Incoming:
    """A body as it comes in."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.pieces: deque[bytes] = deque()
        self.size = 0
        self.whole = False

    async def next(self) -> bytes:
        """The next piece. After the last one the server tells only that the client has left."""
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise Gone
        self.whole = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece

    async def keep_next(self) -> None:
        piece = await self.next()
        self.pieces.append(piece)
        self.size += len(piece)

    async def read_to(self, size: int, limits: Limits, began: float) -> None:
        """Read until the body is whole or larger than that, and give up on one that trickles in."""
        try:
            async with asyncio.timeout(None) as patience:
                while not self.whole and self.size <= size:
                    patience.reschedule(began + limits.body_grace + self.size / limits.body_rate)
                    await self.keep_next()
        except TimeoutError:
            raise Refused(408, "request_timeout", f"The request came in at less than {size_text(limits.body_rate)} a second.") from None

    async def replay(self) -> Message:
        """The body once more, each piece let go of as it is taken; then what the server tells of the client."""
        if not self.pieces:
            return await self.receive()
        piece = self.pieces.popleft()
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}


async def refuse(
    scope: Scope, incoming: Incoming, send: Send, status: int, code: str, message: str, retry_after: int | None = None
) -> None:
    """Tell why, in OpenAI's form, and take what the client is still sending: cut off in the middle, it would never see the answer."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1013 if status == 503 else 1008, "reason": message})
        return
    body = error_body(status, message, code=code)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    if status == 503 or retry_after is not None:
        headers.append((b"retry-after", str(retry_after or RETRY_AFTER).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with contextlib.suppress(TimeoutError, Gone):
        async with asyncio.timeout(LINGER):
            while not incoming.whole:
                await incoming.next()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class Turns:
    """At most so many at once, the rest client by client in turn."""

    def __init__(self, limit: int) -> None:
        self.free = limit
        self.line: Rotation[asyncio.Future[None]] = Rotation()

    async def take(self, client: str) -> None:
        if self.free and not len(self.line):
            self.free -= 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.line.push(client, place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.give()
            else:
                self.line.drop(client, place)
            raise

    def give(self) -> None:
        while (place := self.line.pop()) is not None:
            if not place.done():
                place.set_result(None)
                return
        self.free += 1


class Pace:
    """Lets pieces of streams through client by client, as many in one round of the event loop as keep it short.

    A piece costs LiteLLM most of a millisecond. Without this hundreds of streams that all have something to say make each round last for
    seconds, and everything else, which needs dozens of rounds, waits that many times.
    """

    def __init__(self) -> None:
        self.line: Rotation[asyncio.Future[None]] = Rotation()
        self.quota = 16.0
        self.began = 0.0
        self.ticking = False

    async def turn(self, client: str) -> None:
        loop = asyncio.get_running_loop()
        place: asyncio.Future[None] = loop.create_future()
        self.line.push(client, place)
        if not self.ticking:
            self.ticking = True
            self.began = loop.time()
            loop.call_soon(self._tick, loop)
        try:
            await place
        except asyncio.CancelledError:
            self.line.drop(client, place)
            raise

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self.quota = max(1.0, self.quota / 2) if now - self.began > ROUND else min(256.0, self.quota + 1)
        self.began = now
        for _turn in range(int(self.quota)):
            place = self.line.pop()
            if place is None:
                break
            if not place.done():
                place.set_result(None)
        self.ticking = len(self.line) > 0
        if self.ticking:
            loop.call_soon(self._tick, loop)


class Garbage:
    """Python's collector, asked for by the size of what is left behind.

    LiteLLM leaves each request behind in a circle of some hundred objects. The collector counts objects, so it comes by after hundreds of
    requests, whatever the size of the bodies in them.
    """

    #: Bytes of bodies.
    MOST = 16 * MIB

    def __init__(self) -> None:
        self.size = 0

    def begin(self) -> None:
        """What LiteLLM itself consists of stays for good: half a million objects, which took most of a second to look through each time."""
        gc.collect()
        gc.freeze()

    def add(self, size: int) -> None:
        self.size += size
        if self.size >= self.MOST:
            self.size = 0
            # Not here: what is to go is still being left.
            asyncio.get_running_loop().call_soon(gc.collect)


class Exchange:
    """One request in work and its answer."""

    def __init__(self, admission: Admission, client: str, path: str, send: Send) -> None:
        self.admission = admission
        self.path = path
        self.client = client
        self._send = send
        self.tickets: list[Ticket] = []
        self.task = asyncio.current_task()
        self.timer: asyncio.TimerHandle | None = None
        self.stalled_since: float | None = None
        admission.exchanges.add(self)

    async def start(self) -> None:
        """Wait until LiteLLM may prepare this request."""
        await self.admission.starts.take(self.client)
        self.timer = asyncio.get_running_loop().call_later(PREPARED, self.started)
        current.set(self)

    def started(self) -> None:
        """LiteLLM has prepared it and waits for the engine, so the next one may come."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            self.admission.starts.give()

    def end(self) -> None:
        """Give everything back."""
        self.started()
        self.admission.exchanges.discard(self)
        self.admission.give_back(self.tickets)
        self.admission.garbage.add(sum(ticket.size for ticket in self.tickets))

    async def send(self, message: Message) -> None:
        self.started()
        self.stalled_since = asyncio.get_running_loop().time()
        await self._send(message)
        self.stalled_since = None
        if message.get("more_body"):
            await self.admission.pace.turn(self.client)

    async def drain(self) -> None:
        """Wait until the client has taken what the server holds of a finished answer; its share is free only then."""
        flow = getattr(getattr(self._send, "__self__", None), "flow", None)
        if flow is not None and flow.write_paused:
            self.stalled_since = asyncio.get_running_loop().time()
            await flow.drain()
            self.stalled_since = None

    def abort(self) -> None:
        """Give up a reader that takes nothing. Closing in good order would wait for it."""
        transport = getattr(getattr(self._send, "__self__", None), "transport", None)
        if transport is not None:
            transport.abort()
        if self.task is not None:
            self.task.cancel()


#: The exchange that the running code works for; LiteLLM's callbacks run in tasks that inherit it.
current: ContextVar[Exchange | None] = ContextVar("current", default=None)


class Admission:
    def __init__(self, app: App, limits: Limits | None = None) -> None:
        self.app = app
        self.limits = limits or Limits()
        self.ledger = Ledger(self.limits)
        self.places: dict[Ticket, asyncio.Future[None]] = {}
        self.starts = Turns(self.limits.starting)
        self.pace = Pace()
        self.garbage = Garbage()
        self.exchanges: set[Exchange] = set()
        self.looking: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send, client: str) -> None:
        if self.looking is None:
            self.garbage.begin()
            self.looking = asyncio.get_running_loop().create_task(self._look())
        exchange = Exchange(self, client, scope["path"], send)
        incoming = Incoming(receive)
        refused: Refused | None = None
        try:
            if scope["type"] == "websocket":
                await self._enter(Ticket(client, 0), exchange, None)
            else:
                await self._read(scope["headers"], incoming, exchange)
            await exchange.start()
            await self.app(scope, incoming.replay, exchange.send)
            await exchange.drain()
        except Refused as error:
            refused = error
        except Gone:
            pass
        finally:
            exchange.end()
        if refused is not None:
            await refuse(scope, incoming, send, refused.status, refused.code, str(refused))

    async def _read(self, headers: Headers, incoming: Incoming, exchange: Exchange) -> None:
        """Read the whole body, once its share is free."""
        limits, client = self.limits, exchange.client
        declared = declared_size(headers)
        if declared is not None and declared > limits.request:
            raise self._too_large()
        share = Ticket(client, SMALL, read_ahead=WAITING_BODY) if declared is None else Ticket(client, declared)
        await self._enter(share, exchange, incoming)
        began = asyncio.get_running_loop().time()
        if declared is not None:
            await incoming.read_to(declared, limits, began)
        else:
            await incoming.read_to(SMALL, limits, began)
            if not incoming.whole:
                # All that it may still become: two that wait for each other's bytes would wait for ever.
                rest = Ticket(client, limits.request - SMALL, requests=0)
                asked = asyncio.get_running_loop().time()
                await self._enter(rest, exchange, incoming)
                began += asyncio.get_running_loop().time() - asked
                await incoming.read_to(limits.request, limits, began)
                self._let_in(self.ledger.shrink(rest, max(0, incoming.size - SMALL)))
        if incoming.size > limits.request:
            raise self._too_large()
        if not is_form(headers):
            body = b"".join(incoming.pieces)
            incoming.pieces = deque([body])
            if too_many_values(body, limits.values):
                message = f"The request holds more than {limits.values} strings, lists and mappings, or ten times as many numbers"
                raise Refused(413, "request_too_large", f"{message}, which is the most that this gateway takes at once. Send it in parts.")

    def _too_large(self) -> Refused:
        most = size_text(self.limits.request)
        return Refused(413, "request_too_large", f"The request is larger than {most}, the most that this gateway takes.")

    async def _enter(self, ticket: Ticket, exchange: Exchange, incoming: Incoming | None) -> None:
        """Wait for the ticket's share, and notice it where the client leaves meanwhile."""
        self.ledger.enter(ticket)
        exchange.tickets.append(ticket)
        if ticket.state == "in work":
            return
        if ticket.state == "refused":
            raise Refused(503, "gateway_busy", "Too many requests of this client wait at the gateway. Try again later.")
        place = self.places[ticket] = asyncio.get_running_loop().create_future()
        watch: asyncio.Future[None] | None = None
        try:
            async with asyncio.timeout(self.limits.wait):
                while not place.done():
                    # The server reads a piece ahead in any case; more only when this one has been taken.
                    if watch is None and incoming is not None and (incoming.whole or not incoming.pieces):
                        watch = asyncio.ensure_future(incoming.keep_next())
                    await asyncio.wait([place] if watch is None else [place, watch], return_when=asyncio.FIRST_COMPLETED)
                    if watch is not None and watch.done():
                        watch.result()
                        watch = None
        except TimeoutError:
            message = f"No room for this request for {self.limits.wait:.0f} s: too much of this client's is in work. Try again later."
            raise Refused(503, "gateway_busy", message) from None
        finally:
            self.places.pop(ticket, None)
            if watch is not None:
                watch.cancel()

    def give_back(self, tickets: t.Iterable[Ticket]) -> None:
        for ticket in tickets:
            self._let_in(self.ledger.leave(ticket))

    def _let_in(self, tickets: t.Iterable[Ticket]) -> None:
        for ticket in tickets:
            place = self.places.get(ticket)
            if place is not None and not place.done():
                place.set_result(None)

    async def _look(self) -> None:
        """Give up readers that take nothing."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK)
            before = loop.time() - self.limits.stall
            for exchange in [one for one in self.exchanges if one.stalled_since is not None and one.stalled_since < before]:
                exchange.abort()


def is_form(headers: Headers) -> bool:
    kinds = [value for name, value in headers if name.lower() == b"content-type"]
    return bool(kinds) and kinds[-1].decode("latin-1").split(";")[0].strip().lower() in FORMS
