# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limits of clients at two whole gateways that share a Redis, under a thousand requests at once, and what playbook status tells of them.

Before the tests of test_mixed.py, which restart gateways: what clients have used is counted from a gateway's start on.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from load.clients import Answer, Gateway, ask

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SCENARIO = yaml.safe_load((PROJECT / "molecule/mixed/molecule.yml").read_text())
PLATFORMS = {item["name"]: item["ip"] for item in SCENARIO["platforms"]}
SERVER, BOARD, GATEWAY = PLATFORMS
LIMITS = SCENARIO["provisioner"]["inventory"]["group_vars"]["gateways"]["inference_gateway"]["client_keys"]
AT_ONCE = 1000


def gateways(client: str) -> list[Gateway]:
    key = (EPHEMERAL / "secrets/client_keys" / client).read_text().strip()
    return [Gateway(PLATFORMS[host], 8400, key) for host in (SERVER, GATEWAY)]


def statuses(answers: list[Answer]) -> dict[str, int]:
    return dict(Counter(status for status, _seconds, _rest in answers))


def document(answer: Answer) -> Any:
    return json.loads(answer[2].partition(b"\r\n\r\n")[2])


def tokens(answers: list[Answer]) -> tuple[int, int]:
    """What those that were answered read and wrote, as they say."""
    usage = [document(answer)["usage"] for answer in answers if answer[0] == "200"]
    return sum(one["prompt_tokens"] for one in usage), sum(one.get("completion_tokens", 0) for one in usage)


def retry_after(answer: Answer) -> int:
    lines = answer[2].partition(b"\r\n\r\n")[0].decode().lower().splitlines()
    return next(int(line.split(":")[1]) for line in lines if line.startswith("retry-after:"))


@dataclass(frozen=True)
class Storm:
    """What became of a thousand requests of one client, and of another one's meanwhile."""

    answers: list[Answer]
    others: list[Answer]

    def say(self, what: str) -> None:
        seconds = sorted(took for _status, took, _rest in self.others)
        last = max(took for _status, took, _rest in self.answers)
        print(
            f"\n{what}: {statuses(self.answers)} within {last:.1f} s; without limits {statuses(self.others)}, "
            f"median {seconds[len(seconds) // 2]:.2f} s, slowest {seconds[-1]:.2f} s"
        )


async def without_limits() -> list[Answer]:
    found = await asyncio.gather(*(ask(gateway, 12, 2) for gateway in gateways("applications")))
    return [answer for answers in found for answer in answers]


async def chats() -> Storm:
    first, second = gateways("crawler")
    calls = [gateway.chat(f"number {number}", max_tokens=16) for number in range(AT_ONCE // 2) for gateway in (first, second)]
    answers, others = await asyncio.gather(asyncio.gather(*calls), without_limits())
    return Storm(list(answers), others)


def board(verb: str) -> None:
    subprocess.run(["docker", verb, BOARD], check=True, capture_output=True)


async def embeddings() -> Storm:
    """While nobody answers those that are let in: the only host that could hangs until all others are refused."""

    async def embed(gateway: Gateway, number: int) -> Answer:
        body = {"model": "embedding", "input": f"number {number} of {time.time()}"}
        return await gateway.post("/v1/embeddings", json.dumps(body).encode())

    both = gateways("worker")
    board("pause")
    try:
        calls = [asyncio.ensure_future(embed(both[number % 2], number)) for number in range(AT_ONCE)]
        others = asyncio.ensure_future(without_limits())
        began = time.monotonic()
        while sum(not call.done() for call in calls) > LIMITS["worker"]["parallel"] and time.monotonic() - began < 60:
            await asyncio.sleep(0.2)
        await others
        waiting = sum(not call.done() for call in calls)
    finally:
        board("unpause")
    answers = list(await asyncio.gather(*calls))
    assert waiting == LIMITS["worker"]["parallel"], statuses(answers)
    return Storm(answers, others.result())


@pytest.fixture(scope="module", autouse=True)
def _room_for_connections() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 4 * AT_ONCE), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def by_the_minute() -> Storm:
    storm = asyncio.run(chats())
    storm.say("requests_per_minute")
    return storm


@pytest.fixture(scope="module")
def side_by_side() -> Storm:
    storm = asyncio.run(embeddings())
    storm.say("parallel")
    return storm


def test_exactly_as_many_requests_are_let_in_as_a_minute_has(by_the_minute: Storm) -> None:
    allowed = LIMITS["crawler"]["requests_per_minute"]
    assert statuses(by_the_minute.answers) == {"200": allowed, "429": AT_ONCE - allowed}
    refused = [answer for answer in by_the_minute.answers if answer[0] == "429"]
    assert {document(answer)["error"]["code"] for answer in refused} == {"rate_limit_exceeded"}
    assert all(1 <= retry_after(answer) <= 60 for answer in refused)


def test_exactly_as_many_are_in_work_at_once_as_may_be(side_by_side: Storm) -> None:
    """And when they are done there is room for as many again."""
    allowed = LIMITS["worker"]["parallel"]
    assert statuses(side_by_side.answers) == {"200": allowed, "429": AT_ONCE - allowed}


def test_a_client_without_limits_notices_nothing(by_the_minute: Storm, side_by_side: Storm) -> None:
    for storm in (by_the_minute, side_by_side):
        assert statuses(storm.others) == {"200": 24}
        assert max(seconds for _status, seconds, _rest in storm.others) < 20


async def until_refused(at_once: int) -> list[Answer]:
    """So many one after the other, at both gateways."""

    async def one_after_the_other(gateway: Gateway) -> list[Answer]:
        found: list[Answer] = []
        while not found or (found[-1][0] == "200" and len(found) < 100):
            found.append(await gateway.chat("hi", max_tokens=16))
        return found

    both = gateways("reader")
    chains = await asyncio.gather(*(one_after_the_other(both[number % 2]) for number in range(at_once)))
    return [answer for chain in chains for answer in chain]


@pytest.fixture(scope="module")
def by_tokens() -> list[Answer]:
    return asyncio.run(until_refused(4))


def test_tokens_are_over_by_no_more_than_what_was_in_work(by_tokens: list[Answer]) -> None:
    """Four, and the four before them: who has read an answer may ask again before the gateway has counted it."""
    allowed = LIMITS["reader"]["tokens_per_minute"]
    each = max(sum(tokens([answer])) for answer in by_tokens)
    print(f"\ntokens_per_minute: {statuses(by_tokens)}, {sum(tokens(by_tokens))} tokens, {each} for one")
    assert set(statuses(by_tokens)) == {"200", "429"}
    assert allowed <= sum(tokens(by_tokens)) <= allowed + 8 * each


def test_status_shows_what_clients_have_used(by_the_minute: Storm, side_by_side: Storm, by_tokens: list[Answer]) -> None:
    """Of both gateways together: requests as they were sent, tokens as the answers said."""
    done = subprocess.run(
        ["ansible-playbook", "-i", str(EPHEMERAL / "inventory"), str(PROJECT / "playbooks/status.yml")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ANSIBLE_CONFIG": str(EPHEMERAL / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    rows = {tuple(line.split()[:2]): line.replace(",", "").split()[2:] for line in done.stdout.splitlines() if len(line.split()) == 10}
    assert "What clients have used" in done.stdout
    for client, model, answers in (
        ("crawler", "chat", by_the_minute.answers),
        ("worker", "embedding", side_by_side.answers),
        ("reader", "chat", by_tokens),
    ):
        answered, limited = (str(statuses(answers)[status]) for status in ("200", "429"))
        read, written = map(str, tokens(answers))
        assert rows[client, model] == [answered, answered, "0", "0", "0", "0", read, written]
        assert rows[client, "unknown"] == [limited, "0", limited, "0", "0", "0", "-", "-"]
