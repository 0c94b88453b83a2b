# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of site.yml costs: headers of tasks, lines of output, seconds of the controller's processor.

Run it from the root of the checkout with inventories whose hosts are deployed already, for example one with two services and one
with 32: `python tests/benchmarks/run_cost.py INVENTORY [INVENTORY ...]`.

Beside each stand ten tasks `ping` on the same hosts, below which no ten tasks come, and `docker compose up -d` by one task of
community.docker on the nodes, with as many containers of the same images, which sleep. It needs Docker Compose and PyYAML on the
nodes (Debian: `apt install docker-compose python3-yaml`); without them its line says that it failed. All is measured where there is
nothing to change, in --rounds of which the cheapest counts: other work on the controller makes any run dearer.
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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = "site.yml"
PINGS = """- hosts: inference_nodes:gateways:inference_clients
  gather_facts: false
  tasks:
""" + "".join(f"    - {{name: Ping {number}, ansible.builtin.ping: }}\n" for number in range(10))
#: The images of the containers are looked up beforehand, so that what is measured is one task.
IMAGES = """- hosts: inference_nodes
  gather_facts: false
  tasks:
    - name: Look which containers run
      become: true
      ansible.builtin.command:
        argv: [docker, ps, --filter, label=io.llmops.gpu-inference.owner, --format, "{{ '{{.Names}} {{.Image}}' }}"]
      register: running
    - name: Write down their images
      become: true
      ansible.builtin.copy:
        dest: /tmp/gpu-inference-benchmark/compose.yaml
        mode: "0600"
        content: |
          name: gpu-inference-benchmark
          services:
          {% for line in running.stdout_lines %}
            {{ line.split()[0] }}: {image: "{{ line.split()[1] }}", entrypoint: [sleep, infinity], init: true, network_mode: none}
          {% endfor %}
"""
FOLDER = """- hosts: inference_nodes
  gather_facts: false
  tasks:
    - {name: Make the folder, become: true, ansible.builtin.file: {path: /tmp/gpu-inference-benchmark, state: directory, mode: "0700"}}
"""
COMPOSE = """- hosts: inference_nodes
  gather_facts: false
  tasks:
    - name: Docker compose up
      become: true
      community.docker.docker_compose_v2: {project_src: /tmp/gpu-inference-benchmark, state: STATE}
"""
COLUMNS = ("headers", "lines", "skipping", "processor s", "times ping", "clock s")


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


def table(costs: Mapping[str, Cost], ping: Cost) -> list[str]:
    """One line for each run, the floor among them."""
    width = max(map(len, costs))
    lines = [f"{'':{width}}" + "".join(f"{column:>13}" for column in COLUMNS)]
    for name, cost in costs.items():
        numbers = (
            *(f"{number:>13}" for number in (cost.headers, cost.lines, cost.skipping)),
            *(f"{number:>13.1f}" for number in (cost.processor, cost.processor / ping.processor, cost.clock)),
        )
        lines.append(f"{name:{width}}" + "".join(numbers) + ("" if cost.rc == 0 else f"  failed with {cost.rc}"))
    return lines


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


def cheapest(inventory: str, playbook: str, rounds: int) -> Cost:
    return min((measured(inventory, playbook) for _ in range(rounds)), key=lambda cost: (cost.rc, cost.processor))


def beside_each_other(inventory: str, folder: Path, rounds: int) -> dict[str, Cost]:
    def playbook(name: str, text: str) -> str:
        (folder / f"{name}.yml").write_text(text, encoding="utf-8")
        return str(folder / f"{name}.yml")

    compose = playbook("compose", COMPOSE.replace("STATE", "present"))
    runs = {SITE: cheapest(inventory, SITE, rounds), "ten times ping": cheapest(inventory, playbook("pings", PINGS), rounds)}
    ready = all(measured(inventory, playbook(name, text)).rc == 0 for name, text in (("folder", FOLDER), ("images", IMAGES)))
    if ready and measured(inventory, compose).rc == 0:
        runs["docker compose up -d"] = cheapest(inventory, compose, rounds)
        measured(inventory, playbook("down", COMPOSE.replace("STATE", "absent")))
    return runs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inventories", metavar="INVENTORY", nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    failed = 0
    for inventory in (str(Path(name).resolve()) for name in options.inventories):
        with tempfile.TemporaryDirectory() as folder:
            runs = beside_each_other(inventory, Path(folder), options.rounds)
        print(f"\n{inventory}, the cheapest of {options.rounds}")
        print("\n".join(table(runs, runs["ten times ping"])))
        if "docker compose up -d" not in runs:
            print("docker compose up -d: could not be run, see above")
        print("headers by role: " + ", ".join(f"{role} {number}" for role, number in runs[SITE].roles.most_common()))
        failed = max([failed, *(cost.rc for cost in runs.values())])
    return failed


if __name__ == "__main__":
    sys.exit(main())
