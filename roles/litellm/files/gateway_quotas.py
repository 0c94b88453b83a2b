# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a client may ask for in a minute and at once: counted before anything of a request is read. Needs no LiteLLM.

A minute is the last sixty seconds at any moment, so there is no moment at which twice as many get through. What a limit refuses counts
nowhere. Tokens are known when an answer is done: a client that has used up its tokens waits, and what it had in work until then goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import typing as t
from collections import deque
from dataclasses import dataclass, field

from gateway_errors import RequestError
from gateway_shared import AwayError, Shared

MINUTE = 60.0
#: Seconds. When one of a client's own requests ends nobody can say.
BUSY = 1


@dataclass(frozen=True)
class Quota:
    """The limits of one client. None: none."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel: int | None = None
    #: Every name of the models that it may ask for.
    models: frozenset[str] | None = None
    #: With models: the raw routes that lead to them.
    routes: frozenset[str] = frozenset()
    #: Whether its key is for the gateway's numbers and for nothing else.
    metrics: bool = False

    @classmethod
    def from_mapping(cls, data: t.Mapping[str, t.Any]) -> Quota:
        return cls(
            requests_per_minute=_number(data.get("requests_per_minute")),
            tokens_per_minute=_number(data.get("tokens_per_minute")),
            parallel=_number(data.get("parallel")),
            models=None if data.get("models") is None else frozenset(map(str, data["models"])),
            routes=frozenset(map(str, data.get("routes") or ())),
            metrics=data.get("metrics") is True,
        )

    @property
    def counts(self) -> bool:
        return (self.requests_per_minute, self.tokens_per_minute, self.parallel) != (None, None, None)


def _number(value: t.Any) -> int | None:
    return None if value is None else int(value)


class Window:
    """How much there was in the last minute."""

    def __init__(self) -> None:
        self.total = 0
        self._past: deque[tuple[float, int]] = deque()

    def add(self, now: float, amount: int) -> None:
        self._forget(now)
        self._past.append((now, amount))
        self.total += amount

    def wait(self, now: float, limit: int) -> float | None:
        """Seconds until there is less than the limit; None where there is now."""
        self._forget(now)
        left = self.total
        if left < limit:
            return None
        for when, amount in self._past:
            left -= amount
            if left < limit:
                return when + MINUTE - now
        return MINUTE

    def _forget(self, now: float) -> None:
        while self._past and self._past[0][0] <= now - MINUTE:
            self.total -= self._past.popleft()[1]


@dataclass
class Tally:
    """What was counted of one client."""

    requests: Window = field(default_factory=Window)
    tokens: Window = field(default_factory=Window)
    at_once: int = 0

    def check(self, client: str, quota: Quota, now: float) -> None:
        """Raise RequestError for one request too many."""
        for name, limit, window in (
            ("requests_per_minute", quota.requests_per_minute, self.requests),
            ("tokens_per_minute", quota.tokens_per_minute, self.tokens),
        ):
            wait = None if limit is None else window.wait(now, limit)
            if wait is not None:
                raise refusal(client, f"{name}: {limit}", wait)
        if quota.parallel is not None and self.at_once >= quota.parallel:
            raise refusal(client, f"parallel: {quota.parallel}", BUSY)

    def count(self, quota: Quota, now: float) -> None:
        self.at_once += 1
        if quota.requests_per_minute is not None:
            self.requests.add(now, 1)


def refusal(client: str, limit: str, wait: float) -> RequestError:
    seconds = max(1, math.ceil(wait))
    message = f"The key of client {client!r} is limited to {limit}. Try again in {seconds} s."
    return RequestError(429, message, code="rate_limit_exceeded", retry_after=seconds)


@dataclass
class Visit:
    """One request of a client that has limits."""

    quota: Quota
    #: Known when the answer is done.
    tokens: int = 0


class Quotas:
    """What all clients with limits have asked for: of this process, and of all gateways where they share a Redis."""

    def __init__(self, clock: t.Callable[[], float] = time.monotonic, shared: t.Callable[[], Shared | None] = lambda: None) -> None:
        self._clock = clock
        self._shared = shared
        self._tallies: dict[str, Tally] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def visit(self, client: str, quota: Quota) -> t.AsyncIterator[Visit]:
        """While this request is in work. Raise RequestError for one too many."""
        tally = self._tallies.setdefault(client, Tally())
        shared = self._shared()
        name = "" if shared is None else await self._ask(shared, client, quota)
        if not name:
            # No await between the two: this is what makes the numbers exact.
            tally.check(client, quota, self._clock())
        tally.count(quota, self._clock())
        visit = Visit(quota)
        try:
            yield visit
        finally:
            tally.at_once -= 1
            if visit.tokens:
                tally.tokens.add(self._clock(), visit.tokens)
            if shared is not None and name:
                await self._leave(shared.leave(client, name, visit.tokens))

    @staticmethod
    async def _ask(shared: Shared, client: str, quota: Quota) -> str:
        """The name of the request in the Redis; none where that is away."""
        limits = {
            "requests_per_minute": quota.requests_per_minute,
            "tokens_per_minute": quota.tokens_per_minute,
            "parallel": quota.parallel,
        }
        try:
            name, refused, wait = await shared.enter(client, list(limits.values()))
        except AwayError:
            return ""
        if refused:
            limit = list(limits)[refused - 1]
            raise refusal(client, f"{limit}: {limits[limit]}", wait)
        return name

    async def _leave(self, leaving: t.Coroutine[t.Any, t.Any, None]) -> None:
        """Whoever is given up meanwhile leaves all the same."""
        task = asyncio.ensure_future(leaving)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        await asyncio.shield(task)
