#!/usr/bin/env python3
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time from "the last endpoint answers" to "the task has returned": endpoint_ready beside ansible.builtin.uri with until.

Both do the same: one real chat request per endpoint, once a second, until it is answered. The endpoints are local servers that become
ready one after the other at known moments, counted from the first request that reaches any of them.

    python tests/benchmarks/endpoint_ready.py [--counts 1,8,64] [--ready-after 5] [--repeat 1]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.played_server import Play, Server  # noqa: E402 - the folder above becomes importable first

KEY = "benchmark-key"


class Fleet:
    """Servers of which the last becomes ready `ready_after` seconds after the first request, the others evenly before."""

    def __init__(self, count: int, ready_after: float) -> None:
        self.ready_after = ready_after
        self.servers = [Server(Play(key=KEY, health_status=503, answer=(503, "loading"))).start() for _number in range(count)]
        self.last_ready = 0.0
        self.stopped = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not any(server.requests for server in self.servers):
            if self.stopped.wait(0.01):
                return
        began = time.time()
        for number, server in enumerate(self.servers, 1):
            moment = began + self.ready_after * number / len(self.servers)
            if self.stopped.wait(max(0.0, moment - time.time())):
                return
            server.change(health_status=200, answer=None)
        self.last_ready = time.time()

    def stop(self) -> None:
        self.stopped.set()
        for server in self.servers:
            server.stop()


def with_module(fleet: Fleet) -> dict[str, t.Any]:
    endpoints = [
        {"name": f"e{number}", "base_url": server.base_url, "model": "chat", "api_key": KEY} for number, server in enumerate(fleet.servers)
    ]
    return {"llmops.gpu_inference.endpoint_ready": {"endpoints": endpoints, "timeout": 600}}


def with_uri(fleet: Fleet) -> dict[str, t.Any]:
    return {
        "ansible.builtin.uri": {
            "url": "{{ item }}/chat/completions",
            "method": "POST",
            "headers": {"Authorization": f"Bearer {KEY}"},
            "body_format": "json",
            "body": {"model": "chat", "messages": [{"role": "user", "content": "Say ok."}], "max_tokens": 2},
            "return_content": True,
        },
        "loop": [server.base_url for server in fleet.servers],
        "register": "asked",
        "until": "asked.status == 200 and asked.json.choices | length > 0",
        "retries": 600,
        "delay": 1,
    }


def measure(task_of: t.Callable[[Fleet], dict[str, t.Any]], count: int, ready_after: float) -> float:
    fleet = Fleet(count, ready_after)
    tasks = [
        {"name": "Wait", **task_of(fleet)},
        {"name": "Tell", "ansible.builtin.debug": {"msg": "ENDED {{ now(utc=true).timestamp() }}"}},
    ]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    try:
        with tempfile.TemporaryDirectory() as folder:
            playbook = Path(folder) / "play.yml"
            playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
            argv = [sys.executable, "-m", "ansible.cli.playbook", "-i", "localhost,", "-c", "local", str(playbook)]
            done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    finally:
        fleet.stop()
    ended = re.search(r"ENDED ([0-9.]+)", done.stdout)
    if done.returncode or not ended:
        raise SystemExit(done.stdout + done.stderr)
    return float(ended.group(1)) - fleet.last_ready


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="1,8,64")
    parser.add_argument("--ready-after", type=float, default=5.0)
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    print("| endpoints | endpoint_ready | uri with until, in a loop |", "| --- | --- | --- |", sep="\n")
    for count in (int(text) for text in options.counts.split(",")):
        cells = []
        for task_of in (with_module, with_uri):
            took = statistics.median(measure(task_of, count, options.ready_after) for _turn in range(options.repeat))
            cells.append(f"{took:.2f} s")
        print(f"| {count} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
