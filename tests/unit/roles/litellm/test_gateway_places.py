# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which backend a conversation stays with."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from typing import Any

import gateway_places
import pytest
from gateway_places import LIFE, Backend, Places, Sticky, backends_of, in_turn, siblings
from gateway_sessions import SESSION

PAIR, THREE = ([Backend(name) for name in names] for names in ("ab", "abc"))


def place(places: Places, session: str, backends: list[Backend]) -> str:
    return places.place(session, in_turn(session, backends))


def deployment(name: str, **params: Any) -> dict[str, Any]:
    return {"model_name": "chat", "litellm_params": params, "model_info": {"id": name, "max_input_tokens": params.pop("window", None)}}


@pytest.mark.parametrize("seed", range(50))
def test_conversations_are_spread_evenly_and_stay(seed: int) -> None:
    """Also those that begin when there were others: nine to eleven of twenty, so that a cache that holds eleven is enough."""
    places, chance = Places(), random.Random(seed)
    for _round in range(4):
        sessions = [f"{chance.random()}" for _ in range(20)]
        first = {session: place(places, session, PAIR) for session in sessions}
        assert 9 <= Counter(first.values())["a"] <= 11
        for _turn in range(20):
            chance.shuffle(sessions)
            assert {session: place(places, session, PAIR) for session in sessions} == first


def test_a_hash_alone_would_spread_them_unevenly() -> None:
    uneven = sum(abs(sum(in_turn(f"{seed} {n}", PAIR)[0].id == "a" for n in range(20)) - 10) > 1 for seed in range(200))
    assert uneven > 60


def test_the_first_backend_is_not_everybodys() -> None:
    """Each gateway that begins anew would have the same one work."""
    assert 400 < sum(place(Places(), str(number), PAIR) == "a" for number in range(1000)) < 600


def test_weights() -> None:
    backends = [Backend("a", 3), Backend("b", 1)]
    places = Places()
    served = Counter(place(places, str(number), backends) for number in range(400))
    assert served == {"a": 300, "b": 100}


def test_a_backend_that_goes_away_frees_its_conversations_and_gets_them_back() -> None:
    places = Places()
    sessions = [str(number) for number in range(30)]
    before = {session: place(places, session, THREE) for session in sessions}
    left = [backend for backend in THREE if backend.id != "b"]
    during = {session: place(places, session, left) for session in sessions}
    assert set(during.values()) == {"a", "c"}
    assert all(during[session] == before[session] for session in sessions if before[session] != "b"), "nobody else moves"
    for _turn in range(2):
        assert {session: place(places, session, THREE) for session in sessions} == before


def test_what_has_gathered_at_one_backend_moves_until_it_is_even() -> None:
    places, alone = Places(), [THREE[0]]
    sessions = [str(number) for number in range(30)]
    assert {place(places, session, alone) for session in sessions} == {"a"}
    after = {session: place(places, session, THREE) for session in sessions}
    assert max(Counter(after.values()).values()) <= 13
    assert {session: place(places, session, THREE) for session in sessions} == after, "and then it is quiet"


def test_a_conversation_is_forgotten_after_an_hour() -> None:
    now = 0.0
    places = Places(lambda: now)
    for number in range(20):
        place(places, f"old {number}", PAIR)
    now = LIFE - 1
    place(places, "old 3", PAIR)
    now = LIFE
    place(places, "new", PAIR)
    assert sorted(itertools.chain(*places._seen.values())) == ["new", "old 3"]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_places, "MOST", 5)
    places = Places()
    for number in range(50):
        place(places, str(number), PAIR)
    assert [len(one) for one in places._seen.values()] == [5, 5]


def test_random_lives() -> None:
    """Whatever comes and goes: each has a backend that is there, no backend has far more than its share, and nobody is in two places."""
    chance, now = random.Random(7), 0.0
    places = Places(lambda: now)
    backends = [Backend("a", 2), Backend("b"), Backend("c")]
    for _step in range(20000):
        now += chance.expovariate(1 / 10)
        up = chance.sample(backends, chance.choice((1, 2, 3, 3, 3, 3, 3, 3)))
        session = str(chance.randrange(300))
        found = place(places, session, up)
        assert found in {backend.id for backend in up}
        assert sum(session in places._seen.get(backend.id, ()) for backend in up) == 1
        total = sum(len(places._seen[backend.id]) for backend in up)
        share = next(backend.weight for backend in up if backend.id == found) / sum(backend.weight for backend in up)
        assert len(places._seen[found]) <= total * share * 1.25 + 1


@pytest.mark.parametrize(
    ("deployments", "request_kwargs", "expected"),
    [
        ([deployment("a"), deployment("b")], {}, "ab"),
        ([deployment("a", order=1), deployment("b", order=1), deployment("c", order=2)], {}, "ab"),
        ([deployment("c", order=2), deployment("d", order=2)], {}, "cd"),
        ([deployment("a", order=1), deployment("c", order=2), deployment("d", order=2)], {"_target_order": 2}, "cd"),
        ([deployment("a"), deployment("b"), deployment("c")], {"_excluded_deployment_ids": ["b"]}, "ac"),
        ([deployment("a"), deployment("b"), deployment("c")], {"_retry_skipped_deployment_ids": ("a",)}, "bc"),
        ([deployment("a", order=1), deployment("c", order=2)], {"_excluded_deployment_ids": ["a"]}, "c"),
        ([deployment("a", window=8192), deployment("b", window=32768)], {}, ""),
        ([deployment("a", window=8192), deployment("b")], {}, "ab"),
        ([deployment("a", order=1, window=32768), deployment("b", order=1, window=32768), deployment("c", order=2, window=8192)], {}, "ab"),
        ([], {}, ""),
    ],
)
def test_among_which_backends_it_is_chosen(deployments: list[dict[str, Any]], request_kwargs: dict[str, Any], expected: str) -> None:
    assert "".join(one["model_info"]["id"] for one in siblings(deployments, request_kwargs)) == expected


@pytest.mark.parametrize(
    ("deployments", "expected"),
    [
        ([deployment("a"), deployment("b")], {"a": 1, "b": 1}),
        ([deployment("a", weight=3), deployment("b", weight=1)], {"a": 3, "b": 1}),
        ([deployment("a", weight=3), deployment("b")], {"a": 3}),
        ([deployment("a", rpm=10, tpm=1), deployment("b", rpm=30, tpm=9)], {"a": 10, "b": 30}),
        ([deployment("a", tpm=1), deployment("b", tpm=3)], {"a": 1, "b": 3}),
        ([], {}),
    ],
)
def test_shares(deployments: list[dict[str, Any]], expected: dict[str, float]) -> None:
    """LiteLLM's own reading of weights."""
    assert {backend.id: backend.weight for backend in backends_of(deployments)} == expected


def ask(sticky: Sticky, session: str | None, deployments: list[dict[str, Any]], **request: Any) -> list[str]:
    async def asked() -> list[Any]:
        token = SESSION.set(session)
        try:
            return await sticky(list(deployments), request)
        finally:
            SESSION.reset(token)

    return [one["model_info"]["id"] for one in asyncio.run(asked())]


def test_what_litellm_is_left_to_choose_from() -> None:
    sticky = Sticky()
    group = [deployment("a", order=1), deployment("b", order=1), deployment("c", order=2)]
    assert ask(sticky, None, group) == ["a", "b", "c"]
    (one, fallback) = ask(sticky, "s", group)
    assert one in "ab"
    assert fallback == "c"
    assert all(ask(sticky, "s", group) == [one, "c"] for _turn in range(20))
    other = "ab".replace(one, "")
    alone = [two for two in group if two["model_info"]["id"] != one]
    assert ask(sticky, "s", alone) == [other, "c"]
    assert ask(sticky, "s", group, _excluded_deployment_ids=[one]) == ["a", "b", "c"], "LiteLLM leaves that one out by itself"
    assert ask(sticky, "s", group) == [one, "c"]


def test_a_mistake_here_costs_no_request(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(gateway_places, "in_turn", lambda *arguments: 1 / 0)
    assert ask(Sticky(), "s", [deployment("a"), deployment("b")]) == ["a", "b"]
    assert "LiteLLM chooses by itself" in caplog.text
