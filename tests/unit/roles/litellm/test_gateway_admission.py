# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the gateway lets in, and when: an application behind the layer, clients before it, and a clock that costs no time."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

import gateway_admission as admission
import gateway_ledger as ledger
import pytest
from support.virtual_time import run

MIB = 1024 * 1024
KIB = 1024


class Flow:
    """uvicorn's, as far as the layer looks at it."""

    def __init__(self) -> None:
        self.write_paused = False
        self.writable = asyncio.Event()

    async def drain(self) -> None:
        await self.writable.wait()


class Transport:
    aborted = False

    def abort(self) -> None:
        self.aborted = True


class Client:
    """One request: pieces of its body with the seconds before each, and what it is answered."""

    def __init__(
        self, *pieces: tuple[float, bytes], chunked: bool = False, length: int | None = None, kind: str = "application/json"
    ) -> None:
        self.pieces = deque(pieces)
        self.taken = 0
        self.gone = asyncio.Event()
        self.flow = Flow()
        self.transport = Transport()
        self.sent: list[admission.Message] = []
        self.stalls = False
        declared = sum(len(piece) for _pause, piece in pieces) if length is None else length
        size = (b"transfer-encoding", b"chunked") if chunked else (b"content-length", str(declared).encode())
        self.scope = {"type": "http", "method": "POST", "path": "/v1/x", "headers": [(b"content-type", kind.encode()), size]}

    async def receive(self) -> admission.Message:
        if not self.pieces:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        pause, piece = self.pieces[0]
        waits = asyncio.ensure_future(self.gone.wait())
        await asyncio.wait([waits], timeout=pause)
        if waits.done():
            return {"type": "http.disconnect"}
        waits.cancel()
        self.pieces.popleft()
        self.taken += len(piece)
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}

    async def send(self, message: admission.Message) -> None:
        if self.stalls and message["type"] == "http.response.body":
            await asyncio.Event().wait()
        self.sent.append(message)

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(b"".join(message.get("body", b"") for message in self.sent[1:]))["error"]
        return found


class App:
    """Reads the body, works for a while, answers; knows how many it has at once."""

    def __init__(self, seconds: float = 1.0, pieces: int = 1) -> None:
        self.seconds = seconds
        self.pieces = pieces
        self.bodies: list[bytes] = []
        self.at_once = 0
        self.most = 0
        self.cancelled = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            body, more = b"", True
            while more:
                message = await receive()
                body, more = body + message["body"], message["more_body"]
            self.bodies.append(body)
            prepared()
            await asyncio.sleep(0.1 if body.startswith(b"quick") else self.seconds)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for number in range(self.pieces):
                await send({"type": "http.response.body", "body": b"x", "more_body": number < self.pieces - 1})
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1


def prepared() -> None:
    """What LiteLLM's callback does before the engine is asked."""
    exchange = admission.current.get()
    assert exchange is not None
    exchange.started()


def idle(layer: Any) -> bool:
    """Whether everything was given back."""
    book = layer.ledger
    return (book.bytes.used, book.requests.used, book.waiting.used, len(book.line), len(layer.exchanges), layer.starts.free) == (
        (0,) * 5 + (layer.limits.starting,)
    )


def test_a_request_goes_through_as_it_is() -> None:
    async def story() -> None:
        app = App(pieces=3)
        layer = admission.Admission(app)
        one = Client((0, b'{"a": '), (0, b"1}"))
        await layer(one.scope, one.receive, one.send, "a")
        assert (one.status, app.bodies) == (200, [b'{"a": 1}'])
        assert [message.get("more_body") for message in one.sent[1:]] == [True, True, False]
        assert idle(layer)

    run(story())


@pytest.mark.parametrize(
    ("chunked", "taken"),
    [(False, 0), (True, 1000)],  # a declared length is refused before anything is read
)
def test_a_body_that_is_too_large(chunked: bool, taken: int) -> None:
    async def story() -> None:
        app = App()
        layer = admission.Admission(app, ledger.Limits(request=1000 * KIB))
        big = Client(*[(0, b"x" * 100 * KIB)] * 40, chunked=chunked)
        at_answer: list[int] = []
        send = big.send

        async def sent(message: admission.Message) -> None:
            at_answer.append(big.taken // KIB)
            await send(message)

        await layer(big.scope, big.receive, sent, "a")
        assert (big.status, big.error["code"], big.error["type"]) == (413, "request_too_large", "invalid_request_error")
        assert "1000 KiB" in big.error["message"]
        assert at_answer[0] <= taken + 100 * chunked
        # The client is still sending, and gets to read why.
        assert big.taken == 4000 * KIB
        assert app.bodies == []
        assert idle(layer)

    run(story())


def test_a_body_without_a_length_is_whole_before_it_is_handed_on() -> None:
    async def story() -> None:
        app = App()
        layer = admission.Admission(app)
        some = [Client((0, b"x" * size), (1, b"y" * size), chunked=True) for size in (10, 60 * KIB, MIB)]
        for one in some:
            await layer(one.scope, one.receive, one.send, "a")
        assert [len(body) for body in app.bodies] == [20, 120 * KIB, 2 * MIB]
        assert idle(layer)

    run(story())


@pytest.mark.slow
def test_bodies_without_a_length_do_not_lock_each_other_out() -> None:
    async def story() -> None:
        app = App()
        layer = admission.Admission(app, ledger.Limits(wait=10_000))
        many = [Client(*[(0.1, b"x" * MIB)] * 20, chunked=True) for _ in range(30)]
        await asyncio.gather(*[layer(one.scope, one.receive, one.send, "abc"[number % 3]) for number, one in enumerate(many)])
        assert [one.status for one in many] == [200] * 30
        assert idle(layer)

    run(story())


def test_one_client_cannot_keep_another_waiting() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        layer = admission.Admission(App(seconds=100))
        crowd = [Client((0, b"x" * 25_000_000)) for _ in range(20)] + [Client((0, b"x" * 200)) for _ in range(1000)]
        tasks = [asyncio.ensure_future(layer(one.scope, one.receive, one.send, "a")) for one in crowd]
        await asyncio.sleep(5)
        for _ in range(20):
            began = loop.time()
            one = Client((0, b"quick" * 100_000))
            await layer(one.scope, one.receive, one.send, "b")
            assert one.status == 200
            assert loop.time() - began < 1
        await asyncio.gather(*tasks)
        # Half of the room, for the time that somebody is asked to wait: the others come again.
        assert {one.status for one in crowd} == {200, 503}
        assert sum(one.status == 200 for one in crowd[20:]) == 1000
        assert idle(layer)

    run(story())


def test_who_waits_too_long_is_told_when_to_come_again() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        layer = admission.Admission(App(seconds=1000), ledger.Limits(requests=1))
        first, second = Client((0, b"1")), Client((0, b"2"))
        task = asyncio.ensure_future(layer(first.scope, first.receive, first.send, "a"))
        await asyncio.sleep(1)
        await layer(second.scope, second.receive, second.send, "b")
        assert (second.status, second.error["code"], second.error["type"]) == (503, "gateway_busy", "server_error")
        assert (b"retry-after", b"5") in second.sent[0]["headers"]
        assert loop.time() == pytest.approx(301, abs=1)
        await task
        assert (first.status, idle(layer)) == (200, True)

    run(story())


def test_one_that_leaves_while_it_waits_is_forgotten() -> None:
    async def story() -> None:
        app = App(seconds=100)
        layer = admission.Admission(app, ledger.Limits(requests=1))
        first, second, third = (Client((0, b"1")) for _ in range(3))
        tasks = [asyncio.ensure_future(layer(one.scope, one.receive, one.send, "a")) for one in (first, second, third)]
        await asyncio.sleep(1)
        second.gone.set()
        await asyncio.sleep(0.1)
        assert tasks[1].done()
        assert second.sent == []
        await asyncio.gather(*tasks)
        assert (third.status, app.bodies, idle(layer)) == (200, [b"1", b"1"], True)

    run(story())


@pytest.mark.parametrize(
    ("pieces", "status", "ended"),
    [
        ([(1, b"x" * 64 * KIB)] * 60, 200, 61),  # just the rate
        ([(14, b"x")] * 2, 408, 15),
        ([(10_000, b"x")], 408, 15),
        ([(0, b"x" * MIB), (10_000, b"x")], 408, 31),  # what came before counts
        ([(0.5, b"x" * 1000)] * 400, 408, 15),
    ],
)
def test_a_body_that_trickles_in_is_given_up(pieces: list[tuple[float, bytes]], status: int, ended: float) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        layer = admission.Admission(App())
        slow = Client(*pieces)
        answered: list[float] = []
        send = slow.send

        async def sent(message: admission.Message) -> None:
            answered.append(loop.time())
            assert not layer.ledger.bytes.used or status == 200  # its share is free before it is told
            await send(message)

        await layer(slow.scope, slow.receive, sent, "a")
        assert slow.status == status
        assert answered[0] == pytest.approx(ended, abs=1)
        if status == 408:
            assert slow.error["code"] == "request_timeout"
        assert loop.time() <= ended + admission.LINGER + 1
        assert idle(layer)

    run(story())


def test_a_reader_that_stalls_is_given_up_and_a_slow_engine_is_not() -> None:
    async def story() -> None:
        app = App(seconds=3000)
        layer = admission.Admission(app)
        patient, stalled = Client((0, b"1")), Client((0, b"2"))
        stalled.stalls = True
        task = asyncio.ensure_future(layer(patient.scope, patient.receive, patient.send, "a"))
        with pytest.raises(asyncio.CancelledError):
            await asyncio.ensure_future(layer(stalled.scope, stalled.receive, stalled.send, "b"))
        assert (stalled.transport.aborted, app.cancelled) == (True, 1)
        await task
        assert (patient.status, patient.transport.aborted, idle(layer)) == (200, False, True)

    run(story())


@pytest.mark.parametrize("reads", [True, False])
def test_an_answer_keeps_its_share_until_the_client_has_taken_it(reads: bool) -> None:
    async def story() -> None:
        layer = admission.Admission(App(seconds=0))
        one = Client((0, b"x" * MIB))
        one.flow.write_paused = True
        task = asyncio.ensure_future(layer(one.scope, one.receive, one.send, "a"))
        await asyncio.sleep(30)
        assert (one.status, layer.ledger.bytes.used) == (200, MIB)
        if reads:
            one.flow.writable.set()
        await asyncio.wait([task])
        assert one.transport.aborted is not reads
        assert idle(layer)

    run(story())


def test_few_are_prepared_at_once_however_many_wait_for_an_engine() -> None:
    async def story() -> None:
        preparing = most = 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal preparing, most
            preparing += 1
            most = max(most, preparing)
            await asyncio.sleep(0.01)
            preparing -= 1
            prepared()
            await asyncio.sleep(100)
            await send({"type": "http.response.start", "status": 200, "headers": []})

        layer = admission.Admission(app)
        crowd = [Client((0, b"1")) for _ in range(300)]
        tasks = [asyncio.ensure_future(layer(one.scope, one.receive, one.send, "a")) for one in crowd]
        await asyncio.sleep(0)
        other = Client((0, b"1"))
        task = asyncio.ensure_future(layer(other.scope, other.receive, other.send, "b"))
        await asyncio.sleep(0.05)
        # Long before the three hundred, and in work beside them.
        assert admission.current.get() is None
        assert any(exchange.client == "b" and exchange.timer is None for exchange in layer.exchanges)
        assert len([exchange for exchange in layer.exchanges if exchange.timer]) == layer.limits.starting
        await asyncio.gather(task, *tasks)
        assert (most, idle(layer)) == (4, True)

    run(story())


def test_one_that_never_says_that_it_is_prepared_counts_as_such_after_a_second() -> None:
    async def story() -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.sleep(100)
            await send({"type": "http.response.start", "status": 200, "headers": []})

        layer = admission.Admission(app)
        crowd = [Client((0, b"1")) for _ in range(40)]
        await asyncio.gather(*[layer(one.scope, one.receive, one.send, "a") for one in crowd])
        assert asyncio.get_running_loop().time() == pytest.approx(109, abs=2)
        assert idle(layer)

    run(story())


def test_pieces_of_streams_come_client_by_client() -> None:
    async def story() -> None:
        order: list[str] = []
        pace = admission.Pace()
        pace.quota = 0.0

        async def stream(name: str) -> None:
            await pace.turn(name)
            order.append(name)

        await asyncio.gather(*[stream(name) for name in "aaaaaabbc"])
        assert "".join(order) == "abcabaaaa"
        assert not pace.ticking

    run(story())


def test_a_long_round_lets_fewer_pieces_through() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        pace = admission.Pace()

        async def stream() -> None:
            while not enough:
                await pace.turn("a")
                loop.waits.slept += cost  # type: ignore[attr-defined]

        for seconds, expected in ((0.01, range(1, 4)), (0.00001, range(200, 257))):
            cost, enough = seconds, False
            tasks = [asyncio.ensure_future(stream()) for _ in range(300)]
            for _ in range(400):
                await asyncio.sleep(0)
            assert int(pace.quota) in expected
            enough = True
            await asyncio.gather(*tasks)

    run(story())


@pytest.mark.parametrize(("kind", "status"), [("application/json", 413), ("multipart/form-data; boundary=x", 200), ("text/plain", 413)])
def test_too_many_values_are_refused_before_they_are_parsed(kind: str, status: int) -> None:
    async def story() -> None:
        layer = admission.Admission(App())
        one = Client((0, json.dumps([[]] * 300_000).encode()), kind=kind)
        await layer(one.scope, one.receive, one.send, "a")
        assert (one.status, idle(layer)) == (status, True)

    run(story())


@pytest.mark.parametrize(
    ("headers", "size"),
    [
        ([], 0),
        ([(b"content-length", b"12")], 12),
        ([(b"Content-Length", b"12")], 12),
        ([(b"content-length", b"12"), (b"transfer-encoding", b"chunked")], None),
        ([(b"content-length", b"x")], None),
        ([(b"content-length", b"-5")], 0),
    ],
)
def test_declared_size(headers: list[tuple[bytes, bytes]], size: int | None) -> None:
    assert admission.declared_size(headers) == size


def test_websockets_count_as_requests() -> None:
    async def story() -> None:
        sent: list[admission.Message] = []
        seen: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append((await receive())["type"])
            await asyncio.sleep(1000)

        async def connect() -> admission.Message:
            return {"type": "websocket.connect"}

        async def send(message: admission.Message) -> None:
            sent.append(message)

        scope = {"type": "websocket", "path": "/v1/realtime", "headers": []}
        layer = admission.Admission(app, ledger.Limits(requests=1))
        await asyncio.gather(layer(scope, connect, send, "a"), layer(scope, connect, send, "a"))
        assert seen == ["websocket.connect"]
        assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1013)]
        assert idle(layer)

    run(story())
