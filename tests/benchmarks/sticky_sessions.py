# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What sticky sessions are worth: the share of prompt tokens that two real vLLM engines have in their prefix caches, with and without.

Run it from the root of the checkout with the test bed's images and models there (`make real`):
`python tests/benchmarks/sticky_sessions.py`.

Twenty conversations of twenty turns side by side, each as one program names it, through a gateway each time: one that keeps conversations
at a backend, one that does not. The KV cache of an engine holds eleven of the conversations at their full length. A conversation begins
with a long text of its own, so that most of what can be in a cache is there from its second turn on.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import string
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "collections")]

from support.containers import VLLM  # noqa: E402 - the folders above become importable first
from support.conversations import Program, claude_code, codex, nameless, opencode  # noqa: E402
from support.gateway_container import container, docker, gateway, network  # noqa: E402
from support.ollama import free_port  # noqa: E402
from testbed import settings  # noqa: E402

PROGRAMS: dict[str, Program] = {"claude_code": claude_code, "codex": codex, "opencode": opencode, "nameless": nameless}
CLIENT, ENGINE = "client-key-0123456789", "engine-key-0123456789"
CONVERSATIONS, TURNS, HELD = 20, 20, 11
#: Tokens, which are bytes here: of the first message, of a whole conversation at most, and of a block of the cache.
FIRST, WHOLE, BLOCK = 2400, 3328, 128
METRIC = re.compile(r"^vllm:prefix_cache_(hits|queries)_total\{[^}]*\} ([0-9.e+]+)", re.MULTILINE)


@contextmanager
def engines(on: str) -> Iterator[dict[str, str]]:
    """Two of them, by name, with their addresses on this host."""
    with ExitStack() as stack:
        ports = {f"{on}-{name}": free_port() for name in ("one", "two")}
        for name, port in ports.items():
            options = ["--volume", f"{settings.MODELS / 'tiny-chat'}:/model:ro", "--env", f"VLLM_API_KEY={ENGINE}", "--memory", "2g"]
            options += ["--publish", f"127.0.0.1:{port}:8000"]
            command = ["/model", "--served-model-name", "m", "--max-model-len", "4096", "--block-size", str(BLOCK)]
            # One block more: vLLM keeps the first for itself.
            command += ["--num-gpu-blocks-override", str(HELD * WHOLE // BLOCK + 1)]
            stack.enter_context(container(name, on, VLLM, *command, options=tuple(options)))
        addresses = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        for name, address in addresses.items():
            wait_for(name, f"{address}/health")
        yield addresses


def wait_for(name: str, url: str) -> None:
    deadline = time.monotonic() + 600
    while True:
        try:
            requests.get(url, timeout=5).raise_for_status()
            return
        except requests.RequestException:
            if time.monotonic() > deadline or docker("inspect", "--format", "{{.State.Running}}", name) != "true":
                raise RuntimeError(docker("logs", "--tail", "40", name)) from None
            time.sleep(1)


def cached(addresses: dict[str, str]) -> Counter[str]:
    """Prompt tokens that were looked for in the caches, and those that were there, of all engines."""
    found: Counter[str] = Counter()
    for address in addresses.values():
        for kind, value in METRIC.findall(requests.get(f"{address}/metrics", timeout=30).text):
            found[kind] += int(float(value))
    return found


def converse(url: str, program: Program, seed: int) -> list[list[str]]:
    """The backends of each conversation, turn by turn."""

    def whole(number: int) -> list[str]:
        chance, places = random.Random(seed * 1000 + number), []
        history = ["".join(chance.choices(string.ascii_letters, k=FIRST))]
        for turn in range(TURNS):
            path, headers, body = program(f"{seed}-{number}", history)
            body = {"model": "chat", **body, "max_tokens": 4} if "messages" in body else {"model": "chat", **body, "max_output_tokens": 4}
            reply = requests.post(url + path, json=body, headers={"Authorization": f"Bearer {CLIENT}", **headers}, timeout=300)
            reply.raise_for_status()
            places.append(reply.headers["x-litellm-model-id"])
            history += [f"Turn {turn}.", "Go on."]
        return places

    with ThreadPoolExecutor(CONVERSATIONS) as pool:
        return list(pool.map(whole, range(CONVERSATIONS)))


def measure(on: str, addresses: dict[str, str], program: Program, *, sticky: bool) -> str:
    backends: list[dict[str, Any]] = [
        {"id": name, "host": "n", "engine": "vllm", "model": "m", "url": f"http://{name}:8000/v1", "key_variable": "ENGINE_KEY_N"}
        for name in addresses
    ]
    described = {"models": [{"name": "chat", "backends": backends}], "sticky_sessions": sticky}
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        secrets = {"ENGINE_KEY_N": ENGINE}
        with gateway(Path(folder), f"{on}-gateway", on, port, described, {"agents": CLIENT}, secret_environment=secrets):
            before, began = cached(addresses), time.monotonic()
            places = converse(f"http://127.0.0.1:{port}", program, seed=int(sticky))
            seconds = time.monotonic() - began
            asked = cached(addresses) - before
    stayed = sum(len(set(turns)) == 1 for turns in places)
    served = Counter(turns[0] for turns in places)
    share = asked["hits"] / asked["queries"]
    return (
        f"sticky_sessions: {str(sticky).lower():5}  prefix cache hits {share:.3f} of {asked['queries']} tokens, "
        f"{stayed} of {CONVERSATIONS} conversations stayed, began {sorted(served.values())}, {seconds:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--named-by", choices=PROGRAMS, default="claude_code", help="the program whose way of naming conversations is used")
    name = parser.parse_args().named_by
    on = f"gpuinf-sticky-{os.getpid()}"
    with network(on), engines(on) as addresses:
        for sticky in (False, True):
            print(f"{name:12} {measure(on, addresses, PROGRAMS[name], sticky=sticky)}", flush=True)


if __name__ == "__main__":
    main()
