# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an engine over two hosts takes to come up, and what it gives, against the same two containers started by hand.

Run it from the root of the checkout, on the nodes of scenario multinode (`molecule converge --scenario-name multinode`), on a machine that
does nothing else: `python tests/benchmarks/multinode.py`.

In turn: both units are started, or `docker run` with what the units' own containers were made of is called on both hosts; until the first
answer. Then so many requests at a time, with answers of a fixed length; and everything is stopped again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from dataclasses import dataclass, field

NODES = ("gpuinf-multinode-one", "gpuinf-multinode-two")
UNIT, CONTAINER, BY_HAND = "vllm@big.service", "vllm-big", "by-hand"
#: On the first node: until there is an answer, and how many tokens a second come then.
CLIENT = """
import concurrent.futures, json, sys, time, urllib.request
key = [line.split("=", 1)[1].strip() for line in open("/etc/gpu-inference/instances/vllm/big/env") if line.startswith("VLLM_API_KEY=")][0]
def ask(tokens, limit):
    body = {"model": "big", "prompt": "Hello", "max_tokens": tokens, "ignore_eos": True}
    request = urllib.request.Request("http://127.0.0.1:8070/v1/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json", "Authorization": "Bearer " + key})
    return json.load(urllib.request.urlopen(request, timeout=limit))["usage"]["completion_tokens"]
def answers():
    try:
        return ask(1, 30) == 1
    except OSError:
        return False
at_once, requests, tokens = map(int, sys.argv[1:])
began = time.time()
while not answers():
    if time.time() - began > 600:
        sys.exit("no answer for ten minutes")
    time.sleep(0.1)
ready = time.time()
with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
    given = sum(pool.map(lambda _one: ask(tokens, 300), range(requests)))
print(json.dumps({"ready": ready, "tokens_per_second": given / (time.time() - ready)}))
"""


@dataclass
class Column:
    name: str
    seconds: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)

    @property
    def row(self) -> str:
        seconds, tokens = statistics.median(self.seconds), statistics.median(self.tokens)
        return f"| {self.name} | {seconds:.1f} | {min(self.seconds):.1f} to {max(self.seconds):.1f} | {tokens:.1f} |"


def on(node: str, *argv: str) -> str:
    return subprocess.run(["docker", "exec", node, *argv], check=True, capture_output=True, text=True).stdout


def by_hand(node: str) -> list[str]:
    """What makes the container of the unit once more."""
    (made,) = json.loads(on(node, "docker", "inspect", CONTAINER))
    config, host = made["Config"], made["HostConfig"]
    argv = ["docker", "run", "--detach", "--name", BY_HAND, "--network", "host", "--shm-size", str(host["ShmSize"])]
    mounts = [f"{mount['Source']}:{mount['Destination']}{'' if mount['RW'] else ':ro'}" for mount in made["Mounts"]]
    argv += [word for mount in mounts for word in ("--volume", mount)]
    argv += [word for variable in config["Env"] for word in ("--env", variable)]
    return [*argv, "--entrypoint", config["Entrypoint"][0], config["Image"], *config["Entrypoint"][1:], *config["Cmd"]]


def stop() -> None:
    for node in NODES:
        on(node, "systemctl", "stop", UNIT)
        on(node, "docker", "rm", "--force", BY_HAND)


def measure(column: Column, starts: list[list[str]], load: list[str]) -> None:
    began = time.time()
    for node, argv in zip(NODES, starts, strict=True):
        on(node, *argv)
    found = json.loads(on(NODES[0], "python3", "-c", CLIENT, *load))
    column.seconds.append(found["ready"] - began)
    column.tokens.append(found["tokens_per_second"])
    print(f"{column.name}: {column.seconds[-1]:.1f} s, {column.tokens[-1]:.1f} tokens/s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--requests", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=128)
    options = parser.parse_args()
    commands = [by_hand(node) for node in NODES]
    units, hand = Column("units"), Column("by hand")
    load = [str(options.at_once), str(options.requests), str(options.tokens)]
    try:
        for _round in range(options.rounds):
            for column, starts in ((units, [["systemctl", "start", "--no-block", UNIT]] * 2), (hand, commands)):
                stop()
                measure(column, starts, load)
    finally:
        stop()
        for node in NODES:
            on(node, "systemctl", "start", "--no-block", UNIT)
    print("\n| | seconds to the first answer, median | least and most | tokens per second, median |\n| --- | --- | --- | --- |")
    print(units.row, hand.row, sep="\n")


if __name__ == "__main__":
    main()
