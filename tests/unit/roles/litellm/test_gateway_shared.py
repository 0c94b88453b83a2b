# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gateways that count together, with a stand-in for the Redis. tests/real has a real one, whose scripts these are."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

import gateway_shared
import pytest
from gateway_errors import RequestError
from gateway_places import Backend, Places, Sticky
from gateway_quotas import Quota, Quotas
from gateway_sessions import SESSION
from gateway_shared import AWAY, ENTER, LEASE, LEAVE, PLACE, RENEW, RENEWAL, AwayError, Shared
from support.virtual_time import run


def now() -> float:
    return asyncio.get_running_loop().time()


class Redis:
    """Does of the scripts what concerns requests at once, and may be away."""

    def __init__(self) -> None:
        self.members: dict[str, float] = {}
        self.tokens: Counter[str] = Counter()
        self.places = Places(now)
        self.away = False
        self.asked = 0
        self.refuses = 0

    def register_script(self, script: str) -> Any:
        scripts: dict[str, Any] = {ENTER: self._enter, LEAVE: self._leave, RENEW: self._renew, PLACE: self._place}
        work = scripts[script]

        async def call(keys: list[str], args: list[Any]) -> Any:
            assert all("{crawler}" in key or key in ("{llmops-places}:a", "{llmops-places}:b") for key in keys)
            self.asked += 1
            await asyncio.sleep(gateway_shared.PATIENCE if self.away else 0.001)
            if self.away:
                raise OSError
            return work(keys, *args) if script == PLACE else work(*args)

        return call

    def _place(self, keys: list[str], session: str, _life: int, _most: int, _stays: float, *weights: float) -> int:
        backends = [Backend(key.rpartition(":")[2], weight) for key, weight in zip(keys, weights, strict=True)]
        return [backend.id for backend in backends].index(self.places.place(session, backends)) + 1

    def _enter(self, _requests: int, _tokens: int, parallel: int, name: str, lease: int) -> list[int]:
        self.members = {member: until for member, until in self.members.items() if until > now()}
        if self.refuses:
            return [self.refuses, 2_500_000]
        if 0 <= parallel <= len(self.members):
            return [3, 0]
        self.members[name] = now() + lease / 1e6
        return [0, 0]

    def _leave(self, name: str, tokens: int) -> None:
        self.members.pop(name, None)
        self.tokens["crawler"] += tokens

    def _renew(self, lease: int, *names: str) -> None:
        self.members.update({name: now() + lease / 1e6 for name in names if name in self.members})


def gateway(redis: Redis) -> Quotas:
    shared = Shared(redis, now)
    return Quotas(now, lambda: shared)


async def ask(quotas: Quotas, quota: Quota, seconds: float = 1.0, tokens: int = 0) -> str:
    try:
        async with quotas.visit("crawler", quota) as visit:
            await asyncio.sleep(seconds)
            visit.tokens = tokens
    except RequestError as refused:
        return refused.message
    return "let in"


FOUR = Quota(parallel=4)


def test_two_gateways_let_in_as_many_as_one() -> None:
    async def story() -> None:
        redis = Redis()
        gateways = gateway(redis), gateway(redis)
        told = await asyncio.gather(*(ask(one, FOUR, 60) for _number in range(500) for one in gateways))
        assert Counter(told) == {"let in": 4, "The key of client 'crawler' is limited to parallel: 4. Try again in 1 s.": 996}
        assert redis.members == {}
        assert await ask(gateways[1], FOUR, tokens=70) == "let in"
        assert redis.tokens["crawler"] == 70

    run(story())


@pytest.mark.parametrize(("number", "limit"), [(1, "requests_per_minute: 60"), (2, "tokens_per_minute: 1000")])
def test_the_redis_says_which_limit_refuses_and_for_how_long(number: int, limit: str) -> None:
    async def story() -> None:
        redis = Redis()
        redis.refuses = number
        told = await ask(gateway(redis), Quota(requests_per_minute=60, tokens_per_minute=1000))
        assert told == f"The key of client 'crawler' is limited to {limit}. Try again in 3 s."

    run(story())


def test_without_the_redis_each_counts_by_itself_and_nobody_waits_for_long(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        redis = Redis()
        redis.away = True
        gateways = gateway(redis), gateway(redis)
        began = now()
        told = await asyncio.gather(*(ask(one, FOUR, 0.5) for _number in range(500) for one in gateways))
        assert Counter(told)["let in"] == 8
        assert now() - began < 2
        assert redis.asked == 2 * gateway_shared.CONNECTIONS
        # While it is left alone nobody asks it; then one does, and the others go on.
        assert await ask(gateways[0], FOUR) == "let in"
        await asyncio.sleep(AWAY)
        asked = redis.asked
        assert Counter(await asyncio.gather(*(ask(gateways[0], FOUR, 5) for _number in range(20))))["let in"] == 4
        assert redis.asked == asked + 1
        redis.away = False
        await asyncio.sleep(AWAY)
        asked = redis.asked
        for _number in range(3):
            assert await ask(gateways[0], FOUR) == "let in"
        assert redis.asked == asked + 6

    with caplog.at_level(logging.WARNING):
        run(story())
    assert caplog.text.count("counted by this gateway alone") == 2, "each gateway says it once"
    assert caplog.text.count("counted in the Redis again") == 1


def test_a_gateway_that_dies_keeps_its_places_for_a_lease() -> None:
    async def story() -> None:
        redis = Redis()
        shared = Shared(redis, now)
        dies = Quotas(now, lambda: shared)
        one = Quota(parallel=1)
        long = asyncio.ensure_future(ask(dies, one, 1000))
        await asyncio.sleep(10 * LEASE)
        assert await ask(gateway(redis), one) != "let in", "it lives, and says so"
        assert shared._renewing is not None
        shared._renewing.cancel()
        await asyncio.sleep(LEASE + 1)
        assert await ask(gateway(redis), one) == "let in"
        long.cancel()

    run(story())


def test_who_is_given_up_leaves_all_the_same() -> None:
    async def story() -> None:
        redis = Redis()
        quotas = gateway(redis)
        task = asyncio.ensure_future(ask(quotas, FOUR, 1000, tokens=5))
        await asyncio.sleep(1)
        assert len(redis.members) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert redis.members == {}
        await asyncio.sleep(RENEWAL + 1)
        assert await ask(quotas, FOUR) == "let in", "and the one who renews has gone home meanwhile"

    run(story())


def test_an_answer_that_never_came_is_not_waited_for_at_the_end() -> None:
    async def story() -> None:
        redis = Redis()
        shared = Shared(redis, now)
        name, _refused, _wait = await shared.enter("crawler", [None, None, 1])
        redis.away = True
        await shared.leave("crawler", name, 5)
        with pytest.raises(AwayError):
            await shared.enter("crawler", [None, None, 1])

    run(story())


PAIR = [{"model_info": {"id": name}} for name in "ab"]


def sticky(redis: Redis) -> Sticky:
    shared = Shared(redis, now)
    return Sticky(lambda: shared)


async def place(gateway: Sticky, session: str) -> str:
    SESSION.set(session)
    (left,) = await gateway(list(PAIR), {})
    return str(left["model_info"]["id"])


def test_two_gateways_place_conversations_together() -> None:
    async def story() -> None:
        redis = Redis()
        first, second = sticky(redis), sticky(redis)
        found = {number: await place((first, second)[number % 2], str(number)) for number in range(20)}
        assert Counter(found.values()) == {"a": 10, "b": 10}
        assert {number: await place((second, first)[number % 2], str(number)) for number in range(20)} == found
        redis.away = True
        for one in (first, second):
            assert {number: await place(one, str(number)) for number in range(20)} == found, "each remembers what it has seen"
        assert await place(first, "new") in "ab"

    run(story())
