# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What several gateways know together, in the Redis that they share: what clients with limits have asked for, and where conversations are.

Needs no LiteLLM.

Each request is one script that the Redis runs by itself, so the numbers are exact whichever gateways ask, and its clock is the one that
counts. A gateway that dies with requests in work has them for as long as a lease, which it renews while it lives.

Without the Redis each gateway goes by itself: a client had better be let in twice than not at all, and a conversation computed anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import typing as t

LOG = logging.getLogger("gateway")
#: Seconds for one question, and those for which a Redis that did not answer is left alone.
PATIENCE = 1.0
AWAY = 10.0
#: Seconds for which a request in work is counted, unless it is said again.
LEASE = 30.0
RENEWAL = 10.0
#: Questions at once. A thousand requests are no reason for a thousand connections.
CONNECTIONS = 8

#: Names of a client's three numbers; the braces keep them together in a cluster.
_KEYS = ("llmops-limits:{%s}:requests", "llmops-limits:{%s}:tokens", "llmops-limits:{%s}:parallel")
#: Limits are -1 where there is none. The answer: which limit refuses (0: none), and after how many microseconds it would not.
ENTER = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local second, minute, lease = tonumber(time[1]), 60000000, tonumber(ARGV[5])
local requests, tokens, parallel = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if requests >= 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - minute)
  local begun = redis.call('ZCARD', KEYS[1])
  if begun >= requests then
    local last = redis.call('ZRANGE', KEYS[1], begun - requests, begun - requests, 'WITHSCORES')
    return {1, last[2] + minute - now}
  end
end
if tokens >= 0 then
  local used, seconds = 0, {}
  local pairs = redis.call('HGETALL', KEYS[2])
  for at = 1, #pairs, 2 do
    local when, amount = tonumber(pairs[at]), tonumber(pairs[at + 1])
    if when <= second - 60 then
      redis.call('HDEL', KEYS[2], pairs[at])
    else
      used = used + amount
      seconds[#seconds + 1] = {when, amount}
    end
  end
  if used >= tokens then
    table.sort(seconds, function(one, other) return one[1] < other[1] end)
    for _, entry in ipairs(seconds) do
      used = used - entry[2]
      if used < tokens then return {2, (entry[1] + 60) * 1000000 - now} end
    end
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
if parallel >= 0 and redis.call('ZCARD', KEYS[3]) >= parallel then return {3, 0} end
redis.call('ZADD', KEYS[3], now + lease, ARGV[4])
redis.call('PEXPIRE', KEYS[3], lease / 1000)
if requests >= 0 then
  redis.call('ZADD', KEYS[1], now, ARGV[4])
  redis.call('PEXPIRE', KEYS[1], 60000)
end
return {0, 0}
"""
LEAVE = """
redis.call('ZREM', KEYS[3], ARGV[1])
if tonumber(ARGV[2]) > 0 then
  redis.call('HINCRBY', KEYS[2], redis.call('TIME')[1], ARGV[2])
  redis.call('PEXPIRE', KEYS[2], 61000)
end
"""
RENEW = """
local time = redis.call('TIME')
for at = 2, #ARGV do
  redis.call('ZADD', KEYS[3], 'XX', time[1] * 1000000 + time[2] + ARGV[1], ARGV[at])
end
redis.call('PEXPIRE', KEYS[3], ARGV[1] / 1000)
"""

#: The conversations of one backend and when they were seen last; of one place in a cluster, all of them.
_PLACE_KEY = "{llmops-places}:%s"
#: As Places.place does it: the number of the backend among those given, which come in the conversation's turn.
PLACE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local session, life, most, stays = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local loads, weights, total, weight, home, first = {}, {}, 0, 0, nil, nil
for at = 1, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[at], '-inf', now - life)
  loads[at], weights[at] = redis.call('ZCARD', KEYS[at]), tonumber(ARGV[4 + at])
  total, weight = total + loads[at], weight + weights[at]
  local seen = tonumber(redis.call('ZSCORE', KEYS[at], session) or nil)
  if seen and (not home or seen < first) then home, first = at, seen end
end
local chosen = home
if not home or loads[home] > math.ceil(total / weight * weights[home] * stays) then
  local least
  chosen = nil
  for at = 1, #KEYS do
    local load = (loads[at] + 1) / weights[at]
    if at ~= home and (not chosen or load < least) then chosen, least = at, load end
  end
end
for at = 1, #KEYS do
  if at ~= chosen then redis.call('ZREM', KEYS[at], session) end
end
redis.call('ZADD', KEYS[chosen], now, session)
redis.call('ZREMRANGEBYRANK', KEYS[chosen], 0, -most - 1)
redis.call('EXPIRE', KEYS[chosen], life)
return chosen
"""


class AwayError(Exception):
    """The Redis does not answer."""


def _keys(client: str) -> list[str]:
    return [name % client for name in _KEYS]


class Shared:
    """The numbers of all gateways. ``redis``: a client of redis.asyncio."""

    def __init__(self, redis: t.Any, clock: t.Callable[[], float]) -> None:
        self._redis = redis
        self._clock = clock
        self._enter, self._leave, self._renew, self._place = (redis.register_script(script) for script in (ENTER, LEAVE, RENEW, PLACE))
        self._line = asyncio.Semaphore(CONNECTIONS)
        self._away_until = 0.0
        self._lost = False
        #: Requests in work here by their client.
        self._mine: dict[str, set[str]] = {}
        self._renewing: asyncio.Task[None] | None = None

    @classmethod
    def connect(cls, address: t.Mapping[str, t.Any], password: str | None, clock: t.Callable[[], float]) -> Shared:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        options: dict[str, t.Any] = {
            name: address[name] for name in ("host", "port", "db", "username", "ssl") if address.get(name) is not None
        }
        # A connection that the server has closed meanwhile is tried anew; a script that runs twice counts a request once.
        return cls(
            Redis(password=password, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=Retry(NoBackoff(), 1), **options),
            clock,
        )

    async def _run(self, script: t.Any, keys: t.Sequence[str], *arguments: t.Any) -> t.Any:
        async with self._line:
            if self._clock() < self._away_until:
                raise AwayError
            if self._lost:
                # One asks whether it is back; the others don't wait for that.
                self._away_until = self._clock() + AWAY
            try:
                told = await script(keys=keys, args=arguments)
            except Exception as error:
                if not self._lost:
                    LOG.warning("what is shared is counted by this gateway alone: the Redis does not answer (%s)", type(error).__name__)
                self._lost, self._away_until = True, self._clock() + AWAY
                raise AwayError from error
            if self._lost:
                LOG.warning("what is shared is counted in the Redis again")
                self._lost, self._away_until = False, 0.0
            return told

    async def enter(self, client: str, limits: t.Sequence[int | None]) -> tuple[str, int, float]:
        """The name of a request that is let in, or else "", the number of the limit that refuses it and the seconds until it would not.

        Raise AwayError where the Redis does not say.
        """
        name = secrets.token_hex(8)
        told = await self._run(self._enter, _keys(client), *(-1 if limit is None else limit for limit in limits), name, int(LEASE * 1e6))
        refused, wait = int(told[0]), float(told[1])
        if refused:
            return "", refused, wait / 1e6
        self._mine.setdefault(client, set()).add(name)
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.get_running_loop().create_task(self._keep())
        return name, 0, 0.0

    async def leave(self, client: str, name: str, tokens: int) -> None:
        mine = self._mine.get(client, set())
        mine.discard(name)
        if not mine:
            self._mine.pop(client, None)
        with contextlib.suppress(AwayError):
            await self._run(self._leave, _keys(client), name, tokens)

    async def place(self, session: str, weights: t.Mapping[str, float], life: float, most: int, stays: float) -> str:
        """The backend of a conversation, for all gateways. Raise AwayError where the Redis does not say."""
        told = await self._run(self._place, [_PLACE_KEY % name for name in weights], session, int(life), most, stays, *weights.values())
        return list(weights)[int(told) - 1]

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL)
            if not self._mine:
                return
            for client, names in list(self._mine.items()):
                with contextlib.suppress(AwayError):
                    await self._run(self._renew, _keys(client), int(LEASE * 1e6), *names)
