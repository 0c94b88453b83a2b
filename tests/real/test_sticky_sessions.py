# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Conversations side by side through two gateways with the real LiteLLM, named as each program names them: who answers which turn.

Needs the test bed's images: `make real`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from support.containers import LITELLM, docker_run
from support.conversations import Program, claude_code, codex, nameless, opencode
from support.gateway_folder import PLUGINS, write_gateway
from support.local_gateway import LocalGateway, local_gateway
from support.redis_server import redis_server
from support.scripted_backend import Backend

MASTER, CLIENT, PASSWORD = "sk-master-0123456789abcdef", "client-key-0123456789", "password-of-the-redis"
SECRETS = {"ENGINE_KEY_N": "engine-key-0123456789", "REDIS_PASSWORD": PASSWORD}
CONVERSATIONS, TURNS = 20, 8
TASK = "Look at the folder and say what is wrong."


@dataclass
class Bed:
    backends: dict[str, Backend]
    urls: list[str]

    def converse(
        self, program: Program, model: str = "chat", turns: int = TURNS, during: Callable[[int], None] = lambda turn: None
    ) -> list[list[str]]:
        """Conversations side by side: for each the backends of its turns. C(during): at each turn of the first."""
        session_of = [str(uuid.uuid4()) for _conversation in range(CONVERSATIONS)]
        places: list[list[str]] = [[] for _conversation in range(CONVERSATIONS)]

        def whole(number: int) -> None:
            history = [TASK]
            for turn in range(turns):
                if number == 0:
                    during(turn)
                path, headers, body = program(session_of[number], history)
                url = self.urls[(number + turn) % len(self.urls)] + path
                body = {"model": model, "stream": turn % 2 == 0, **body}
                reply = requests.post(url, json=body, headers={"Authorization": f"Bearer {CLIENT}", **headers}, timeout=60)
                assert reply.status_code == 200, reply.text
                places[number].append(reply.headers["x-litellm-model-id"])
                history += [f"Turn {turn} is done.", "Go on."]

        with ThreadPoolExecutor(CONVERSATIONS) as pool:
            list(pool.map(whole, range(CONVERSATIONS)))
        return places


@contextmanager
def gateway(folder: Path, plan: dict[str, Any]) -> Iterator[LocalGateway]:
    folder.mkdir()
    environment = write_gateway(folder, plan, master_key=MASTER, client_keys={"agents": CLIENT}, secret_environment=SECRETS)
    with local_gateway(folder, environment) as serving:
        yield serving
        assert serving.process.poll() is None
        assert not [line for line in serving.log.read_text().splitlines() if "by itself" in line or "by this gateway alone" in line]


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    folder = tmp_path_factory.mktemp("sticky")
    backends = {name: Backend(name) for name in ("one", "two", "last")}
    for backend in backends.values():
        backend.start()
    one, two, last = backends.values()
    plan: dict[str, Any] = {
        "models": [
            {"name": "chat", "backends": [one.at("one", order=1), two.at("two", order=1), last.at("last", order=2)]},
            {"name": "short", "backends": [one.at("short-one", max_input_tokens=20), two.at("short-two", max_input_tokens=100000)]},
        ],
    }
    with ExitStack() as stack:
        redis = {"host": "127.0.0.1", "port": stack.enter_context(redis_server(folder, PASSWORD)), "password_variable": "REDIS_PASSWORD"}
        both = [stack.enter_context(gateway(folder / name, {**plan, "redis": redis})) for name in ("first", "second")]
        for serving in both:
            serving.wait()
        yield Bed(backends, [serving.url for serving in both])
        for backend in backends.values():
            backend.kill()


@pytest.mark.parametrize("program", [claude_code, codex, opencode, nameless])
def test_a_conversation_stays_and_they_are_spread_evenly(bed: Bed, program: Program) -> None:
    places = bed.converse(program)
    assert {len(set(turns)) for turns in places} == {1}
    served = Counter(turns[0] for turns in places)
    assert sorted(served) == ["one", "two"], "the fallback has nothing to do"
    assert all(9 <= count <= 11 for count in served.values()), served


PROGRAM = """
import asyncio, json, random, sys, time
from gateway_places import LIFE, MOST, STAYS, Backend, Places, in_turn
from gateway_shared import Shared

async def main():
    shared = Shared.connect({"host": "127.0.0.1", "port": int(sys.argv[1]), "db": 1}, sys.argv[2], time.monotonic)
    places, chance, different, moved, last = Places(), random.Random(3), 0, 0, {}
    backends = [Backend("a", 2.0), Backend("b"), Backend("c", 0.5)]
    for _step in range(3000):
        session = str(chance.randrange(100))
        up = in_turn(session, chance.sample(backends, chance.choice((2, 3, 3, 3))))
        told = await shared.place(session, {one.id: one.weight for one in up}, LIFE, MOST, STAYS)
        different += told != places.place(session, up)
        moved += last.get(session, told) != told
        last[session] = told
    for number in range(50):
        await shared.place(str(number), {"x": 1.0, "y": 1.0}, LIFE, 5, STAYS)
    kept = [await shared._redis.zcard("{llmops-places}:" + name) for name in "xy"]
    await asyncio.sleep(1.1)
    await shared.place("new", {"x": 1.0, "y": 1.0}, 1, 5, STAYS)
    kept += [await shared._redis.zcard("{llmops-places}:" + name) for name in "xy"]
    print(json.dumps([different, moved, kept[:2], sum(kept[2:])]))

asyncio.run(main())
"""


def test_the_redis_places_as_a_gateway_does_by_itself(tmp_path: Path) -> None:
    for path in PLUGINS.glob("gateway_*.py"):
        shutil.copy(path, tmp_path)
    with redis_server(tmp_path, PASSWORD) as port:
        program = ["python3", "-c", PROGRAM, str(port), PASSWORD]
        argv = docker_run(LITELLM, tmp_path, *program, environment={"PYTHONPATH": str(tmp_path)}, network="host")
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    different, moved, kept, left = json.loads(done.stdout)
    assert (different, kept, left) == (0, [5, 5], 1)
    assert moved > 20


def test_replicas_that_take_different_lengths_are_left_to_litellm(bed: Bed) -> None:
    assert {place for turns in bed.converse(opencode, "short", turns=2) for place in turns} == {"short-two"}


def test_a_backend_that_is_killed_costs_no_request(bed: Bed) -> None:
    """Last, because it takes a backend away. The other one of the same order serves, and not the fallback."""

    def kill(turn: int) -> None:
        if turn == TURNS // 2:
            bed.backends["one"].kill()

    places = bed.converse(claude_code, during=kill)
    began = Counter(turns[0] for turns in places)
    assert all(9 <= began[name] <= 11 for name in ("one", "two")), began
    for turns in places:
        moved = 0 if turns[0] == "two" else TURNS - turns.count("one")
        assert turns == [turns[0]] * (TURNS - moved) + ["two"] * moved
        assert turns[-1] == "two"
