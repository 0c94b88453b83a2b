# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limits of clients that two gateways count in one Redis: a real one, asked by the client program that is in LiteLLM's image."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.containers import LITELLM, docker_run
from support.redis_server import redis_server

FILES = Path(__file__).parents[2] / "roles/litellm/files"
PASSWORD = "password-of-the-redis"

PROGRAM = """
import asyncio, collections, json, sys, time
import gateway_shared
from gateway_errors import RequestError
from gateway_quotas import Quota, Quotas
from gateway_shared import Shared

def gateway():
    shared = Shared.connect({"host": "127.0.0.1", "port": int(sys.argv[1]), "db": 1}, sys.argv[2], time.monotonic)
    return Quotas(shared=lambda: shared), shared

async def ask(quotas, client, seconds=0.0, tokens=0, **limits):
    try:
        async with quotas.visit(client, Quota(**limits)) as visit:
            await asyncio.sleep(seconds)
            visit.tokens = tokens
    except RequestError as refused:
        return refused.retry_after
    return "let in"

async def many(gateways, *arguments, **limits):
    told = await asyncio.gather(*(ask(one, *arguments, **limits) for _number in range(500) for one in gateways))
    return dict(collections.Counter("let in" if one == "let in" else "refused" for one in told))

async def main():
    (first, _shared), (second, _shared) = gateway(), gateway()
    found = {}
    found["parallel"] = await many((first, second), "a", 20.0, parallel=4)
    found["free again"] = await asyncio.gather(*(ask(one, "a", 0.5, parallel=4) for one in (first, second) * 2))
    found["requests"] = await many((first, second), "b", requests_per_minute=60)
    found["requests, seconds"] = await ask(second, "b", requests_per_minute=60)
    found["tokens"] = [await ask(one, "c", tokens=100, tokens_per_minute=1000) for _number in range(6) for one in (first, second)]
    gateway_shared.LEASE, gateway_shared.RENEWAL = 2.0, 0.5
    third, shared = gateway()
    dies = asyncio.ensure_future(ask(third, "d", 60.0, parallel=1))
    await asyncio.sleep(5)
    found["renewed"] = await ask(second, "d", parallel=1)
    shared._renewing.cancel()
    await asyncio.sleep(3)
    found["dead"] = await ask(second, "d", parallel=1)
    dies.cancel()
    found["none"] = await ask(first, "e")
    print(json.dumps(found))

asyncio.run(main())
"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[int]:
    """The port of a Redis of its own."""
    with redis_server(tmp_path, PASSWORD) as port:
        yield port


def test_two_gateways_count_together(tmp_path: Path, redis: int) -> None:
    for path in FILES.glob("gateway_*.py"):
        shutil.copy(path, tmp_path)
    program = ["python3", "-c", PROGRAM, str(redis), PASSWORD]
    argv = docker_run(LITELLM, tmp_path, *program, environment={"PYTHONPATH": str(tmp_path)}, network="host")
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["parallel"] == {"let in": 4, "refused": 996}
    assert found["free again"] == ["let in"] * 4
    assert found["requests"] == {"let in": 60, "refused": 940}
    assert 50 <= found["requests, seconds"] <= 60
    assert found["tokens"][:10] == ["let in"] * 10
    assert all(isinstance(seconds, int) and 50 <= seconds <= 61 for seconds in found["tokens"][10:])
    assert (found["renewed"], found["dead"], found["none"]) == (1, "let in", "let in")
    assert "counted by this gateway alone" not in done.stderr
