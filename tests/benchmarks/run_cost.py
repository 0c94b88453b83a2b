# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of site.yml costs: headers of tasks, lines of output, seconds of the controller's processor.

Run it from the root of the checkout with an inventory whose hosts are deployed already: `python tests/benchmarks/run_cost.py INVENTORY`.
Beside it stand ten tasks `ping` on the same hosts, below which no ten tasks come.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINGS = """- hosts: inference_nodes:gateways:inference_clients
  gather_facts: false
  tasks:
""" + "".join(f"    - {{name: Ping {number}, ansible.builtin.ping: }}\n" for number in range(10))


@dataclass(frozen=True)
class Cost:
    """Seconds are those of the controller's processor, with all its children, and those on the clock."""

    headers: int
    lines: int
    skipping: int
    processor: float
    clock: float
    rc: int
    roles: Counter[str]


def count(output: str) -> tuple[int, int, int, Counter[str]]:
    """Headers, lines, lines of tasks that were skipped, and headers by role."""
    lines = output.splitlines()
    headers = [line for line in lines if line.startswith("TASK [")]
    roles = Counter(line[6:].partition(" : ")[0].rpartition(".")[2] if " : " in line else "(no role)" for line in headers)
    return len(headers), len(lines), sum(line.startswith("skipping: ") for line in lines), roles


def measured(inventory: str, playbook: str) -> Cost:
    """Runs a playbook with the output of Ansible's own callback."""
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_STDOUT_CALLBACK": "default"}
    argv = [sys.executable, "-m", "ansible.cli.playbook", "-i", inventory, playbook]
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    clock, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        print(done.stdout[-2000:] + done.stderr[-2000:], file=sys.stderr)
    headers, lines, skipping, roles = count(done.stdout)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(headers, lines, skipping, processor, clock, done.returncode, roles)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inventory", metavar="INVENTORY")
    inventory = str(Path(parser.parse_args().inventory).resolve())
    with tempfile.TemporaryDirectory() as folder:
        pings = Path(folder) / "pings.yml"
        pings.write_text(PINGS, encoding="utf-8")
        runs = {"site.yml": measured(inventory, "site.yml"), "ten times ping": measured(inventory, str(pings))}
    for name, cost in runs.items():
        print(
            f"{name}: {cost.headers} headers, {cost.lines} lines, {cost.skipping} of them skipping; "
            f"{cost.processor:.1f} s of the processor, {cost.clock:.1f} s on the clock"
        )
    print("headers by role: " + ", ".join(f"{role} {number}" for role, number in runs["site.yml"].roles.most_common()))
    return max(cost.rc for cost in runs.values())


if __name__ == "__main__":
    sys.exit(main())
