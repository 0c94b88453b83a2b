# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long the plan of a large inventory takes: 100 hosts with eight services each, in under a second.

Run it from the root of the checkout: `python tests/benchmarks/plan.py`.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "collections")]

from support.inventories import dgpu, gpu, host, inventory  # noqa: E402 - the folders above become importable first

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan  # noqa: E402


def large_inventory(hosts: int, services: int) -> dict[str, Any]:
    """Every host has its own copy of the variables, as Ansible hands them over, and its own list of services."""
    models = {
        f"model-{number}": {
            "source": f"org/model-{number}",
            "aliases": [f"ALIAS_{number}"],
            "engine_args": {"max-num-seqs": 8, "limit-mm-per-prompt": {"image": 4}},
            "on_platform": {"jetson": {"engine": "ollama", "source": f"model-{number}:4b"}},
        }
        for number in range(services)
    }
    found = {}
    for index in range(hosts):
        listed = [
            {"model": f"model-{number}", "port": 8000 + number, "memory": f"{4 + (index + number) % 3}GiB", "order": 1 + index % 2}
            for number in range(services)
        ]
        found[f"node{index}"] = host(
            *(["inference_nodes", "gateways"] if index == 0 else ["inference_nodes"]),
            hardware=dgpu(gpu(0), gpu(1)),
            inference_models=copy.deepcopy(models),
            inference_services=listed,
            ansible_host=f"10.0.{index // 250}.{index % 250 + 1}",
        )
    return inventory(**found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--services", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=1.0, help="seconds that the median may take")
    arguments = parser.parse_args()
    data = large_inventory(arguments.hosts, arguments.services)
    times = []
    for _round in range(arguments.rounds):
        start = time.perf_counter()
        plan = build_plan(data)
        times.append(time.perf_counter() - start)
    assert len(plan["table"]) == arguments.hosts * arguments.services
    median = statistics.median(times)
    size = f"{arguments.hosts} hosts x {arguments.services} services"
    print(f"{size}: median {median:.3f} s, slowest {max(times):.3f} s, limit {arguments.limit} s")
    return 0 if median <= arguments.limit else 1


if __name__ == "__main__":
    sys.exit(main())
