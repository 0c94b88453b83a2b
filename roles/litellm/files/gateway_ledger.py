# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much of the gateway each client may use at once: pure, without a clock and without LiteLLM.

One rule divides everything that is scarce (bytes of bodies, requests in work, requests that wait): a client may hold no more than what then
remains free. So one alone gets half, two get a third each, and whoever comes next always finds something. Its first large body gets
whatever is free, or it would never come by while small ones come and go.
"""

from __future__ import annotations

import json
import re
import typing as t
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path

Item = t.TypeVar("Item")

KIB = 1024
MIB = 1024 * KIB

#: Bodies up to this size are read before their share is known: so much a client sends in one piece anyway.
SMALL = 64 * KIB
#: Bodies above this size queue by themselves, so that those below never wait behind them.
LARGE = MIB
#: What the server keeps of a request that waits: what came with its headers, and what it reads ahead of a body.
WAITING_REQUEST = 16 * KIB
WAITING_BODY = 320 * KIB


@dataclass(frozen=True)
class Limits:
    """Bytes, numbers and seconds. What is not in the inventory was measured with LiteLLM 1.110.2 on two cores."""

    request: int = 32 * MIB
    """Of one body."""
    work: int = 64 * MIB
    """Of all bodies in work."""
    requests: int = 800
    """In work. The memory of a stream is 0.2 MiB in LiteLLM."""
    waiting: int = 64 * MIB
    """Of all that waits, counted as WAITING_REQUEST and WAITING_BODY."""
    starting: int = 4
    """Requests that LiteLLM prepares at once. It takes 12 ms of one core for each, in some forty pieces; with hundreds side by side a new
    one would wait for hundreds between any two of its own."""
    wait: float = 300.0
    """For a share, until the client is told to come again."""
    values: int = 200_000
    """Strings, lists and mappings in one body."""
    body_rate: int = 64 * KIB
    """Bytes a second that a client has to send on average."""
    body_grace: float = 15.0
    """Seconds before the rate counts."""
    stall: float = 60.0
    """Without a byte taken, until a reader is given up."""

    @classmethod
    def from_mapping(cls, data: t.Mapping[str, t.Any]) -> Limits:
        own = cls()
        return cls(request=int(data.get("request") or own.request), work=int(data.get("work") or own.work))

    @classmethod
    def load(cls, policy: Path) -> Limits:
        return cls.from_mapping(json.loads(policy.read_text(encoding="utf-8")).get("limits") or {}) if policy.exists() else cls()


class Share:
    """One scarce thing, and who holds how much of it."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self.held: dict[str, int] = {}

    def fits(self, client: str, amount: int, *, whatever_is_free: bool = False) -> bool:
        mine = self.held.get(client, 0)
        free = self.total - self.used - amount
        return free >= 0 and (mine == 0 or whatever_is_free or mine + amount <= free)

    def take(self, client: str, amount: int) -> None:
        self.used += amount
        left = self.held.get(client, 0) + amount
        if left:
            self.held[client] = left
        else:
            self.held.pop(client, None)

    def give(self, client: str, amount: int) -> None:
        self.take(client, -amount)


class Rotation(t.Generic[Item]):
    """Queues that are served in turn, one item each time."""

    def __init__(self) -> None:
        self.queues: dict[t.Hashable, deque[Item]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.queues.values()))

    def push(self, queue: t.Hashable, item: Item) -> None:
        self.queues.setdefault(queue, deque()).append(item)

    def drop(self, queue: t.Hashable, item: Item) -> None:
        """Nothing happens where the item was served already."""
        items = self.queues.get(queue)
        if items is not None and item in items:
            items.remove(item)
            if not items:
                del self.queues[queue]

    def pop(self, fits: t.Callable[[Item], bool] = lambda _item: True) -> Item | None:
        """The first item of the queue that waited longest for its turn and whose first item fits."""
        for queue, items in self.queues.items():
            if fits(items[0]):
                item = items.popleft()
                # A dict keeps its order: what was served goes to the end.
                del self.queues[queue]
                if items:
                    self.queues[queue] = items
                return item
        return None


@dataclass(eq=False)
class Ticket:
    """The share of one request.

    What the server reads ahead of a body while it waits is the size of the body, at most WAITING_BODY, unless said otherwise.
    """

    client: str
    size: int
    requests: int = 1
    read_ahead: int | None = None
    state: t.Literal["waiting", "in work", "refused", "over"] = "waiting"

    @property
    def waits_with(self) -> int:
        return WAITING_REQUEST + (min(self.size, WAITING_BODY) if self.read_ahead is None else self.read_ahead)

    @property
    def queue(self) -> tuple[str, bool]:
        return (self.client, self.size > LARGE)


class Ledger:
    """Who is in work, who waits, and who comes next."""

    def __init__(self, limits: Limits) -> None:
        self.bytes = Share(limits.work)
        self.requests = Share(limits.requests)
        self.waiting = Share(limits.waiting)
        self.large: Counter[str] = Counter()
        self.line: Rotation[Ticket] = Rotation()

    def enter(self, ticket: Ticket) -> None:
        """In work at once where there is room and nobody waits in the same queue; else it waits, or is refused where too many do."""
        if ticket.queue not in self.line.queues and self._fits(ticket):
            self._start(ticket)
        elif self.waiting.fits(ticket.client, ticket.waits_with):
            self.waiting.take(ticket.client, ticket.waits_with)
            self.line.push(ticket.queue, ticket)
        else:
            ticket.state = "refused"

    def leave(self, ticket: Ticket) -> list[Ticket]:
        """Give everything back, whatever state it is in; those who are in work because of that."""
        if ticket.state == "waiting":
            self.line.drop(ticket.queue, ticket)
            self.waiting.give(ticket.client, ticket.waits_with)
        elif ticket.state == "in work":
            self.large[ticket.client] -= ticket.size > LARGE
            self.bytes.give(ticket.client, ticket.size)
            self.requests.give(ticket.client, ticket.requests)
        ticket.state = "over"
        return self._next()

    def shrink(self, ticket: Ticket, size: int) -> list[Ticket]:
        """What was reserved turned out to be more than needed."""
        if ticket.state != "in work" or size >= ticket.size:
            return []
        self.large[ticket.client] -= size <= LARGE < ticket.size
        self.bytes.give(ticket.client, ticket.size - size)
        ticket.size = size
        return self._next()

    def _fits(self, ticket: Ticket) -> bool:
        # A large body finds no room as long as others are quicker to take what little becomes free.
        large = ticket.size > LARGE
        if large and self._starving() not in (None, ticket):
            return False
        first = large and not self.large[ticket.client]
        return (not ticket.size or self.bytes.fits(ticket.client, ticket.size, whatever_is_free=first)) and (
            not ticket.requests or self.requests.fits(ticket.client, ticket.requests)
        )

    def _starving(self) -> Ticket | None:
        """The first large body that waits though its client has none in work."""
        heads = (items[0] for items in self.line.queues.values())
        return next((ticket for ticket in heads if ticket.size > LARGE and not self.large[ticket.client]), None)

    def _start(self, ticket: Ticket) -> None:
        self.large[ticket.client] += ticket.size > LARGE
        self.bytes.take(ticket.client, ticket.size)
        self.requests.take(ticket.client, ticket.requests)
        ticket.state = "in work"

    def _next(self) -> list[Ticket]:
        started: list[Ticket] = []
        while (ticket := self.line.pop(self._fits)) is not None:
            self.waiting.give(ticket.client, ticket.waits_with)
            self._start(ticket)
            started.append(ticket)
        return started


_STRING = re.compile(rb'"[^"]*"')


def too_many_values(body: bytes, limit: int) -> bool:
    """Whether a JSON body has more strings, lists and mappings than that, or ten times as many numbers.

    LiteLLM, and whoever checks a request, walk through all of them in Python and make dozens of bytes of memory of each, while nobody
    else is served. Each step here is one pass in C, whatever the body holds.
    """
    # Each value takes two bytes at least.
    if len(body) <= 2 * limit:
        return False
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    strings = plain.count(b'"') // 2
    if strings > limit:
        return True
    bare = _STRING.sub(b"", plain)
    containers = bare.count(b"[") + bare.count(b"{")
    return strings + containers + bare.count(b",") // 10 > limit
