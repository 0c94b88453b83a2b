# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a client may ask for in a minute and at once: counted before anything of a request is read. Needs no LiteLLM.

A minute is the last sixty seconds at any moment, so there is no moment at which twice as many get through. What a limit refuses counts
nowhere. Tokens are known when an answer is done: a client that has used up its tokens waits, and what it had in work until then goes on.
"""

from __future__ import annotations

import contextlib
import math
import time
import typing as t
from collections import deque
from dataclasses import dataclass, field

from gateway_errors import RequestError

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

    @classmethod
    def from_mapping(cls, data: t.Mapping[str, t.Any]) -> Quota:
        return cls(
            requests_per_minute=_number(data.get("requests_per_minute")),
            tokens_per_minute=_number(data.get("tokens_per_minute")),
            parallel=_number(data.get("parallel")),
            models=None if data.get("models") is None else frozenset(map(str, data["models"])),
            routes=frozenset(map(str, data.get("routes") or ())),
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
        self._past.append((now, amount))
        self.total += amount

    def wait(self, now: float, limit: int) -> float | None:
        """Seconds until there is less than the limit; None where there is now."""
        while self._past and self._past[0][0] <= now - MINUTE:
            self.total -= self._past.popleft()[1]
        left = self.total
        if left < limit:
            return None
        for when, amount in self._past:
            left -= amount
            if left < limit:
                return when + MINUTE - now
        return MINUTE


@dataclass
class Tally:
    """What was counted of one client."""

    requests: Window = field(default_factory=Window)
    tokens: Window = field(default_factory=Window)
    at_once: int = 0

    def enter(self, client: str, quota: Quota, now: float) -> None:
        """Count a request, or raise RequestError."""
        for name, limit, window in (
            ("requests_per_minute", quota.requests_per_minute, self.requests),
            ("tokens_per_minute", quota.tokens_per_minute, self.tokens),
        ):
            wait = None if limit is None else window.wait(now, limit)
            if wait is not None:
                raise refusal(client, f"{name}: {limit}", wait)
        if quota.parallel is not None and self.at_once >= quota.parallel:
            raise refusal(client, f"parallel: {quota.parallel}", BUSY)
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
    """What all clients with limits have asked for, in this process."""

    def __init__(self, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tallies: dict[str, Tally] = {}

    @contextlib.asynccontextmanager
    async def visit(self, client: str, quota: Quota) -> t.AsyncIterator[Visit]:
        """While this request is in work. Raise RequestError for one too many."""
        tally = self._tallies.setdefault(client, Tally())
        tally.enter(client, quota, self._clock())
        visit = Visit(quota)
        try:
            yield visit
        finally:
            tally.at_once -= 1
            if visit.tokens:
                tally.tokens.add(self._clock(), visit.tokens)
